//! What was committed lately: the ring that live delivery follows.

use std::sync::Arc;

use bytes::Bytes;
use headwater_broker_core::PartitionId;

/// Everything that became durable, and visible, at one moment.
#[derive(Debug)]
pub struct Commit {
    /// 1, 2, 3, … in this process.
    pub number: u64,
    /// In the order of the log.
    pub batches: Vec<CommittedBatch>,
}

/// One batch of a commit.
#[derive(Clone, Debug)]
pub struct CommittedBatch {
    /// Where it lies.
    pub partition: PartitionId,
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

/// One reader's place in the ring of recent commits.
#[derive(Debug)]
pub struct Tail {}

/// What a reader of the ring finds.
#[derive(Debug)]
pub enum TailStep {
    /// Commits that it has not seen, in order.
    Commits(Vec<Arc<Commit>>),
    /// The ring went on without it: it must read the log from its own offsets up to
    /// `Backend::bounds` as they are after this call, and then goes on here.
    Lagged,
    /// Nothing new.
    Nothing,
}

impl Tail {
    /// Takes what came since the last call. Never blocks.
    pub fn next(&mut self) -> TailStep {
        todo!()
    }
}
