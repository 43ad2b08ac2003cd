//! One lane: its open batch, small sealed batches, segments and declared losses.

use std::collections::{BTreeMap, VecDeque};

use headwater_agent_core::batcher::Batcher;
use headwater_agent_core::lane::{LaneName, LaneState, SealedBatch};
use headwater_wire::batch::Compressor;
use headwater_wire::time::Millis;
use headwater_wire::uplink::{Position, producer_id};

use crate::log::segments::Segments;
use crate::log::space::{COMMIT_OVERHEAD_BYTES, value_bytes};
use crate::log::tail::{LaneRecord, REMEMBERED_ALL_MAX, REMEMBERED_MAX, Section};

/// Declared losses that a lane keeps once they are acknowledged.
const LOSSES_MAX: usize = 64;

#[derive(Debug)]
pub(in crate::log) struct Lane {
    pub(super) name: LaneName,
    pub(super) record: LaneRecord,
    /// Producer id of its generation.
    pub(super) id: i64,
    pub(super) batcher: Batcher,
    pub(super) segments: Segments,
    /// Sealed batches that lie in the journal, behind those in segments.
    pub(super) small: VecDeque<Entry>,
    /// Declared losses, in order, in place of whatever lies in their ranges.
    pub(super) losses: Vec<Entry>,
    pub(super) acked: Position,
    pub(super) held: Option<String>,
    /// Why it needs another generation, until it has it.
    pub(super) forked: Option<String>,
    /// Everything sealed below was handed out by this process, or was acknowledged.
    pub(super) read_to: Position,
    /// Everything below is durable; from here on events wait for the present commit.
    pub(super) durable: Position,
    /// Closed for the present commit, to lie in a segment.
    pub(super) full: Vec<SealedBatch>,
    /// Closed for the present commit, to lie in the journal.
    pub(super) fresh_small: Vec<SealedBatch>,
    /// Declared for the present commit.
    pub(super) fresh_losses: Vec<SealedBatch>,
    /// Whether the record changed since it was last in the journal.
    pub(super) is_dirty: bool,
    /// Events whose loss the broker confirmed since the log was opened, by reason.
    pub(super) lost: BTreeMap<&'static str, u64>,
    /// Position and timestamp of the oldest event that is not acknowledged, once looked up.
    pub(super) oldest_ms: Option<(Position, i64)>,
}

/// A batch in the journal.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) batch: SealedBatch,
    pub(super) acked_at: Option<Millis>,
    /// Of a loss: whether its events are among the lost ones already.
    pub(super) is_counted: bool,
}

impl Entry {
    pub(super) fn new(batch: SealedBatch) -> Self {
        Self {
            batch,
            acked_at: None,
            is_counted: false,
        }
    }
}

impl Lane {
    pub(super) fn new(
        device: &str,
        name: LaneName,
        record: LaneRecord,
        segments: Segments,
        target_bytes: usize,
    ) -> Self {
        let id = producer_id(device, &name.stream, &name.lane, record.generation);
        let first = record.open_first;
        let mut lane = Self {
            batcher: Batcher::new(id, first, target_bytes),
            id,
            name,
            record,
            segments,
            small: VecDeque::new(),
            losses: Vec::new(),
            acked: first,
            held: None,
            forked: None,
            read_to: first,
            durable: first,
            full: Vec::new(),
            fresh_small: Vec::new(),
            fresh_losses: Vec::new(),
            is_dirty: false,
            lost: BTreeMap::new(),
            oldest_ms: None,
        };
        lane.count_as_known();
        lane
    }

    /// Position to be sealed next, as far as it is durable.
    pub(super) fn sealed(&self) -> Position {
        let unfinished = self.full.first().or_else(|| self.fresh_small.first());
        unfinished.map_or_else(|| self.batcher.first(), |batch| batch.first)
    }

    /// First position of the oldest entry held.
    pub(super) fn oldest(&self) -> Position {
        let small = self.small.front().map(|entry| entry.batch.first);
        let loss = self.losses.first().map(|entry| entry.batch.first);
        let given_up = self.record.given_up.first().map(|loss| loss.range.from);
        let first = [self.segments.first(), small, loss, given_up]
            .into_iter()
            .flatten()
            .min();
        let first = first.unwrap_or_else(|| self.sealed());
        first.max(self.record.base)
    }

    pub(super) fn state(&self) -> LaneState {
        LaneState {
            name: self.name.clone(),
            generation: self.record.generation,
            predecessor: self.record.predecessor,
            oldest: self.known_end(self.oldest()),
            acked: self.known_end(self.acked),
            sealed: self.known_end(self.sealed()),
            next: self.known_end(self.durable),
        }
    }

    pub(super) fn small_bytes(&self) -> usize {
        self.small.iter().map(|entry| entry.batch.bytes.len()).sum()
    }

    /// Bytes that what is not in a segment will allocate there.
    pub(super) fn reserved_bytes(&self) -> u64 {
        let small: u64 = self
            .small
            .iter()
            .map(|entry| value_bytes(entry.batch.bytes.len()))
            .sum();
        let full: u64 = self
            .full
            .iter()
            .map(|batch| value_bytes(batch.bytes.len()))
            .sum();
        let open = self.batcher.compressed_bytes();
        let is_empty = self.batcher.is_empty() && self.small.is_empty() && self.full.is_empty();
        if is_empty {
            0
        } else {
            small + full + value_bytes(open) + COMMIT_OVERHEAD_BYTES
        }
    }

