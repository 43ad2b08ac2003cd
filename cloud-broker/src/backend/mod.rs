//! The log behind the doors: one journal, one commit point, many readers.
//!
//! Doors put publishes and agents' requests into an [`Inbox`], or call [`Backend::append`]. One
//! thread takes everything that waits, lets the core decide and place it, writes one chunk, and
//! only when that is durable moves the commit point: then answers are given, reads see the
//! records, [`Watch`] and [`Tail`] tell readers. No linger: while a sync runs, the next chunk
//! gathers.

mod commit;
mod devices;
mod error;
mod inbox;
mod options;
mod read;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use headwater_broker_core::{Catalog, PartitionId, Stream, StreamSpec};

pub use commit::{Commit, CommittedBatch, Tail, TailStep};
pub use devices::{DeviceView, LaneView};
pub use error::{AppendError, CreateError, OpenError, ReadError, Unavailable};
pub use inbox::{Busy, Inbox, Progress, Submit};
pub use options::{Clock, Options};
pub use read::{Bounds, StoredBatch};
pub use watch::Watch;

/// The broker's log. Behind an `Arc`; every method may be called from any thread.
#[derive(Debug)]
pub struct Backend {}

/// Where a batch came to lie, known once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; for a duplicate, the original's.
    pub base_offset: i64,
    /// First offset of the partition that can be read.
    pub log_start: i64,
    /// Whether the batch lay there already and nothing was written.
    pub duplicate: bool,
}

impl Backend {
    /// Opens or creates the log in `options.data_dir` and recovers it; blocks until that is done.
    ///
    /// # Errors
    /// [`OpenError`]: the directory is in use, cannot be read, or is of a newer format.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        todo!()
    }

    /// Flushes, writes a snapshot and ends the journal; blocks. What comes later is refused.
    pub fn stop(&self) {
        todo!()
    }

    /// All streams. Cheap.
    pub fn catalog(&self) -> Arc<Catalog> {
        todo!()
    }

    /// Creates a stream; durable when it returns.
    ///
    /// # Errors
    /// [`CreateError`]: the name is taken, the declaration is wrong, or the log is unavailable.
    pub async fn create_stream(&self, spec: StreamSpec) -> Result<Arc<Stream>, CreateError> {
        todo!()
    }

    /// Identity of the cluster, made with its first start.
    pub fn cluster_id(&self) -> [u8; 16] {
        todo!()
    }

    /// A producer id below 2^52 that was never given before, also not before a restart.
    ///
    /// # Errors
    /// [`Unavailable`] if a block of ids cannot be reserved durably.
    pub async fn producer_id(&self) -> Result<i64, Unavailable> {
        todo!()
    }

    /// A place for one MQTT core to put what it receives; lives as long as the backend.
    pub fn inbox(&self) -> Arc<Inbox> {
        todo!()
    }

    /// Appends a batch of a Kafka or HTTP producer that the door has validated, and returns when
    /// it is durable. As [`Backend::submit`] and then waiting.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended then, as far as anybody was told.
    pub async fn append(&self, partition: PartitionId, batch: Bytes) -> Result<Appended, AppendError> {
        self.submit(partition, batch, Vec::new()).await?.await
    }

    /// As [`Backend::append`] in two steps: returns when there was room and the batch has its
    /// place in line (those who submit one after the other are appended in that order); the
    /// future that it gives resolves when the batch is durable. `topics`: Bloom filter of the keys
    /// ([`headwater_broker_core::bloom::Topics`]), empty = not known, then MQTT fan-out must open
    /// the batch to see whether anybody wants it.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] if the log takes nothing now (disk full, stopped).
    pub async fn submit(
        &self,
        partition: PartitionId,
        batch: Bytes,
        topics: Vec<u8>,
    ) -> Result<Pending, AppendError> {
        todo!()
    }

    /// What can be read of a partition. An unknown partition is empty.
    pub fn bounds(&self, partition: PartitionId) -> Bounds {
        todo!()
    }

    /// Committed batches from the one that contains `offset` on: at least one if there is any,
    /// then as long as all together are at most `max_bytes`. Empty at the end. Blocks on the disk
    /// if they are not recent: on a runtime use [`Backend::read_recent`] first and `spawn_blocking`
    /// for the rest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &self,
        partition: PartitionId,
        offset: i64,
        max_bytes: usize,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        todo!()
    }

    /// As [`Backend::read`], from memory alone and never blocking: `None` if the disk is needed.
    /// An offset out of range, or the end, is answered here.
    pub fn read_recent(
        &self,
        partition: PartitionId,
        offset: i64,
        max_bytes: usize,
    ) -> Option<Result<Vec<StoredBatch>, ReadError>> {
        todo!()
    }

    /// Offset and timestamp of the first record with at least this timestamp, ms. Blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_for_time(
        &self,
        partition: PartitionId,
        timestamp: i64,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        todo!()
    }

    /// Offset and timestamp of the first record with the greatest timestamp. Blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn latest_by_time(&self, partition: PartitionId) -> Result<Option<(i64, i64)>, ReadError> {
        todo!()
    }

    /// Tells of commits to any of these partitions. Make it first, then read, then await
    /// [`Watch::changed`]: nothing is missed.
    pub fn watch(&self, partitions: &[PartitionId]) -> Watch {
        todo!()
    }

    /// A place at the end of the ring of recent commits.
    pub fn tail(&self) -> Tail {
        todo!()
    }

    /// Every agent that was ever heard of, by name.
    pub fn devices(&self) -> Vec<DeviceView> {
        todo!()
    }

    /// Why the broker should get no traffic now, for `/readyz`: empty, or of `disk-full`,
    /// `store-failed`, `stopping`.
    pub fn not_ready(&self) -> Vec<&'static str> {
        todo!()
    }
}

/// A batch that waits to become durable; a future.
#[derive(Debug)]
pub struct Pending {
    answer: tokio::sync::oneshot::Receiver<Result<Appended, AppendError>>,
}

impl Future for Pending {
    type Output = Result<Appended, AppendError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(AppendError::Unavailable(Unavailable::Stopped))))
    }
}
