//! What is given up while the broker does not have it: the oldest, when `max_bytes` is reached.
//!
//! Whole segments go. What lay in them is noted in the lane's record, durable before the file is
//! removed, and becomes a declared loss only when it is about to be sent: until then more can be
//! joined to it. The broker may name a batch that was sent before it was evicted, so of those the
//! headers stay; [`LaneRecord::sent`](crate::log::tail::LaneRecord) bounds which they are.

use std::io;

use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_agent_core::loss::Loss;
use headwater_agent_core::retention::oldest;
use headwater_wire::batch::Header;
use headwater_wire::uplink::{LossReason, LostRange, Position};

use super::uplink::sealed;
use super::{Engine, Lane};
use crate::log::error::is_damage;
use crate::log::error::{AppendError, ReadError};
use crate::log::segments::Reader;

/// Batches that may be handed out before the journal has to hear of it again.
const AHEAD: usize = 64;
/// Ranges of a lane that are given up and not declared; what lies between more is given up too.
const GIVEN_UP_MAX: usize = 32;

impl Engine {
    /// Gives up the oldest segment, of `among` or of all lanes; whether there was one. Only
    /// between commits.
    pub(super) fn evict(&mut self, among: Option<&LaneName>) -> bool {
        let mut candidates = Vec::new();
        for lane in self.lanes.values_mut() {
            let is_asked = among.is_none_or(|name| *name == lane.name);
            if is_asked && lane.segments.first().is_some() {
                let time_ms = lane.oldest_segment_ms(&mut self.reader);
                candidates.push((lane.name.clone(), time_ms));
            }
        }
        let Some(name) = oldest(candidates) else {
            return false;
        };
        match self.evict_segment(&name) {
            Ok(()) => true,
            Err(error) => {
                self.alarm("disk", format!("Segment cannot be given up: {error}"));
                false
            }
        }
    }

    /// As [`Self::admit`], giving up the oldest where the log may. Only between commits.
    pub(super) fn admit_or_evict(
        &mut self,
        name: &LaneName,
        bytes: u64,
    ) -> Result<(), AppendError> {
        loop {
            let admitted = self.admit(name, bytes);
            let own = match &admitted {
                Err(AppendError::Full { .. }) => None,
                Err(AppendError::Held { .. }) => Some(name),
                _ => return admitted,
            };
            if !self.options.drop_oldest || !self.evict(own) {
                return admitted;
            }
        }
    }

    fn evict_segment(&mut self, name: &LaneName) -> io::Result<()> {
        let now = self.now();
        let Some(lane) = self.lanes.get_mut(name) else {
            return Ok(());
        };
        let ledger = lane.segments.ledger(lane.segments_end());
        let Some((first, segment)) = lane.segments.first().zip(ledger.first()) else {
            return Ok(());
        };
        let before = (lane.record.clone(), lane.losses.clone());
        let from = first.max(lane.acked).max(lane.record.evicted);
        let to = segment.end;
        lane.remember_sent(&mut self.reader, from, to);
        for range in lane.not_declared(from, to) {
            let loss = lane.describe(&mut self.reader, range);
            lane.give_up(loss);
        }
        lane.record.evicted = lane.record.evicted.max(to);
        lane.is_dirty = true;
        if let Err(error) = self.store_frame(now) {
            if let Some(lane) = self.lanes.get_mut(name) {
                (lane.record, lane.losses) = before;
            }
            return Err(io::Error::other(error));
        }
        self.alarm(
            "overflow",
            format!("{name}: log.max_bytes is reached, the oldest events are given up"),
        );
        self.changed = true;
        match self.lanes.get_mut(name) {
            Some(lane) => lane.segments.remove_oldest(&mut self.reader, 1),
            None => Ok(()),
        }
    }

