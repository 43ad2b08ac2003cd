//! What goes into the journal beside data, and what comes out of it.

use bytes::Bytes;
use headwater_wire::time::Millis;

use crate::{Entry, LaneName, PartitionId};

/// Numbers that the shell gives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Epoch of each shard; their number is the number of shards.
    pub epochs: Vec<u32>,
    /// Most lanes that one device may have.
    pub lanes_per_device: usize,
}

/// Where a batch lies once the chunk is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Offset of its first record; of a duplicate, the original's.
    pub base_offset: i64,
    /// First offset of the partition that can be read.
    pub log_start: i64,
    /// Whether it is a duplicate of what lies there already.
    pub duplicate: bool,
}

/// Why a producer's batch is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendRefusal {
    /// There is no such partition (any more), or it is internal.
    NoPartition,
    /// Not one whole batch as clients may send it, or with a lane's producer id.
    Invalid,
    /// Above `BATCH_BYTES_MAX`.
    TooLarge,
    /// A gap, older than what is remembered, or a partial overlap.
    OutOfOrder,
    /// A newer epoch of the producer is known.
    OldEpoch,
}

/// What is to be written as one chunk.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The index, sorted by shard, stream, partition and offset.
    pub entries: Vec<Entry>,
    /// The partition of each entry.
    pub partitions: Vec<PartitionId>,
    /// The batches; entries say where.
    pub payload: Bytes,
}

/// What a commit changed beside the log itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Streams that were deleted, before the lanes below went on.
    pub deleted: Vec<String>,
    /// Lanes that went on.
    pub lanes: Vec<LaneMoved>,
    /// Agents' newest status.
    pub statuses: Vec<StatusKept>,
    /// Whether there are other streams than before.
    pub catalog: bool,
}

/// Where a lane has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneMoved {
    /// Device, stream, lane and its generation.
    pub name: LaneName,
    /// Partition of the stream.
    pub partition: u32,
    /// Position that comes next.
    pub next: u64,
    /// When its newest entry came; `None` before the first.
    pub arrival: Option<Millis>,
}

/// An agent's newest status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusKept {
    /// The agent.
    pub device: String,
    /// As it was sent.
    pub json: Bytes,
    /// When it came.
    pub arrival: Millis,
}
