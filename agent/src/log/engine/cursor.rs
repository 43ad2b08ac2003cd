//! Steps: events and the cursor of their source, durable with one frame of the journal.
//!
//! A commit of many appends writes full batches into segments and the rest into a frame: two
//! syncs, and a crash may come between them. So a step goes into one frame, whole, and what is
//! full afterwards moves to a segment from there.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::time::Millis;

use super::group::Answer;
use super::{Engine, Lane};
use crate::log::append::Event;
use crate::log::error::AppendError;
use crate::log::space::COMMIT_OVERHEAD_BYTES;
use crate::log::step::{STEP_BYTES_MAX, Step};
use crate::log::tail::{BODY_BYTES_MAX, Section};

/// Sources whose cursors are kept, those that the settings no longer name included.
const CURSORS_MAX: usize = 256;
/// What a frame takes beside a step's events: batches that these close, states, the cursor.
const AROUND_BYTES: usize = 512 << 10;
const _: () = assert!(STEP_BYTES_MAX + AROUND_BYTES < BODY_BYTES_MAX);

/// A step that waits.
#[derive(Debug)]
pub(in crate::log) struct PendingStep {
    pub(in crate::log) step: Step,
    pub(in crate::log) answer: Answer,
}

/// Where the sources stand.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    durable: BTreeMap<String, Bytes>,
    /// What the present commit adds.
    fresh: Option<(String, Bytes)>,
}

impl Engine {
    /// The cursor of the last step of `source` that is durable.
    pub(in crate::log) fn cursor(&self, source: &str) -> Option<Bytes> {
        self.cursors.durable.get(source).cloned()
    }

    /// Makes a step durable and answers it. `before_answer` is called in between.
    pub(in crate::log) fn run_step(
        &mut self,
        step: PendingStep,
        before_answer: impl FnOnce(&mut Self),
    ) {
        let PendingStep { step, answer } = step;
        let now = self.now();
        let outcome = self.store_step(now, &step);
        before_answer(self);
        let is_durable = outcome.is_ok();
        // Nobody may be waiting any more; that changes nothing.
        drop(answer.send(outcome));
        if is_durable {
            self.move_full(now, &step);
        }
        self.trim(now);
    }

    fn store_step(&mut self, now: Millis, step: &Step) -> Result<(), AppendError> {
        self.cursors.check_room(&step.source)?;
        let bytes = step.bytes();
        let reserved: u64 = self.lanes.values().map(Lane::reserved_bytes).sum();
        self.make_room(reserved + 2 * bytes as u64 + 3 * COMMIT_OVERHEAD_BYTES);
        for (lane, _) in step.lanes() {
            self.admit_or_evict(&lane, bytes as u64)?;
        }
        let stored = self.store_in_frame(now, step, bytes);
        let failure = |error: &AppendError| match error {
            AppendError::Io(error) => Some(error.clone()),
            _ => None,
        };
        if let Some(error) = stored.as_ref().err().and_then(failure) {
            self.note(now, &Err(error));
        } else {
            self.note(now, &Ok(true));
        }
        stored
    }

    fn store_in_frame(
        &mut self,
        now: Millis,
        step: &Step,
        bytes: usize,
    ) -> Result<(), AppendError> {
        // A file's first frame may hold less: only a file with room is begun with.
        if self.journal.is_full(bytes + AROUND_BYTES) {
            self.checkpoint(now).map_err(AppendError::Io)?;
        }
        let before = self.intake_bytes(step);
        if let Err(error) = self.push_and_store(now, step) {
            self.undo(now, step);
            return Err(error);
        }
        let added = self.intake_bytes(step).saturating_sub(before) as u64;
        self.rates.intake_bytes.add(now, added);
        Ok(())
    }

    fn push_and_store(&mut self, now: Millis, step: &Step) -> Result<(), AppendError> {
        for (name, events) in step.lanes() {
            self.push_all(now, &name, events)?;
        }
        self.cursors.fresh = Some((step.source.clone(), step.cursor.clone()));
        self.store_frame(now).map_err(AppendError::Io).map(drop)
    }

    /// Takes events into the open batch; one that they make too large lies in the same frame.
    fn push_all(
        &mut self,
        now: Millis,
        name: &LaneName,
        events: &[Event],
    ) -> Result<(), AppendError> {
        let Some(lane) = self.lanes.get_mut(name) else {
            return Err(AppendError::Stream("Lane is not in the log".into()));
        };
        for event in events {
            if !lane.batcher.has_room(event.bytes()) {
                while let Some(batch) = lane.batcher.poll_seal(&mut self.compressor) {
                    lane.close(batch, true);
                }
            }
            lane.push(now, event)?;
        }
        Ok(())
    }

    /// Everything is as it was after the last commit.
    fn undo(&mut self, now: Millis, step: &Step) {
        self.cursors.roll_back();
        for (name, _) in step.lanes() {
            if let Some(lane) = self.lanes.get_mut(&name) {
                lane.roll_back(now);
            }
        }
    }

    /// Moves what is full into segments. What fails stays in the journal, and is told.
    fn move_full(&mut self, now: Millis, step: &Step) {
        for (name, _) in step.lanes() {
            let Some(lane) = self.lanes.get_mut(&name) else {
                continue;
            };
            while let Some(batch) = lane.batcher.poll_full(&mut self.compressor) {
                lane.close(batch, false);
            }
        }
        let stored = self.store(now);
        self.note(now, &stored);
    }

    fn intake_bytes(&self, step: &Step) -> usize {
        let lanes = step.lanes().filter_map(|(name, _)| self.lanes.get(&name));
        lanes.map(|lane| lane.batcher.compressed_bytes()).sum()
    }
}

impl Cursors {
    /// What a frame says.
    pub(super) fn recover(&mut self, source: String, cursor: &[u8]) {
        // A copy, since the bytes are part of a frame that would stay in memory with it.
        self.durable.insert(source, Bytes::copy_from_slice(cursor));
    }

    fn check_room(&self, source: &str) -> Result<(), AppendError> {
        if self.durable.len() < CURSORS_MAX || self.durable.contains_key(source) {
            return Ok(());
        }
        let text = format!("Log keeps the cursors of {CURSORS_MAX} sources and takes no more");
        Err(AppendError::Stream(text))
    }

    /// What the present commit adds.
    pub(super) fn put_fresh(&self, out: &mut Vec<u8>) {
        if let Some((source, cursor)) = &self.fresh {
            Section::Cursor(source.clone(), cursor.clone()).encode_into(out);
        }
    }

    /// All of them, for a checkpoint.
    pub(super) fn put_all(&self, out: &mut Vec<u8>) {
        for (source, cursor) in &self.durable {
            Section::Cursor(source.clone(), cursor.clone()).encode_into(out);
        }
        self.put_fresh(out);
    }

    pub(super) fn commit_done(&mut self) {
        self.durable.extend(self.fresh.take());
    }

    pub(super) fn roll_back(&mut self) {
        self.fresh = None;
    }
}
