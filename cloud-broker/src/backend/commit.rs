//! What was committed lately: the ring that live delivery follows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use headwater_broker_core::PartitionId;

/// Everything that became durable, and visible, at one moment.
#[derive(Debug)]
pub struct Commit {
    /// 1, 2, 3, … in this process.
    pub number: u64,
    /// By shard, stream, partition and offset.
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
pub struct Tail {
    ring: Arc<Ring>,
    next: u64,
}

/// What a reader of the ring finds.
#[derive(Debug)]
pub enum TailStep {
    /// Commits that it has not seen, in order.
    Commits(Vec<Arc<Commit>>),
    /// The ring went on without it: it must read the log from its own offsets to the bounds as
    /// they are after this call, and then goes on here. It passes over batches below its own
    /// offsets, since what was committed in between comes here too.
    Lagged,
    /// Nothing new.
    Nothing,
}

impl Tail {
    /// Takes what came since the last call. Never blocks for long.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives has an end that is none"
    )]
    pub fn next(&mut self) -> TailStep {
        if self.ring.next.load(Ordering::Acquire) == self.next {
            return TailStep::Nothing;
        }
        let recent = self
            .ring
            .recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let end = self.ring.next.load(Ordering::Acquire);
        let missing = usize::try_from(end - self.next).unwrap_or(usize::MAX);
        self.next = end;
        match recent.commits.len().checked_sub(missing) {
            Some(seen) => TailStep::Commits(recent.commits.range(seen..).cloned().collect()),
            None => TailStep::Lagged,
        }
    }
}

/// The newest commits, as many as fit into a number of bytes, and always the last one.
#[derive(Debug)]
pub(super) struct Ring {
    bytes_max: usize,
    /// Number of the next commit; changes under the lock only.
    next: AtomicU64,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
}

impl Ring {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            next: AtomicU64::new(1),
            recent: Mutex::default(),
        }
    }

    /// A place behind the newest commit.
    pub(super) fn tail(self: &Arc<Self>) -> Tail {
        Tail {
            ring: Arc::clone(self),
            next: self.next.load(Ordering::Acquire),
        }
    }

    /// Adds a commit and gives those that had to go for it.
    pub(super) fn push(&self, batches: Vec<CommittedBatch>) -> Vec<Arc<Commit>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.next.load(Ordering::Acquire);
        let commit = Commit { number, batches };
        recent.bytes += commit.bytes();
        recent.commits.push_back(Arc::new(commit));
        self.next.store(number + 1, Ordering::Release);
        let mut gone = Vec::new();
        while recent.bytes > self.bytes_max && recent.commits.len() > 1 {
            let Some(oldest) = recent.commits.pop_front() else {
                break;
            };
            recent.bytes -= oldest.bytes();
            gone.push(oldest);
        }
        gone
    }
}

impl Commit {
    fn bytes(&self) -> usize {
        let batch = |batch: &CommittedBatch| batch.bytes.len() + batch.topics.len() + BATCH_BYTES;
        self.batches.iter().map(batch).sum::<usize>()
    }
}

/// What a batch is counted as beside its content.
const BATCH_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &Ring, bytes: usize) -> usize {
        let batch = CommittedBatch {
            partition: PartitionId(0),
            base_offset: 0,
            last_offset: 0,
            arrival_ms: 0,
            max_timestamp: 0,
            bytes: Bytes::from(vec![0; bytes]),
            topics: Bytes::new(),
        };
        ring.push(vec![batch]).len()
    }

    fn numbers(tail: &mut Tail) -> Option<Vec<u64>> {
        match tail.next() {
            TailStep::Commits(commits) => Some(commits.iter().map(|c| c.number).collect()),
            TailStep::Nothing => Some(Vec::new()),
            TailStep::Lagged => None,
        }
    }

    #[test]
    fn a_reader_sees_each_commit_once_or_knows_that_it_lags() {
        let ring = Arc::new(Ring::new(1000));
        let mut tail = ring.tail();
        assert_eq!(numbers(&mut tail), Some(vec![]));
        assert_eq!([push(&ring, 100), push(&ring, 100)], [0, 0]);
        assert_eq!(numbers(&mut tail), Some(vec![1, 2]));
        assert_eq!(numbers(&mut tail), Some(vec![]));
        assert_eq!(numbers(&mut ring.tail()), Some(vec![]));
        assert_eq!(push(&ring, 5000), 2, "the newest stays, however large");
        assert_eq!(numbers(&mut tail), Some(vec![3]));
        assert_eq!([push(&ring, 5000), push(&ring, 1)], [1, 1]);
        assert_eq!(numbers(&mut tail), None);
        assert_eq!(numbers(&mut tail), Some(vec![]));
    }
}
