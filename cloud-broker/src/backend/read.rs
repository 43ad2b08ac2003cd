//! Reading what is committed.

use bytes::Bytes;

/// What can be read of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// First offset.
    pub start: i64,
    /// Offset after the last committed record: the high watermark.
    pub end: i64,
    /// Leader epoch.
    pub epoch: i32,
    /// Bytes of all batches.
    pub bytes: u64,
}

/// A committed batch.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// When it came, ms.
    pub arrival_ms: i64,
    /// Largest timestamp, ms.
    pub max_timestamp: i64,
    /// As stored: base offset and leader epoch are in it.
    pub bytes: Bytes,
    /// Bloom filter of its topics; empty = not known, it must be opened.
    pub topics: Bytes,
}
