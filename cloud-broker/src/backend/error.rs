//! What can go wrong, by operation. Doors turn these into codes of their protocols.

use headwater_broker_core::catalog::{PARTITIONS_OF_ALL_MAX, SpecError};
use headwater_store::StoreError;

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store; an [`headwater_store::ErrorKind::InUse`] prints the text of `interfaces.md` 3.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A configured stream is not possible.
    #[error("Stream {name}: {error}")]
    Stream {
        /// Its name.
        name: String,
        /// What is wrong.
        error: SpecError,
    },
    /// What was read back contradicts itself.
    #[error("{0}")]
    Inconsistent(String),
    /// The configured streams cannot be written.
    #[error("Cannot create the configured streams: {0}")]
    Unavailable(Unavailable),
    /// The system gives no thread.
    #[error("Cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// The log takes nothing at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The disk failed; what was uncommitted is undone.
    #[error("The disk failed")]
    Failed,
    /// No space left.
    #[error("The disk is full")]
    DiskFull,
    /// The backend is stopping or has stopped.
    #[error("The broker is stopping")]
    Stopped,
}

/// Why a batch was not appended (`kafka.md` 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Try again: Kafka's `REQUEST_TIMED_OUT` or `NOT_LEADER_OR_FOLLOWER`, HTTP's 503.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// 45: a gap, or part of a batch that is there.
    #[error("Sequence is out of order")]
    OutOfOrderSequence,
    /// 47: a newer epoch of this producer is known.
    #[error("Producer epoch is old")]
    InvalidProducerEpoch,
    /// 87: not one whole batch, or a producer id of 2^52 and above.
    #[error("Batch is not valid")]
    InvalidRecord,
    /// 10: larger than any chunk.
    #[error("Batch is too large")]
    TooLarge,
    /// 3: there is no such partition.
    #[error("There is no such partition")]
    NoPartition,
}

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is below the partition's start or beyond its end.
    #[error("Offset is out of range")]
    OffsetOutOfRange,
    /// There is no such partition (any more).
    #[error("There is no such partition")]
    NoPartition,
    /// The disk, or what it holds, is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored batch cannot be opened.
    #[error("Stored batch at offset {0} is damaged")]
    Damaged(i64),
}

/// Why a stream was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is one of this name.
    #[error("Stream exists already")]
    Exists,
    /// All streams together would have more than [`PARTITIONS_OF_ALL_MAX`] partitions.
    #[error("All streams together have at most {PARTITIONS_OF_ALL_MAX} partitions")]
    TooManyPartitions,
    /// The declaration is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The log takes nothing at the moment.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a stream was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is none of this identity (any more).
    #[error("There is no such stream")]
    NoStream,
    /// It is the broker's own.
    #[error("Internal streams cannot be deleted")]
    Internal,
    /// The log takes nothing at the moment.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
