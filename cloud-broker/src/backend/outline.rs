//! What lies ahead of a reader, before it is read: where batches begin and end, when they came, and
//! which topics they may hold. Whoever looks for few topics passes over most of the log unread.
//!
//! The newest batches are known by heart, as many as fit into a number of bytes, wherever their
//! bytes lie. What is older has to be read to be known.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use headwater_broker_core::PartitionId;

use super::Backend;
use super::error::ReadError;
use super::read::StoredBatch;

/// A part of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First offset.
    pub from: i64,
    /// The offset that follows.
    pub to: i64,
    /// When the first of it came, ms; [`i64::MIN`] if that is not known.
    pub arrival_ms: i64,
    /// Bytes that are read, about.
    pub bytes: usize,
    /// Bloom filter of its topics; empty = not known.
    pub topics: Bytes,
}

impl Backend {
    /// What lies ahead of `offset`, in order, at most `PIECES_MAX` pieces; empty at the end. A gap
    /// between two is a loss. Never blocks.
    ///
    /// # Errors
    /// [`ReadError::OffsetOutOfRange`], [`ReadError::NoPartition`].
    pub fn outline(&self, partition: PartitionId, offset: i64) -> Result<Vec<Piece>, ReadError> {
        // In this order: what is committed in between is outlined, and not below this end.
        let pieces = self.shared.outlines.ahead(partition, offset);
        let bounds = self.try_bounds(partition)?;
        if offset < bounds.start || offset > bounds.end {
            return Err(ReadError::OffsetOutOfRange);
        }
        if offset == bounds.end || !pieces.is_empty() {
            return Ok(pieces);
        }
        let known = self.shared.outlines.begin(partition);
        let known = known.filter(|known| *known > offset);
        Ok(vec![Piece {
            from: offset,
            to: known.map_or(bounds.end, |known| known.min(bounds.end)),
            arrival_ms: i64::MIN,
            bytes: UNKNOWN_BYTES,
            topics: Bytes::new(),
        }])
    }
}

/// The newest batches of all partitions.
#[derive(Debug)]
pub(super) struct Outlines {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    partitions: BTreeMap<PartitionId, VecDeque<Piece>>,
    /// Whose batches they are, in the order in which they came.
    order: VecDeque<PartitionId>,
    bytes: usize,
}

impl Outlines {
    /// That keeps about so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            kept: Mutex::default(),
        }
    }

    /// A batch was committed.
    pub(super) fn push(&self, partition: PartitionId, batch: &StoredBatch) {
        let mut kept = self.lock();
        let piece = Piece {
            from: batch.base_offset,
            to: batch.last_offset.saturating_add(1),
            arrival_ms: batch.arrival_ms,
            bytes: batch.bytes.len(),
            topics: Bytes::copy_from_slice(&batch.topics),
        };
        kept.bytes += piece.memory();
        kept.partitions
            .entry(partition)
            .or_default()
            .push_back(piece);
        kept.order.push_back(partition);
        while kept.bytes > self.bytes_max && kept.forget_oldest() {}
    }

    /// Known pieces from the one that holds `offset` on; none if that is older.
    fn ahead(&self, partition: PartitionId, offset: i64) -> Vec<Piece> {
        let kept = self.lock();
        let Some(pieces) = kept.partitions.get(&partition) else {
            return Vec::new();
        };
        if pieces.front().is_none_or(|first| offset < first.from) {
            return Vec::new();
        }
        let at = pieces.partition_point(|piece| piece.to <= offset);
        pieces.range(at..).take(PIECES_MAX).cloned().collect()
    }

    /// The first offset that is known.
    fn begin(&self, partition: PartitionId) -> Option<i64> {
        let kept = self.lock();
        Some(kept.partitions.get(&partition)?.front()?.from)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing in here panics half way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_oldest(&mut self) -> bool {
        let Some(partition) = self.order.pop_front() else {
            return false;
        };
        let pieces = self.partitions.get_mut(&partition);
        let gone = pieces.and_then(VecDeque::pop_front);
        self.bytes -= gone.map_or(0, |gone| gone.memory());
        true
    }
}

impl Piece {
    fn memory(&self) -> usize {
        PIECE_BYTES + self.topics.len()
    }
}

/// Pieces that are told at a time.
const PIECES_MAX: usize = 256;
/// What a piece is counted as beside its filter: itself, the filter's allocation, and the order.
const PIECE_BYTES: usize = 128;
/// Bytes that are read where nothing is known.
const UNKNOWN_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base_offset: i64, count: i64) -> StoredBatch {
        StoredBatch {
            base_offset,
            last_offset: base_offset + count - 1,
            arrival_ms: base_offset,
            max_timestamp: 0,
            bytes: Bytes::from_static(b"batch"),
            topics: Bytes::from_static(b"filter"),
        }
    }

    fn froms(outlines: &Outlines, partition: u32, offset: i64) -> Vec<i64> {
        let ahead = outlines.ahead(PartitionId(partition), offset);
        ahead.iter().map(|piece| piece.from).collect()
    }

    #[test]
    fn the_newest_are_known_from_the_one_that_holds_the_offset() {
        let outlines = Outlines::new(10_000);
        for base_offset in [0, 2, 4, 8] {
            outlines.push(PartitionId(1), &batch(base_offset, 2));
        }
        assert_eq!(froms(&outlines, 1, 3), [2, 4, 8]);
        assert_eq!(froms(&outlines, 1, 6), [8], "6 and 7 are lost");
        assert_eq!(froms(&outlines, 1, 10), [0; 0]);
        assert_eq!(froms(&outlines, 2, 0), [0; 0]);
    }

    #[test]
    fn the_oldest_of_all_partitions_go() {
        let outlines = Outlines::new(4 * (PIECE_BYTES + 6));
        for (partition, base_offset) in [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (1, 3)] {
            outlines.push(PartitionId(partition), &batch(base_offset, 1));
        }
        assert_eq!(outlines.begin(PartitionId(1)), Some(1));
        assert_eq!(outlines.begin(PartitionId(2)), Some(1));
        assert_eq!(froms(&outlines, 1, 0), [0; 0], "what is older is not known");
        assert_eq!(froms(&outlines, 1, 1), [1, 2, 3]);
    }
}
