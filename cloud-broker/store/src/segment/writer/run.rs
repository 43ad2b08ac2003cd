//! Gathers what the directory says of one partition.

use headwater_broker_core::Entry;
use headwater_wire::batch::Header as BatchHeader;

use crate::format::segment::{Block, Epoch, Run, RunId};

/// The open run.
#[derive(Debug)]
pub(crate) struct RunBuilder {
    run: Run,
    index_start: usize,
    timestamp_so_far: i64,
}

impl RunBuilder {
    /// A run without batches, whose index begins at `index_start` of all indexes.
    pub(crate) fn new(id: RunId, index_start: usize) -> Self {
        let run = Run {
            id,
            from: 0,
            to: 0,
            batches: 0,
            records: 0,
            bytes: 0,
            max_timestamp: i64::MIN,
            arrival_ms_min: i64::MAX,
            arrival_ms_max: i64::MIN,
            epochs: Vec::new(),
            blocks: 0,
            index_pos: 0,
            index_len: 0,
            index_crc: 0,
        };
        Self {
            run,
            index_start,
            timestamp_so_far: i64::MIN,
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.run.id
    }

    pub(crate) fn index_start(&self) -> usize {
        self.index_start
    }

    /// Counts a batch; false, and nothing is counted, if its offsets or its epoch do not follow.
    pub(crate) fn add(&mut self, entry: &Entry, header: &BatchHeader) -> bool {
        let run = &mut self.run;
        let last = run.epochs.last().map(|epoch| epoch.epoch);
        let follows = entry.base_offset >= run.to && last.is_none_or(|last| last <= entry.epoch);
        if !follows {
            return false;
        }
        if run.batches == 0 {
            run.from = entry.base_offset;
        }
        if last != Some(entry.epoch) {
            run.epochs.push(Epoch {
                epoch: entry.epoch,
                from: entry.base_offset,
            });
        }
        run.to = entry.end_offset();
        run.batches += 1;
        run.records += u64::try_from(header.record_count).unwrap_or(0);
        run.bytes += header.total_bytes() as u64;
        run.max_timestamp = run.max_timestamp.max(header.max_timestamp);
        run.arrival_ms_min = run.arrival_ms_min.min(entry.arrival_ms);
        run.arrival_ms_max = run.arrival_ms_max.max(entry.arrival_ms);
        true
    }

    /// Counts a block, whose `timestamp_so_far` becomes that of the run so far.
    pub(crate) fn count_block(&mut self, block: &mut Block) {
        self.run.blocks += 1;
        self.timestamp_so_far = self.timestamp_so_far.max(block.timestamp_so_far);
        block.timestamp_so_far = self.timestamp_so_far;
    }

    pub(crate) fn finish(mut self, index_len: u32, index_crc: u32) -> Run {
        self.run.index_len = index_len;
        self.run.index_crc = index_crc;
        self.run
    }
}
