//! What the uplink asks: batches, acknowledgements, handshakes.

use std::io;

use bytes::Bytes;
use headwater_agent_core::handshake::{Decision, Handshake, ResumeAnswer, View, decide};
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_agent_core::loss::Loss;
use headwater_wire::batch::Header;
use headwater_wire::uplink::{LossReason, LostRange, Position};

use super::loss::UNKNOWN;
use super::wrap::InHole;
use super::{Engine, Lane, shared};
use crate::log::error::ReadError;
use crate::log::error::is_damage;
use crate::log::segments::Reader;
use crate::log::tail::range;

impl Engine {
    /// The batch or declared loss at `from`, as it travels.
    pub(in crate::log) fn next_batch(
        &mut self,
        name: &LaneName,
        from: Position,
    ) -> Result<Option<SealedBatch>, ReadError> {
        let lane = self.lanes.get(name).ok_or_else(|| no_lane(name))?;
        let hole = lane.hole_from(&self.identity.device, from);
        if let Some(hole) = hole.map_err(|error| ReadError::Io(shared(error)))? {
            return Ok(Some(hole));
        }
        let batch = self.held_batch(name, lane.held_at(from))?;
        let lane = self.lanes.get(name).ok_or_else(|| no_lane(name))?;
        Ok(batch.map(|batch| lane.travelling(batch)))
    }

    /// The batch or declared loss at `from`, as the log has it and counts.
    fn held_batch(
        &mut self,
        name: &LaneName,
        from: Position,
    ) -> Result<Option<SealedBatch>, ReadError> {
        let lane = self.lanes.get(name).ok_or_else(|| no_lane(name))?;
        if from >= lane.sealed() {
            return Ok(None);
        }
        if let Some(loss) = lane.given_up_at(from) {
            let batch = self.declare(name, &loss)?;
            self.handed_out(name, &batch)?;
            return Ok(Some(batch));
        }
        let batch = match lane.in_memory(from) {
            Some(batch) => Ok(Some(batch)),
            None => {
                let bytes = lane.segments.read(&mut self.reader, from);
                bytes.map(|bytes| bytes.and_then(sealed))
            }
        };
        let batch = match batch {
            Ok(Some(batch)) => batch,
            Ok(None) => self.declare_damaged(name, from)?,
            Err(error) if is_damage(&error) => self.declare_damaged(name, from)?,
            Err(error) => return Err(ReadError::Io(shared(error))),
        };
        self.handed_out(name, &batch)?;
        #[cfg(hw_fault = "delete_before_ack")]
        self.acknowledge(name, batch.next);
        Ok(Some(batch))
    }

    /// The broker holds everything below `up_to`; what it says never goes back on a connection.
    pub(in crate::log) fn acknowledge(&mut self, name: &LaneName, up_to: Position) {
        let now = self.now();
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        let up_to = lane.held_at(up_to).min(lane.sealed());
        if up_to <= lane.acked {
            return;
        }
        self.rates.acked_events.add(now, up_to.since(lane.acked));
        lane.confirm_losses(up_to);
        lane.acknowledge(now, up_to);
        self.changed = true;
    }

    /// What the broker's answer to `resume` means, made durable as far as it has to be.
    pub(in crate::log) fn handshake(
        &mut self,
        name: &LaneName,
        answer: &ResumeAnswer,
    ) -> Result<Handshake, ReadError> {
        let now = self.now();
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        let next = answer.next;
        let in_hole = lane
            .in_hole(&self.identity.device, next)
            .map_err(|error| ReadError::Io(shared(error)))?;
        // From here on in positions of the log.
        let answer = &ResumeAnswer {
            next: lane.held_at(answer.next),
            ..*answer
        };
        let mut view = lane
            .view(&mut self.reader, answer.next)
            .map_err(|error| ReadError::Io(shared(error)))?;
        if let Some(in_hole) = &in_hole {
            (view.below, view.at_boundary) = match in_hole {
                InHole::AtEnd(crc) => (vec![*crc], true),
                InHole::Inside => (Vec::new(), false),
            };
        }
        let decision = decide(&view, answer);
        if let Decision::Repair(fork) = decision {
            lane.forked = Some(fork.to_string());
            self.changed = true;
            return Ok(Handshake::Fork(fork));
        }
        lane.forked = None;
        self.tell_answer(name, &view, answer, decision);
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        let topic_before = lane.record.topic_id;
        if topic_before != Some(answer.topic_id) {
            lane.record.topic_id = Some(answer.topic_id);
            lane.is_dirty = true;
        }
        if answer.next < lane.acked {
            lane.acknowledge(now, answer.next);
        }
        let loss = match decision {
            Decision::Declare { from, to, reason } => Some(Loss {
                range: LostRange { from, to },
                reason,
                ..UNKNOWN
            }),
            _ => lane.cut_loss(answer.next),
        };
        let stored = match loss {
            Some(loss) => self.declare(name, &loss).map(drop),
            None => self.store_frame(now).map(drop).map_err(ReadError::Io),
        };
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        if let Err(error) = stored {
            // The next handshake must see again that the stream is another.
            lane.record.topic_id = topic_before;
            return Err(error);
        }
        if in_hole.is_none() {
            lane.drop_unneeded_loss(answer);
        }
        lane.confirm_losses(answer.next);
        lane.acknowledge(now, answer.next);
        lane.read_to = answer.next;
        self.changed = true;
        Ok(Handshake::Send(next))
    }

