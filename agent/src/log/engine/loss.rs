//! Declared losses: made once, durable before anybody sends them, counted once confirmed.

use std::io;

use headwater_agent_core::handshake::ResumeAnswer;
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_agent_core::loss::Loss;
use headwater_wire::batch::{Header, payload, records};
use headwater_wire::uplink::{LossReason, LostRange, Position};

use super::lane::Entry;
use super::uplink::no_lane;
use super::{Engine, Lane, shared};
use crate::log::error::ReadError;
use crate::log::tail::crc_of;

/// Of a loss, what is only sometimes known.
pub(super) const UNKNOWN: Loss = Loss {
    range: LostRange {
        from: Position::ZERO,
        to: Position::ZERO,
    },
    reason: LossReason::Damaged,
    first_ms: None,
    last_ms: None,
    crc: None,
};

impl Engine {
    /// What should lie at `from` cannot be read: it is declared lost up to what can.
    pub(super) fn declare_damaged(
        &mut self,
        name: &LaneName,
        from: Position,
    ) -> Result<SealedBatch, ReadError> {
        let lane = self.lanes.get(name).ok_or_else(|| no_lane(name))?;
        let behind = Position(from.0 + 1);
        let journal = lane
            .losses
            .iter()
            .chain(&lane.small)
            .map(|entry| entry.batch.first);
        let segment = lane.segments.first_from(&mut self.reader, behind);
        let to = journal.chain(segment).filter(|first| *first > from).min();
        let to = to.unwrap_or_else(|| lane.sealed());
        let loss = Loss {
            range: LostRange { from, to },
            reason: LossReason::Damaged,
            ..UNKNOWN
        };
        self.alarm(
            "damaged",
            format!("{name}: positions {} cannot be read", loss.range),
        );
        self.declare(name, &loss)
    }

    /// Makes a loss's batch, once, and makes it durable before anybody sends it.
    pub(super) fn declare(
        &mut self,
        name: &LaneName,
        loss: &Loss,
    ) -> Result<SealedBatch, ReadError> {
        let now = self.now();
        let wall_ms = self.options.clock.wall_ms().max(0);
        let device = &self.identity.device;
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        let batch = lane
            .loss_batch(device, loss, wall_ms)
            .map_err(|error| ReadError::Io(shared(error)))?;
        let before = (lane.losses.clone(), lane.record.clone());
        lane.put_loss(batch.clone());
        lane.take_given_up(loss.range);
        lane.record.sent = lane.record.sent.max(batch.next);
        lane.fresh_losses.push(batch.clone());
        let stored = self.store_frame(now);
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        lane.fresh_losses.clear();
        if let Err(error) = stored {
            (lane.losses, lane.record) = before;
            return Err(ReadError::Io(error));
        }
        self.changed = true;
        Ok(batch)
    }
}

impl Lane {
    /// The batch that declares a range of the log.
    pub(super) fn loss_batch(
        &self,
        device: &str,
        loss: &Loss,
        wall_ms: i64,
    ) -> io::Result<SealedBatch> {
        let known = Loss {
            range: LostRange {
                from: self.known_as(loss.range.from),
                to: self.known_end(loss.range.to),
            },
            ..*loss
        };
        let batch = known
            .batch(device, &self.name, self.record.generation, wall_ms)
            .map_err(io::Error::other)?;
        Ok(SealedBatch {
            first: loss.range.from,
            next: loss.range.to,
            ..batch
        })
    }

    /// A declared loss of which the broker has the first part, after all.
    pub(super) fn cut_loss(&self, n: Position) -> Option<Loss> {
        let is_cut = |entry: &&Entry| entry.batch.first < n && n < entry.batch.next;
        let batch = &self.losses.iter().find(is_cut)?.batch;
        let range = LostRange {
            from: n,
            to: batch.next,
        };
        Some(Loss {
            range,
            reason: LossText::of(&batch.bytes)?.reason()?,
            ..UNKNOWN
        })
    }

    /// The broker's last entry is the batch in whose place a loss was declared: it arrived after
    /// all.
    pub(super) fn drop_unneeded_loss(&mut self, answer: &ResumeAnswer) {
        let is_other = |entry: &Entry| {
            !entry.is_counted
                && entry.batch.next == answer.next
                && answer
                    .crc
                    .is_some_and(|crc| crc != crc_of(&entry.batch.bytes))
        };
        self.losses.retain(|entry| !is_other(entry));
    }

    /// What the journal says was declared, without what was let go.
    pub(super) fn recover_losses(&mut self, losses: Vec<SealedBatch>) {
        let (trimmed, acked) = (self.record.trimmed, self.record.acked);
        for SealedBatch { bytes, .. } in losses {
            // One of an earlier generation is carried over in the record.
            let Some(LostRange { from, to }) = self.held_loss(&bytes) else {
                continue;
            };
            if to > trimmed {
                let (first, next) = (from, to);
                self.put_loss(SealedBatch { first, next, bytes });
            }
        }
        for loss in &mut self.losses {
            loss.is_counted = loss.batch.next <= acked;
        }
    }

    /// Events of declared losses that the broker has not confirmed.
    pub(super) fn unconfirmed(&self, reason: LossReason) -> u64 {
        let losses = self.losses.iter().filter(|loss| !loss.is_counted);
        let texts = losses.filter_map(|loss| LossText::of(&loss.batch.bytes));
        let of_reason = texts.filter(|text| text.reason() == Some(reason));
        of_reason.map(|text| text.counted()).sum()
    }

    /// Counts the losses that the broker has confirmed.
    pub(super) fn confirm_losses(&mut self, up_to: Position) {
        for loss in &mut self.losses {
            if loss.batch.next <= up_to && !std::mem::replace(&mut loss.is_counted, true) {
                let text = LossText::of(&loss.batch.bytes);
                let (reason, events) = text.map_or(("damaged", 0), |text| text.of_reason());
                self.record.lost_events += events;
                *self.lost.entry(reason).or_default() += events;
                self.is_dirty = true;
            }
        }
    }
}

/// What the value of a loss record says.
#[derive(serde::Deserialize)]
pub(super) struct LossText {
    reason: String,
    events: u64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    crc: Option<String>,
}

impl LossText {
    pub(super) fn of(batch: &[u8]) -> Option<Self> {
        let header = Header::parse_exact(batch).ok()?;
        let record = records(&header, payload(&header, batch)).next()?.ok()?;
        serde_json::from_slice(record.value?).ok()
    }

    fn reason(&self) -> Option<LossReason> {
        self.reason.parse().ok()
    }

    /// What it says of a loss, its place apart.
    pub(super) fn loss(&self) -> Option<Loss> {
        let crc = self.crc.as_deref();
        Some(Loss {
            reason: self.reason()?,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            crc: crc.and_then(|hex| u32::from_str_radix(hex, 16).ok()),
            ..UNKNOWN
        })
    }

    /// What to count, and as what.
    fn of_reason(&self) -> (&'static str, u64) {
        let reason = self.reason().map_or("damaged", LossReason::as_str);
        (reason, self.counted())
    }

    fn counted(&self) -> u64 {
        let counts = self
            .reason()
            .is_some_and(|reason| Loss { reason, ..UNKNOWN }.counts());
        if counts { self.events } else { 0 }
    }
}