    /// A batch is about to be handed out: what is evicted from now on must be remembered up to
    /// here, by a process to come too.
    pub(super) fn handed_out(
        &mut self,
        name: &LaneName,
        batch: &SealedBatch,
    ) -> Result<(), ReadError> {
        let now = self.now();
        let Some(lane) = self.lanes.get_mut(name) else {
            return Ok(());
        };
        lane.read_to = batch.next;
        if batch.next <= lane.record.sent {
            return Ok(());
        }
        let before = lane.record.sent;
        lane.record.sent = lane.end_ahead(&mut self.reader, batch);
        lane.is_dirty = true;
        self.store_frame(now).map(drop).map_err(|error| {
            if let Some(lane) = self.lanes.get_mut(name) {
                lane.record.sent = before;
            }
            ReadError::Io(error)
        })
    }

    /// What is sealed by the coming commit will be sent at once where the link keeps up: the frame
    /// that is written anyway says so.
    pub(super) fn expect_sending(&mut self) {
        if !self.link_up {
            return;
        }
        for lane in self.lanes.values_mut() {
            let fresh = lane.full.iter().chain(&lane.fresh_small);
            let Some((first, last)) = fresh.clone().next().zip(fresh.last()) else {
                continue;
            };
            if lane.read_to >= first.first && lane.record.sent < last.next {
                lane.record.sent = last.next;
                lane.is_dirty = true;
            }
        }
    }
}

impl Lane {
    /// What is given up at `from`, as a loss to be declared.
    pub(super) fn given_up_at(&self, from: Position) -> Option<Loss> {
        let covers = |loss: &&Loss| loss.range.from <= from && from < loss.range.to;
        let mut loss = *self.record.given_up.iter().find(covers)?;
        if loss.range.from < from {
            loss.first_ms = None;
            loss.range.from = from;
        }
        Some(loss)
    }

    /// What lies below `acked` arrived after all.
    pub(super) fn cut_given_up(&mut self, acked: Position) {
        if self
            .record
            .given_up
            .first()
            .is_some_and(|loss| loss.range.from < acked)
        {
            let from = Position::ZERO;
            self.take_given_up(LostRange { from, to: acked });
        }
    }

    /// Takes a range out of what is given up: it is declared, or it arrived.
    pub(super) fn take_given_up(&mut self, range: LostRange) {
        let mut rest = Vec::with_capacity(self.record.given_up.len());
        for loss in &self.record.given_up {
            let LostRange { from, to } = loss.range;
            if from < range.from {
                let mut below = *loss;
                below.range.to = to.min(range.from);
                if below.range.to < to {
                    (below.last_ms, below.crc) = (None, None);
                }
                rest.push(below);
            }
            if range.to < to {
                let mut above = *loss;
                above.range.from = from.max(range.to);
                if above.range.from > from {
                    above.first_ms = None;
                }
                rest.push(above);
            }
        }
        if rest != self.record.given_up {
            self.record.given_up = rest;
            self.is_dirty = true;
        }
    }

    pub(super) fn give_up(&mut self, loss: Loss) {
        let given_up = &mut self.record.given_up;
        match given_up.last_mut() {
            Some(last) if last.range.to == loss.range.from && last.reason == loss.reason => {
                join(last, &loss);
            }
            _ => given_up.push(loss),
        }
        if given_up.len() > GIVEN_UP_MAX
            && let (Some(newer), Some(last)) = (given_up.pop(), given_up.last_mut())
        {
            join(last, &newer);
            last.reason = LossReason::Overflow;
            let between = last.range;
            let is_between =
                |batch: &SealedBatch| between.from < batch.next && batch.first < between.to;
            let losses = std::mem::take(&mut self.losses);
            let (gone, kept) = losses.into_iter().partition(|loss| is_between(&loss.batch));
            self.losses = kept;
            let gone: Vec<super::lane::Entry> = gone;
            gone.iter().for_each(|loss| self.remember(&loss.batch));
        }
    }

    /// The parts of a range that no declared loss covers.
    pub(super) fn not_declared(&self, from: Position, to: Position) -> Vec<LostRange> {
        let mut parts = Vec::new();
        let mut at = from;
        for loss in &self.losses {
            let (first, next) = (loss.batch.first.max(at), loss.batch.next.min(to));
            if first < next {
                parts.push(LostRange {
                    from: at,
                    to: first,
                });
                at = next;
            }
        }
        parts.push(LostRange { from: at, to });
        parts.retain(|part| part.from < part.to);
        parts
    }

