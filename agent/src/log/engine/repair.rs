//! A lane whose history forked goes on under another generation.
//!
//! The log counts on as before. What changes is one record: which generation the lane is, and which
//! of the log's positions the broker knows as 0 in it. It is durable with one frame, so a repair is
//! never half done; batches get the new producer id and positions when they are read.

use headwater_agent_core::handshake::{Decision, ResumeAnswer, View};
use headwater_agent_core::lane::{LaneName, LaneState, SealedBatch};
use headwater_agent_core::loss::Loss;
use headwater_wire::batch::{Header, restamp};
use headwater_wire::uplink::{LossReason, LostRange, Position, RepairReason, producer_id};

use super::loss::LossText;
use super::uplink::no_lane;
use super::{Engine, Lane, shared};
use crate::log::error::ReadError;
use crate::log::tail::{Hole, crc_of, lost};

/// An alarm of a repair is shown again after a restart for this long, ms.
const SHOWN_MS: i64 = 7 * 24 * 3_600_000;

impl Engine {
    /// Goes on with the lane as `generation`, which the broker reserved: everything that is not
    /// acknowledged is sent, or declared lost, from position 0 on.
    pub(in crate::log) fn repair(
        &mut self,
        name: &LaneName,
        generation: u32,
        reason: RepairReason,
    ) -> Result<LaneState, ReadError> {
        let now = self.now();
        let at_ms = self.options.clock.wall_ms().max(0);
        let device = self.identity.device.clone();
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        if generation <= lane.record.generation {
            return Ok(lane.state());
        }
        let holes = lane.holes_from(&mut self.reader, lane.acked);
        let holes = holes.map_err(|error| ReadError::Io(shared(error)))?;
        let before = (lane.record.clone(), lane.losses.clone(), lane.id);
        lane.begin_generation(&device, generation, (reason, at_ms), holes);
        if let Err(error) = self.store_frame(now) {
            if let Some(lane) = self.lanes.get_mut(name) {
                (lane.record, lane.losses, lane.id) = before;
                lane.count_as_known();
            }
            return Err(ReadError::Io(error));
        }
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        lane.forked = None;
        lane.acknowledge(now, lane.record.base);
        lane.read_to = lane.record.base;
        let (base, ledger) = (lane.record.base, lane.segments.ledger(lane.segments_end()));
        let count = ledger
            .iter()
            .take_while(|segment| segment.end <= base)
            .count();
        // What cannot be removed now counts as acknowledged, and goes as such.
        let _ = lane.segments.remove_oldest(&mut self.reader, count);
        let (state, record) = (lane.state(), lane.record.clone());
        self.tell_repair(name, &record);
        self.changed = true;
        Ok(state)
    }

    /// Tells what an answer to `resume` says beyond where to go on.
    pub(super) fn tell_answer(
        &mut self,
        name: &LaneName,
        view: &View,
        answer: &ResumeAnswer,
        decision: Decision,
    ) {
        let ours = self
            .lanes
            .get(name)
            .map_or(0, |lane| lane.record.generation);
        if let Some(newer) = answer.generation {
            let text = format!(
                "{name}: the broker knows generation {newer} of this lane, and this log goes on as \
                 {ours}: a copy of it runs elsewhere, or it was rolled back"
            );
            self.alarm("clone", text);
        }
        if answer.next >= view.acked {
            return;
        }
        let (code, rest) = match decision {
            Decision::Declare { reason, .. } => (
                reason.as_str(),
                "what is not held any more is declared lost",
            ),
            _ => (LossReason::Restored.as_str(), "it is sent again"),
        };
        let count = view.acked.since(answer.next);
        let text =
            format!("{name}: the broker lost {count} events that it had acknowledged; {rest}");
        self.alarm(code, text);
    }

    /// The alarms of repairs that are not long ago, after a restart.
    pub(super) fn tell_repairs(&mut self) {
        let since = self.options.clock.wall_ms().saturating_sub(SHOWN_MS);
        let is_shown = |lane: &&Lane| lane.record.repaired.is_some_and(|(_, at)| at >= since);
        let lanes = self.lanes.values().filter(is_shown);
        let lanes: Vec<_> = lanes
            .map(|lane| (lane.name.clone(), lane.record.clone()))
            .collect();
        for (name, record) in lanes {
            self.tell_repair(&name, &record);
        }
    }

