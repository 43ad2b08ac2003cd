//! What goes: acknowledged, and past its grace period or in the way.

use std::io;

use headwater_agent_core::lane::LaneName;
use headwater_agent_core::retention::{expired, next_expiry};
use headwater_wire::time::Millis;

use super::group::RETRY_MS;
use super::lane::Entry;
use super::{Engine, Lane, millis};

impl Engine {
    /// Lets go of what is past its grace period. Only between commits.
    pub(in crate::log) fn trim(&mut self, now: Millis) {
        if self.next_trim().is_none_or(|due| now < due)
            || self.retry_at.is_some_and(|retry_at| now < retry_at)
        {
            return;
        }
        let keep_ms = self.keep_ms();
        let names: Vec<LaneName> = self.lanes.keys().cloned().collect();
        for name in names {
            let Some(lane) = self.lanes.get(&name) else {
                continue;
            };
            let count = expired(&lane.segments.ledger(lane.segments_end()), now, keep_ms);
            if count > 0
                && let Err(error) = self.remove_segments(now, &name, count)
            {
                self.retry_at = Some(now.plus(RETRY_MS));
                self.alarm("disk", format!("Segment cannot be removed: {error}"));
            }
            let Some(lane) = self.lanes.get_mut(&name) else {
                continue;
            };
            self.changed |= count > 0 || lane.trim_journal(now, keep_ms);
        }
    }

    /// When [`Self::trim`] will find something.
    pub(super) fn next_trim(&self) -> Option<Millis> {
        let keep_ms = self.keep_ms();
        self.lanes
            .values()
            .filter_map(|lane| lane.next_trim(keep_ms))
            .min()
    }

    /// Gives up acknowledged segments, the longest acknowledged first, until `bytes` more fit.
    /// Only between commits.
    pub(super) fn make_room(&mut self, bytes: u64) {
        while self.budget().missing(bytes) > 0 && self.give_up_oldest() {}
    }

    /// Gives up the segment that was acknowledged the longest time ago; whether there was one.
    /// Only between commits.
    pub(super) fn give_up_oldest(&mut self) -> bool {
        let oldest = |lane: &Lane| {
            let ledger = lane.segments.ledger(lane.segments_end());
            let acked_at = ledger.first()?.acked_at?;
            Some((acked_at, lane.name.clone()))
        };
        let Some((_, name)) = self.lanes.values().filter_map(oldest).min() else {
            return false;
        };
        self.remove_segments(self.now(), &name, 1).is_ok()
    }

    /// Removes a lane's oldest segments. What the broker may name of them is durable before.
    fn remove_segments(&mut self, now: Millis, name: &LaneName, count: usize) -> io::Result<()> {
        let Some(lane) = self.lanes.get_mut(name) else {
            return Ok(());
        };
        let ledger = lane.segments.ledger(lane.segments_end());
        let Some(end) = count.checked_sub(1).and_then(|last| ledger.get(last)) else {
            return Ok(());
        };
        lane.record.trimmed = lane.record.trimmed.max(end.end);
        lane.is_dirty = true;
        // A damaged one cannot say; the declared loss in its place is remembered instead.
        if let Ok(Some(batch)) = lane.segments.last_below(&mut self.reader, end.end) {
            lane.remember(&batch);
        }
        self.store_frame(now).map_err(io::Error::other)?;
        let Some(lane) = self.lanes.get_mut(name) else {
            return Ok(());
        };
        self.changed = true;
        lane.segments.remove_oldest(&mut self.reader, count)
    }

    fn keep_ms(&self) -> i64 {
        if cfg!(hw_fault = "delete_before_ack") {
            0
        } else {
            millis(self.options.keep_acked)
        }
    }
}

impl Lane {
    /// Lets go of small batches and losses past their grace period. They stay until what the
    /// broker may name of them is durable: with the next frame.
    fn trim_journal(&mut self, now: Millis, keep_ms: i64) -> bool {
        let mut changed = false;
        while let Some(entry) = self.first_to_trim()
            && entry.acked_at.is_some_and(|at| now.since(at) >= keep_ms)
        {
            let batch = entry.batch.clone();
            self.remember(&batch);
            self.record.trimmed = batch.next;
            self.is_dirty = true;
            changed = true;
        }
        changed
    }

    /// The oldest entry of the journal that was not let go, unless a segment lies before it.
    fn first_to_trim(&self) -> Option<&Entry> {
        let is_held = |entry: &&Entry| entry.batch.next > self.record.trimmed;
        let small = self.small.iter().find(is_held);
        let loss = self.losses.iter().find(is_held);
        let first = small
            .into_iter()
            .chain(loss)
            .min_by_key(|entry| entry.batch.first)?;
        let is_first = self
            .segments
            .first()
            .is_none_or(|segment| segment >= first.batch.next);
        is_first.then_some(first)
    }

    /// Drops what was let go: what the broker may name of it is durable now.
    pub(super) fn drop_trimmed(&mut self) {
        let trimmed = self.record.trimmed;
        while self
            .small
            .front()
            .is_some_and(|entry| entry.batch.next <= trimmed)
        {
            self.small.pop_front();
        }
        self.losses.retain(|entry| entry.batch.next > trimmed);
    }

    fn next_trim(&self, keep_ms: i64) -> Option<Millis> {
        let segment = next_expiry(&self.segments.ledger(self.segments_end()), keep_ms);
        let journal = self.first_to_trim().and_then(|entry| entry.acked_at);
        journal
            .map(|at| at.plus(keep_ms))
            .into_iter()
            .chain(segment)
            .min()
    }
}