    /// What is known of a range that is evicted.
    pub(super) fn describe(&self, reader: &mut Reader, range: LostRange) -> Loss {
        let header = |bytes: &[u8]| Header::parse(bytes).ok();
        let first = self.segments.read(reader, range.from);
        let last = self.segments.last_below(reader, range.to);
        let is_damaged = |error: &io::Error| is_damage(error);
        let reason = if last.as_ref().is_err_and(is_damaged) {
            LossReason::Damaged
        } else {
            LossReason::Overflow
        };
        let first = first.ok().flatten().and_then(|bytes| header(&bytes));
        let last = last.ok().flatten().filter(|last| last.next == range.to);
        Loss {
            range,
            reason,
            first_ms: first.map(|header| header.base_timestamp),
            last_ms: last
                .as_ref()
                .and_then(|last| Some(header(&last.bytes)?.max_timestamp)),
            crc: last.map(|last| self.known_crc(&last)),
        }
    }

    /// Remembers the batches from `from` on that may have been sent and are not acknowledged, and
    /// the last one that is: the broker may name any of them.
    pub(super) fn remember_sent(&mut self, reader: &mut Reader, from: Position, to: Position) {
        if let Ok(Some(last)) = self.segments.last_below(reader, from)
            && last.next == from
        {
            self.remember(&last);
        }
        let to = to.min(self.record.sent);
        let mut at = from;
        while at < to {
            let read = self.segments.read(reader, at).ok().flatten();
            match read.and_then(sealed) {
                Some(batch) => {
                    self.remember(&batch);
                    at = batch.next;
                }
                None => match self.segments.first_from(reader, Position(at.0 + 1)) {
                    Some(next) => at = next,
                    None => break,
                },
            }
        }
    }

    /// The end of what may be handed out once `batch` was, without another word to the journal.
    fn end_ahead(&self, reader: &mut Reader, batch: &SealedBatch) -> Position {
        let small = self.small.iter().map(|entry| &entry.batch);
        let small = small.filter(|small| small.first >= batch.first);
        let end = match small.take(AHEAD).last() {
            Some(last) => Some(last.next),
            None => {
                let ahead = self.segments.end_ahead(reader, batch.first, AHEAD);
                ahead.ok().flatten()
            }
        };
        end.unwrap_or(batch.next)
            .clamp(batch.next, self.sealed().max(batch.next))
    }

    /// Timestamp of the oldest event in a segment that is not acknowledged.
    fn oldest_segment_ms(&mut self, reader: &mut Reader) -> Option<i64> {
        let at = self.segments.first()?.max(self.acked);
        match self.oldest_ms {
            Some((known, oldest_ms)) if known == at => Some(oldest_ms),
            _ => {
                let oldest_ms = self.base_timestamp(reader, at)?;
                self.oldest_ms = Some((at, oldest_ms));
                Some(oldest_ms)
            }
        }
    }
}

/// `newer` follows `last`, with or without something in between.
fn join(last: &mut Loss, newer: &Loss) {
    last.range.to = newer.range.to;
    last.first_ms = last.first_ms.or(newer.first_ms);
    last.last_ms = newer.last_ms.or(last.last_ms);
    last.crc = newer.crc;
}

#[cfg(test)]
impl Engine {
    /// For tests of positions that no test could fill: all below `to` was there, and is given up.
    /// Only while no record is open.
    pub(in crate::log) fn give_up_to(&mut self, name: &LaneName, to: Position) {
        let lane = self.lanes.get_mut(name).expect("a lane");
        let from = lane.batcher.next();
        lane.give_up(Loss {
            range: LostRange { from, to },
            reason: LossReason::Overflow,
            first_ms: None,
            last_ms: None,
            crc: None,
        });
        lane.record.evicted = to;
        lane.batcher.skip_to(to);
        lane.durable = to;
        lane.is_dirty = true;
    }
}