    fn tell_repair(&mut self, name: &LaneName, record: &crate::log::tail::LaneRecord) {
        let Some((reason, at_ms)) = record.repaired else {
            return;
        };
        let what = match reason {
            RepairReason::Rollback => {
                "this log was rolled back to an older state, or a copy of it runs elsewhere"
            }
            RepairReason::Clone => "a copy of this log runs elsewhere, or it was rolled back",
            RepairReason::Conflict => "another copy of this log sent other events at its positions",
        };
        let generation = record.generation;
        let text = format!(
            "{name}: {what}; the lane goes on as generation {generation}, and events that both \
             sent are there twice"
        );
        self.alarm_since(reason.as_str(), text, at_ms);
    }
}

impl Engine {
    /// A position as the broker counts, in the log.
    pub(in crate::log) fn held_at(&self, name: &LaneName, known: Position) -> Position {
        let lane = self.lanes.get(name);
        lane.map_or(known, |lane| lane.held_at(known))
    }
}

impl Lane {
    fn begin_generation(
        &mut self,
        device: &str,
        generation: u32,
        why: (RepairReason, i64),
        holes: Vec<Hole>,
    ) {
        let base = self.acked;
        let declared: Vec<Loss> = self
            .losses
            .iter()
            .filter_map(|loss| loss.to_declare())
            .collect();
        let record = &mut self.record;
        record.given_up.extend(declared);
        record.given_up.retain(|loss| loss.range.to > base);
        record.given_up.sort_by_key(|loss| loss.range.from);
        for loss in &mut record.given_up {
            loss.range.from = loss.range.from.max(base);
        }
        record.predecessor = Some(record.generation);
        record.generation = generation;
        record.base = base;
        record.holes = holes;
        record.trimmed = record.trimmed.max(base);
        record.sent = base;
        record.remembered.clear();
        record.repaired = Some(why);
        self.losses.clear();
        self.id = producer_id(device, &self.name.stream, &self.name.lane, generation);
        self.count_as_known();
        self.is_dirty = true;
    }

    /// The declared positions of a loss batch of this generation, in the log.
    pub(super) fn held_loss(&self, bytes: &[u8]) -> Option<LostRange> {
        let header = Header::parse(bytes).ok()?;
        let range = lost(bytes).filter(|_| header.producer_id == self.id)?;
        Some(LostRange {
            from: self.held_at(range.first),
            to: self.held_at(range.next),
        })
    }

    /// A batch of the log as it travels: with this generation's id and positions.
    pub(super) fn travelling(&self, batch: SealedBatch) -> SealedBatch {
        let first = self.known_as(batch.first);
        let next = self.known_end(batch.next);
        let bytes = self.stamped(&batch).unwrap_or(batch.bytes);
        SealedBatch { first, next, bytes }
    }

    /// The CRC under which the broker knows a batch of the log.
    pub(super) fn known_crc(&self, batch: &SealedBatch) -> u32 {
        let stamped = self.stamped(batch);
        crc_of(stamped.as_ref().unwrap_or(&batch.bytes))
    }

    /// The bytes that change; `None` if none do. A declared loss is made as it travels.
    fn stamped(&self, batch: &SealedBatch) -> Option<bytes::Bytes> {
        let header = Header::parse_exact(&batch.bytes).ok()?;
        let producer = self.known_as(batch.first).producer(self.id)?;
        if header.producer() == producer || lost(&batch.bytes).is_some() {
            return None;
        }
        let mut bytes = batch.bytes.to_vec();
        restamp(&mut bytes, producer).ok()?;
        Some(bytes.into())
    }
}

impl super::lane::Entry {
    /// A declared loss as one that is to be declared anew.
    fn to_declare(&self) -> Option<Loss> {
        let text = LossText::of(&self.batch.bytes)?;
        Some(Loss {
            range: LostRange {
                from: self.batch.first,
                to: self.batch.next,
            },
            ..text.loss()?
        })
    }
}