    /// What the journal has to hold of the lane, all of it, for a checkpoint.
    pub(super) fn put_all(&self, compressor: &mut Compressor, out: &mut Vec<u8>) {
        self.state_section().encode_into(out);
        let sealed = self
            .small
            .iter()
            .map(|entry| &entry.batch)
            .chain(&self.fresh_small);
        for batch in sealed {
            Section::Sealed(self.name.clone(), batch.bytes.clone()).encode_into(out);
        }
        for loss in &self.losses {
            Section::Loss(self.name.clone(), loss.batch.bytes.clone()).encode_into(out);
        }
        let mut open = Vec::new();
        self.batcher.encode_open_into(compressor, &mut open);
        self.put_events(open, out);
    }

    /// What the present commit adds.
    pub(super) fn put_fresh(&self, compressor: &mut Compressor, out: &mut Vec<u8>) {
        if self.is_dirty {
            self.state_section().encode_into(out);
        }
        for batch in &self.fresh_small {
            Section::Sealed(self.name.clone(), batch.bytes.clone()).encode_into(out);
        }
        for loss in &self.fresh_losses {
            Section::Loss(self.name.clone(), loss.bytes.clone()).encode_into(out);
        }
        let mut fresh = Vec::new();
        self.batcher.encode_fresh_into(compressor, &mut fresh);
        self.put_events(fresh, out);
    }

    fn put_events(&self, batch: Vec<u8>, out: &mut Vec<u8>) {
        if !batch.is_empty() {
            Section::Events(self.name.clone(), batch.into()).encode_into(out);
        }
    }

    fn state_section(&self) -> Section {
        let record = LaneRecord {
            open_first: self.batcher.first(),
            acked: self.acked,
            ..self.record.clone()
        };
        Section::State(self.name.clone(), record)
    }

    /// A batch was closed for the present commit: a small one may lie in the journal, unless one
    /// before it goes to a segment.
    pub(super) fn close(&mut self, batch: SealedBatch, is_small: bool) {
        if is_small && self.full.is_empty() {
            self.fresh_small.push(batch);
        } else {
            self.full.append(&mut self.fresh_small);
            self.full.push(batch);
        }
    }

    /// The present commit lies in the journal.
    pub(super) fn commit_done(&mut self) {
        self.small
            .extend(self.fresh_small.drain(..).map(Entry::new));
        self.batcher.made_durable();
        self.durable = self.batcher.next();
        self.is_dirty = false;
        self.drop_trimmed();
    }

    /// The present commit came to nothing, but for what lies in segments already.
    pub(super) fn roll_back(&mut self, now: Millis) {
        let mut unfinished = std::mem::take(&mut self.full);
        unfinished.append(&mut self.fresh_small);
        self.batcher.roll_back(now, &unfinished, self.durable);
    }

    /// Remembers an entry that is about to go: the broker may name it.
    pub(super) fn remember(&mut self, batch: &SealedBatch) {
        let entry = (batch.next, self.known_crc(batch));
        let remembered = &mut self.record.remembered;
        if remembered.contains(&entry) {
            return;
        }
        remembered.push(entry);
        // Of what is acknowledged only the last can be named, unless the broker goes back.
        let acked = self.acked;
        let is_old = |(end, _): &(Position, u32)| *end <= acked;
        while remembered.iter().filter(|entry| is_old(entry)).count() > REMEMBERED_MAX {
            let lowest = remembered.iter().map(|(end, _)| *end).min();
            let lowest = remembered.iter().position(|(end, _)| Some(*end) == lowest);
            lowest.map(|at| remembered.remove(at));
        }
        let excess = remembered.len().saturating_sub(REMEMBERED_ALL_MAX);
        remembered.drain(..excess);
        self.is_dirty = true;
    }

    /// Puts a declared loss in its place, instead of those that it covers or continues.
    pub(super) fn put_loss(&mut self, batch: SealedBatch) {
        let apart =
            |entry: &Entry| entry.batch.next <= batch.first || batch.next <= entry.batch.first;
        self.losses.retain(apart);
        let at = self
            .losses
            .partition_point(|entry| entry.batch.first < batch.first);
        // What had gone is here again, as far as this says that it has.
        self.record.trimmed = self.record.trimmed.min(batch.first);
        self.is_dirty = true;
        self.losses.insert(at, Entry::new(batch));
        self.limit_losses();
    }

    /// Lets go of acknowledged losses before their grace period is over, if there are very many.
    fn limit_losses(&mut self) {
        while self.losses.len() > LOSSES_MAX
            && let Some(at) = self.losses.iter().position(|loss| loss.acked_at.is_some())
        {
            let batch = self.losses.remove(at).batch;
            self.remember(&batch);
        }
    }

    /// Everything below is with the broker, as it says now.
    pub(super) fn acknowledge(&mut self, now: Millis, up_to: Position) {
        self.acked = up_to;
        self.read_to = self.read_to.max(up_to);
        self.cut_given_up(up_to);
        self.segments.acknowledge(now, up_to, self.segments_end());
        for entry in self.small.iter_mut().chain(&mut self.losses) {
            let is_acked = entry.batch.next <= up_to;
            entry.acked_at = is_acked.then(|| entry.acked_at.unwrap_or(now));
        }
    }

    /// Where the last segment ends.
    pub(super) fn segments_end(&self) -> Position {
        self.small
            .front()
            .map_or_else(|| self.sealed(), |entry| entry.batch.first)
    }
}
