//! One commit: takes all appends that wait, makes them durable, and only then answers.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::time::Millis;
use headwater_wire::uplink::Position;
use tokio::sync::oneshot;

use super::{Engine, LANES_MAX, Lane, millis, shared};
use crate::log::append::Event;
use crate::log::error::AppendError;
use crate::log::space::COMMIT_OVERHEAD_BYTES;
use crate::log::step::EVENT_OVERHEAD_BYTES;

/// A batch closed by age below this lies in the journal until more have gathered.
const SMALL_BYTES_MAX: usize = 32 << 10;
/// Timestamps beyond this, or below zero, are no time of an event: differences between them
/// would not fit a record.
const TIMESTAMP_MAX: i64 = 1 << 60;
/// How long a disk that failed is left alone by what nobody waits for, ms.
pub(super) const RETRY_MS: i64 = 1_000;

/// An append that waits.
#[derive(Debug)]
pub(in crate::log) struct Pending {
    pub(in crate::log) lane: LaneName,
    pub(in crate::log) events: Vec<Event>,
    pub(in crate::log) answer: Answer,
}

pub(in crate::log) type Answer = oneshot::Sender<Result<(), AppendError>>;

/// An append that was taken: durable once its lane is, up to `end`.
struct Taken {
    lane: LaneName,
    end: Position,
    answer: Answer,
}

impl Engine {
    /// For tests, which look at the engine itself.
    #[cfg(test)]
    pub(in crate::log) fn run(&mut self, appends: Vec<Pending>) {
        self.run_then(appends, |_| {});
    }

    /// Makes `appends` durable and answers them, together with whatever is due. `before_answers`
    /// is called when everything is durable and nobody knows yet.
    pub(in crate::log) fn run_then(
        &mut self,
        appends: Vec<Pending>,
        mut before_answers: impl FnMut(&mut Self),
    ) {
        let now = self.now();
        self.make_room_for(&appends);
        let mut appends = appends.into_iter().peekable();
        loop {
            let (taken, full) = self.take_some(now, &mut appends);
            self.close_by_age(now);
            let stored = self.store(now);
            self.note(now, &stored);
            before_answers(self);
            self.answer(taken, &stored);
            if matches!(&stored, Err(error) if error.kind() == io::ErrorKind::StorageFull) {
                // The disk is smaller than `max_bytes`, or others fill it: the next try has more
                // room.
                let _ = self.give_up_oldest() || (self.options.drop_oldest && self.evict(None));
            }
            let Some(append) = appends.peek() else {
                break;
            };
            let lane = append.lane.clone();
            let own = matches!(full, Some(AppendError::Held { .. })).then_some(&lane);
            if !self.evict(own)
                && let (Some(append), Some(error)) = (appends.next(), full)
            {
                // Nobody may be waiting any more; that changes nothing.
                drop(append.answer.send(Err(error)));
            }
        }
        self.trim(now);
    }

