//! What a snapshot holds: everything a shard knows that its chunks' indexes alone could only tell
//! by replay from the beginning (`cluster.md` 2.9, step 5). Plain data; `headwater-store` encodes it.

use crate::StreamId;

/// State of all partitions of one shard at a chunk boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardState {
    /// Number of the shard.
    pub shard: u32,
    /// Sorted by topic and partition.
    pub partitions: Vec<PartitionState>,
}

/// State of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionState {
    /// Stream.
    pub topic: StreamId,
    /// Partition of the stream.
    pub partition: u32,
    /// First offset that can still be read.
    pub start_offset: i64,
    /// Offset that the next record gets.
    pub next_offset: i64,
    /// Arrival time of the newest batch, ms; 0 before the first.
    pub arrival_ms: i64,
    /// Leader epochs, each with the offset of its first record; both rise.
    pub epochs: Vec<(u32, i64)>,
    /// Kafka producers, by id.
    pub producers: Vec<ProducerState>,
    /// Agents' lanes, by producer id.
    pub lanes: Vec<LaneState>,
    /// Internal compacted streams only: the newest record of each key, by key.
    pub records: Vec<KeyedRecord>,
}

/// What is known of one Kafka producer in one partition (`kafka.md` 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// Below 2^52.
    pub id: i64,
    /// Its newest epoch.
    pub epoch: i16,
    /// Arrival time of its newest batch, ms.
    pub arrival_ms: i64,
    /// Its newest batches of that epoch, oldest first, at most five.
    pub batches: Vec<ProducerBatch>,
}

/// One batch of a Kafka producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Largest timestamp, ms.
    pub timestamp: i64,
}

/// What is known of one lane (`kafka.md` 3.4(5)); never expires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneState {
    /// The lane's producer id, 2^52 and above.
    pub id: i64,
    /// Position that comes next.
    pub next: u64,
    /// Arrival time of its newest entry, ms.
    pub arrival_ms: i64,
    /// Its newest entries, oldest first, at most five; they tile the positions below `next`.
    pub entries: Vec<LaneEntry>,
}

/// One batch, or one declared loss, of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneEntry {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// Offset of its first record.
    pub base_offset: i64,
    /// The batch's CRC.
    pub crc: u32,
}

/// One record of an internal compacted stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRecord {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value; a deleted key is not kept.
    pub value: Vec<u8>,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms.
    pub timestamp: i64,
}
