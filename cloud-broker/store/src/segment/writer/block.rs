//! Gathers the batches of one block.

use bytes::Bytes;
use headwater_broker_core::Entry;
use headwater_wire::batch::Header as BatchHeader;

use crate::format::FormatError;
use crate::format::segment::block::{self, Row};
use crate::format::segment::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, BLOCK_FILTER_BYTES_MAX, Block, RunId,
};

/// The open block; its memory is used again.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    data: Vec<u8>,
    rows: Vec<Row>,
    filters: Vec<Bytes>,
    filter_bytes: usize,
    max_timestamp: i64,
}

/// A block to be written.
#[derive(Debug)]
pub(super) struct Closed {
    /// For the index; `timestamp_so_far` is that of this block alone.
    pub(super) block: Block,
    /// Head and table.
    pub(super) front: Vec<u8>,
    /// Batches.
    pub(super) data: Vec<u8>,
}

impl BlockBuilder {
    /// Whether a batch of so many bytes belongs into the next block.
    pub(super) fn is_full_for(&self, batch_bytes: usize) -> bool {
        let filled =
            self.data.len() >= BLOCK_BYTES_MIN || self.filter_bytes > BLOCK_FILTER_BYTES_MAX;
        !self.rows.is_empty() && (filled || self.data.len() + batch_bytes > BLOCK_BYTES_MAX)
    }

    pub(super) fn bytes(&self) -> usize {
        self.data.len()
    }

    pub(super) fn push(&mut self, entry: &Entry, header: &BatchHeader, batch: &[u8]) {
        let filter = self.place_filter(&entry.topics);
        if self.rows.is_empty() {
            self.max_timestamp = header.max_timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.data.extend_from_slice(batch);
        self.rows.push(Row {
            base_offset: entry.base_offset,
            count: entry.count,
            len: u32::try_from(batch.len()).expect("a batch is shorter than a frame"),
            arrival_ms: entry.arrival_ms,
            filter,
        });
    }

    /// Ends the block, which will lie at `pos`; none if it is empty.
    pub(super) fn close(&mut self, id: RunId, pos: u64) -> Option<Result<Closed, FormatError>> {
        let [first, last] = [*self.rows.first()?, *self.rows.last()?];
        let data = std::mem::take(&mut self.data);
        let rows = std::mem::take(&mut self.rows);
        let filters = std::mem::take(&mut self.filters);
        self.filter_bytes = 0;
        let arrivals = rows.iter().map(|row| row.arrival_ms);
        let front = match block::encode(id, &rows, &data) {
            Ok(front) => front,
            Err(error) => return Some(Err(error)),
        };
        let len =
            u32::try_from(front.len() + data.len()).expect("a block is shorter than two frames");
        let block = Block {
            pos,
            len,
            from: first.base_offset,
            to: last.base_offset + i64::from(last.count),
            batches: u32::try_from(rows.len()).expect("each has 61 bytes"),
            timestamp_so_far: self.max_timestamp,
            arrival_ms_min: arrivals.clone().min().unwrap_or_default(),
            arrival_ms_max: arrivals.max().unwrap_or_default(),
            filters,
            filtered: rows.iter().all(|row| row.filter > 0),
        };
        Some(Ok(Closed { block, front, data }))
    }

    /// Takes back the memory of a block that was written.
    pub(super) fn reuse(&mut self, mut data: Vec<u8>) {
        data.clear();
        data.shrink_to(BLOCK_BYTES_MAX);
        self.data = data;
    }

    /// The filter's number, from 1; 0 for none.
    fn place_filter(&mut self, topics: &[u8]) -> u32 {
        if topics.is_empty() || topics.len() > usize::from(u16::MAX) {
            return 0;
        }
        let found = self.filters.iter().position(|filter| filter == topics);
        let at = found.unwrap_or_else(|| {
            self.filter_bytes += topics.len();
            self.filters.push(Bytes::copy_from_slice(topics));
            self.filters.len() - 1
        });
        u32::try_from(at + 1).expect("filters are few")
    }
}