    /// Takes appends until one finds no room that eviction could make; gives why it did not.
    fn take_some(
        &mut self,
        now: Millis,
        appends: &mut std::iter::Peekable<std::vec::IntoIter<Pending>>,
    ) -> (Vec<Taken>, Option<AppendError>) {
        let mut taken = Vec::new();
        while let Some(append) = appends.peek() {
            let outcome = self.take(now, &append.lane, &append.events);
            let is_full = matches!(
                &outcome,
                Err(AppendError::Full { .. } | AppendError::Held { .. })
            );
            if is_full && self.options.drop_oldest {
                return (taken, outcome.err());
            }
            let Some(Pending { lane, answer, .. }) = appends.next() else {
                break;
            };
            match outcome {
                Ok(end) if cfg!(hw_fault = "ack_before_sync") => {
                    let _ = (end, answer.send(Ok(())));
                }
                Ok(end) => taken.push(Taken { lane, end, answer }),
                // Nobody may be waiting any more; that changes nothing.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        (taken, None)
    }

    /// Gives up acknowledged segments if `appends` would not fit beside them.
    fn make_room_for(&mut self, appends: &[Pending]) {
        let bytes: usize = appends.iter().map(Pending::bytes).sum();
        let reserved: u64 = self.lanes.values().map(Lane::reserved_bytes).sum();
        self.make_room(reserved + 2 * bytes as u64 + 3 * COMMIT_OVERHEAD_BYTES);
    }

    /// Takes one append into the open batch of its lane, whole or not at all.
    fn take(
        &mut self,
        now: Millis,
        name: &LaneName,
        events: &[Event],
    ) -> Result<Position, AppendError> {
        self.admit(name, events_bytes(events) as u64)?;
        let compressor = &mut self.compressor;
        let Some(lane) = self.lanes.get_mut(name) else {
            return Err(AppendError::Stream("Lane is not in the log".into()));
        };
        let before = lane.batcher.compressed_bytes() + full_bytes(lane);
        for event in events {
            if !lane.batcher.has_room(event.bytes()) {
                while let Some(batch) = lane.batcher.poll_seal(compressor) {
                    lane.close(batch, false);
                }
            }
            lane.push(now, event)?;
            while let Some(batch) = lane.batcher.poll_full(compressor) {
                lane.close(batch, false);
            }
        }
        let after = lane.batcher.compressed_bytes() + full_bytes(lane);
        self.rates
            .intake_bytes
            .add(now, after.saturating_sub(before) as u64);
        Ok(lane.batcher.next())
    }

    /// Whether `bytes` more may come, uncompressed: refused early rather than late.
    pub(super) fn admit(&mut self, name: &LaneName, bytes: u64) -> Result<(), AppendError> {
        match self.lane(name) {
            Ok(Some(_)) => {}
            Ok(None) => {
                let text = format!("Log has {LANES_MAX} lanes and takes no more");
                return Err(AppendError::Stream(text));
            }
            Err(error) => return Err(AppendError::Io(shared(error))),
        }
        let reserved: u64 = self.lanes.values().map(Lane::reserved_bytes).sum();
        let budget = self.budget();
        // What does not compress may take twice its bytes, in pages of a power of two.
        if !budget.has_room(reserved + 2 * bytes + 2 * COMMIT_OVERHEAD_BYTES) {
            let (used, max_bytes) = (budget.used + reserved, budget.max_bytes);
            return Err(AppendError::Full { used, max_bytes });
        }
        let lane = self.lanes.get(name);
        if let Some((lane, error)) = lane.and_then(|lane| Some((lane, lane.held.clone()?))) {
            let lane_bytes = lane.segments.allocated() + lane.reserved_bytes();
            if !budget.held_has_room(lane_bytes, bytes) {
                return Err(AppendError::Held {
                    lane: name.to_string(),
                    error,
                });
            }
        }
        Ok(())
    }

    /// Closes what is old enough, while it can leave.
    fn close_by_age(&mut self, now: Millis) {
        let is_waiting = self.retry_at.is_some_and(|retry_at| now < retry_at);
        if !self.link_up || is_waiting {
            return;
        }
        let age_ms = millis(self.options.batch_age);
        for lane in self.lanes.values_mut() {
            let is_due = lane
                .batcher
                .opened_at()
                .is_some_and(|at| now >= at.plus(age_ms));
            while is_due && let Some(batch) = lane.batcher.poll_seal(&mut self.compressor) {
                let is_small = batch.bytes.len() < SMALL_BYTES_MAX;
                lane.close(batch, is_small);
            }
        }
    }

    /// Tells about a failing disk, and that it works again.
    pub(super) fn note(&mut self, now: Millis, stored: &Result<bool, Arc<io::Error>>) {
        match stored {
            Ok(wrote) => {
                self.retry_at = None;
                if *wrote {
                    self.clear_alarm("disk");
                }
            }
            Err(error) => {
                self.retry_at = Some(now.plus(RETRY_MS));
                self.alarm("disk", format!("Log cannot be written: {error}"));
            }
        }
    }

    fn answer(&self, taken: Vec<Taken>, stored: &Result<bool, Arc<io::Error>>) {
        for Taken { lane, end, answer } in taken {
            let is_durable = self
                .lanes
                .get(&lane)
                .is_some_and(|lane| end <= lane.durable);
            let outcome = match stored {
                _ if is_durable => Ok(()),
                Err(error) => Err(AppendError::Io(error.clone())),
                Ok(_) => Err(AppendError::Io(shared(io::Error::other(
                    "commit came to nothing",
                )))),
            };
            // Nobody may be waiting any more; that changes nothing.
            drop(answer.send(outcome));
        }
    }
}

impl Lane {
    /// Adds an event to the open batch.
    pub(super) fn push(&mut self, now: Millis, event: &Event) -> Result<(), AppendError> {
        let headers = event.headers.iter();
        let headers =
            headers.map(|(name, value)| (name.as_str(), value.as_ref().map(Bytes::as_ref)));
        let timestamp = event.timestamp.clamp(0, TIMESTAMP_MAX);
        let (key, value) = (Some(event.key.as_bytes()), Some(event.value.as_ref()));
        let pushed = self.batcher.push(now, timestamp, key, value, headers);
        pushed.map_err(|error| AppendError::Stream(format!("Event cannot be encoded: {error}")))
    }
}

impl Pending {
    /// What its events take, uncompressed, at most.
    pub(in crate::log) fn bytes(&self) -> usize {
        events_bytes(&self.events)
    }
}

fn events_bytes(events: &[Event]) -> usize {
    events
        .iter()
        .map(|event| event.bytes() + EVENT_OVERHEAD_BYTES)
        .sum()
}

fn full_bytes(lane: &Lane) -> usize {
    lane.full.iter().map(|batch| batch.bytes.len()).sum()
}