    /// Declares the batch at `first` lost, reason `refused`.
    pub(in crate::log) fn set_aside(
        &mut self,
        name: &LaneName,
        first: Position,
    ) -> Result<(), ReadError> {
        let lane = self.lanes.get(name).ok_or_else(|| no_lane(name))?;
        let first = lane.held_at(first);
        let Some(batch) = self.held_batch(name, first)? else {
            return Ok(());
        };
        let lane = self.lanes.get(name).ok_or_else(|| no_lane(name))?;
        if lane.losses.iter().any(|loss| loss.batch == batch) {
            return Ok(());
        }
        let range = LostRange {
            from: batch.first,
            to: batch.next,
        };
        let header = Header::parse(&batch.bytes).ok();
        let loss = Loss {
            range,
            reason: LossReason::Refused,
            first_ms: header.map(|header| header.base_timestamp),
            last_ms: header.map(|header| header.max_timestamp),
            crc: Some(lane.known_crc(&batch)),
        };
        self.alarm(
            "refused",
            format!("{name}: the broker refused positions {range} for good"),
        );
        self.declare(name, &loss).map(drop)
    }
}

impl Lane {
    /// The loss or small batch that begins at `from`: a loss lies in place of what was there.
    fn in_memory(&self, from: Position) -> Option<SealedBatch> {
        let entries = self.losses.iter().chain(&self.small);
        entries
            .map(|entry| &entry.batch)
            .find(|batch| batch.first == from)
            .cloned()
    }

    /// The lane as the decision wants it, for an answer that says `n`.
    fn view(&self, reader: &mut Reader, n: Position) -> io::Result<View> {
        let remembered = self.record.remembered.iter().filter(|(end, _)| *end == n);
        let in_journal = self
            .losses
            .iter()
            .chain(&self.small)
            .map(|entry| &entry.batch);
        let in_segment = unless_damaged(self.segments.last_below(reader, n))?;
        let ends = in_journal
            .chain(&in_segment)
            .filter(|batch| batch.next == n);
        let below: Vec<u32> = remembered
            .map(|(_, crc)| *crc)
            .chain(ends.map(|batch| self.known_crc(batch)))
            .collect();
        let at_boundary = !below.is_empty()
            || n == self.oldest()
            || n == self.sealed()
            || self.in_memory(n).is_some()
            || self.record.given_up.iter().any(|loss| loss.range.from == n)
            || unless_damaged(self.segments.read(reader, n))?.is_some();
        Ok(View {
            base: self.record.base,
            acked: self.acked,
            oldest: self.oldest(),
            sealed: self.sealed(),
            below,
            at_boundary,
            topic_id: self.record.topic_id,
        })
    }
}

pub(super) fn sealed(bytes: Bytes) -> Option<SealedBatch> {
    let range = range(&bytes)?;
    Some(SealedBatch {
        first: range.first,
        next: range.next,
        bytes,
    })
}

pub(super) fn no_lane(name: &LaneName) -> ReadError {
    ReadError::NoLane(name.to_string())
}

pub(super) fn unless_damaged<T>(read: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match read {
        Err(error) if is_damage(&error) => Ok(None),
        read => read,
    }
}
