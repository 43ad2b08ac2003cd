//! What an answer of the broker or of the log does.

use bytes::Bytes;
use headwater_wire::batch::{Header, check_crc};
use headwater_wire::time::Millis;
use headwater_wire::uplink::{
    LaneTopic, Position, Refusal as Kind, RepairReason, RepairRequest, Resume, Topic,
};

use super::lanes::{Cursor, Phase};
use super::{HELD_RETRY_MS, Output, Sent, Uplink};
use crate::handshake::{Fork, Handshake, ResumeAnswer, reserved_generation};
use crate::lane::{LaneName, LaneState, SealedBatch};
use crate::refusal::{Fate, Reconnect, Refusal, Refused, judge};

/// What a PUBLISH has beside topic and payload: type, length, topic length, packet id, properties.
const PUBLISH_OVERHEAD_BYTES: usize = 10;

impl Uplink {
    /// Does whatever can be done now.
    pub(super) fn drive(&mut self, now: Millis) {
        if self.link.begin(now) {
            self.outputs.push_back(Output::Connect);
        }
        if self.link.up_since().is_none() {
            return;
        }
        self.drive_status(now);
        while self.flight.has_room() {
            let Some(lane) = self.lanes.poll_resume(now) else {
                break;
            };
            lane.phase = Phase::Resuming;
            let name = lane.state.name.clone();
            let (topic, payload) = resume(&lane.state);
            self.publish(now, topic, payload, Sent::Resume(name));
        }
        while self.flight.has_room() {
            let Some((state, reason)) = self.lanes.poll_repair() else {
                break;
            };
            let topic = Topic::Repair(lane_topic(&state.name, state.generation)).to_string();
            let payload = RepairRequest { reason }.to_string().into();
            self.publish(now, topic, payload, Sent::Repair(state.name, reason));
        }
        while self.flight.has_room() {
            let Some((name, generation, batch)) = self.lanes.poll_ready() else {
                break;
            };
            self.send(now, name, generation, batch);
        }
        while let Some((lane, from)) = self.lanes.poll_read() {
            self.outputs.push_back(Output::Read {
                connection: self.link.id(),
                lane,
                from,
            });
        }
    }

    fn drive_status(&mut self, now: Millis) {
        if now >= self.status.due() {
            self.status.asked_at = Some(now);
            self.status.changed = false;
            self.outputs.push_back(Output::Status);
        }
        if self.flight.has_room()
            && let Some(payload) = self.status.payload.take()
        {
            self.publish(now, Topic::Status.to_string(), payload, Sent::Status);
        }
    }

    fn publish(&mut self, now: Millis, topic: String, payload: Bytes, sent: Sent) {
        if self.flight.is_empty() {
            self.link.moved(now);
        }
        self.flight.push(sent);
        self.outputs.push_back(Output::Publish { topic, payload });
    }

    fn send(&mut self, now: Millis, name: LaneName, generation: u32, batch: SealedBatch) {
        let topic = Topic::Batch(lane_topic(&name, generation));
        let topic = topic.to_string();
        let bytes = PUBLISH_OVERHEAD_BYTES + topic.len() + batch.bytes.len();
        if let Err(max) = self.link.takes(bytes) {
            let error = format!("Batch of {bytes} bytes is above the broker's limit of {max}");
            return self.hold(now, &name, error);
        }
        self.publish(now, topic, batch.bytes.clone(), Sent::Batch(name, batch));
    }

    pub(super) fn take_answer(
        &mut self,
        now: Millis,
        packet_id: u16,
        reason: u8,
        properties: &[(String, String)],
    ) {
        let sent = match self.flight.handle_answer(packet_id) {
            Ok(sent) => sent,
            Err(error) => return self.distrust(now, error.to_string()),
        };
        match (Refusal::parse(reason, properties), sent) {
            (Some(refusal), Sent::Batch(lane, batch)) => {
                let (lane, batch) = (lane.clone(), batch.clone());
                self.take_refused_batch(now, &lane, &batch, &refusal);
            }
            (Some(refusal), Sent::Resume(lane) | Sent::Repair(lane, _)) => {
                let lane = lane.clone();
                self.take_verdict(now, Some((&lane, None)), Refused::Resume, &refusal);
            }
            (Some(refusal), Sent::Status) => {
                self.take_verdict(now, None, Refused::Status, &refusal);
            }
            (None, Sent::Resume(lane)) => {
                let lane = lane.clone();
                self.take_resumed(now, &lane, properties);
            }
            (None, Sent::Repair(lane, reason)) => {
                let (lane, reason) = (lane.clone(), *reason);
                self.take_reserved(now, lane, reason, properties);
            }
            (None, Sent::Batch(..) | Sent::Status) => {}
        }
        while let Some(sent) = self.flight.poll_answered() {
            self.link.moved(now);
            if let Sent::Batch(lane, batch) = sent {
                self.acknowledge(lane, batch.next);
            }
        }
    }

    fn acknowledge(&mut self, name: LaneName, up_to: Position) {
        self.backoff.reset();
        self.link.answered();
        self.refused_in_a_row = 0;
        if let Some(lane) = self.lanes.get_mut(&name) {
            lane.refused = None;
            lane.in_conflict = false;
        }
        self.outputs
            .push_back(Output::Acknowledge { lane: name, up_to });
    }

    fn take_resumed(&mut self, now: Millis, name: &LaneName, properties: &[(String, String)]) {
        match ResumeAnswer::parse(properties) {
            Ok(answer) => {
                let Some(lane) = self.lanes.get_mut(name) else {
                    return;
                };
                lane.phase = Phase::Deciding;
                let (connection, lane) = (self.link.id(), name.clone());
                self.outputs.push_back(Output::Handshake {
                    connection,
                    lane,
                    answer,
                });
            }
            Err(error) => self.hold(now, name, error.to_string()),
        }
    }

    /// The broker reserved a generation, and has its report: the log goes on under it.
    fn take_reserved(
        &mut self,
        now: Millis,
        name: LaneName,
        reason: RepairReason,
        properties: &[(String, String)],
    ) {
        match reserved_generation(properties) {
            Ok(generation) => {
                if let Some(lane) = self.lanes.get_mut(&name) {
                    lane.phase = Phase::Deciding;
                }
                let connection = self.link.id();
                self.outputs.push_back(Output::Repair {
                    connection,
                    lane: name,
                    generation,
                    reason,
                });
            }
            Err(error) => self.hold(now, &name, error.to_string()),
        }
    }

    fn take_refused_batch(
        &mut self,
        now: Millis,
        name: &LaneName,
        batch: &SealedBatch,
        refusal: &Refusal,
    ) {
        let verifies = Header::parse_exact(&batch.bytes)
            .and_then(|header| check_crc(&batch.bytes, &header))
            .is_ok();
        let lane = self.lanes.get_mut(name);
        let again = lane.is_some_and(|lane| {
            lane.in_conflict |= refusal.kind == Some(Kind::Conflict);
            lane.refused == Some(batch.first)
        });
        let refused = Refused::Batch { verifies, again };
        self.take_verdict(now, Some((name, Some(batch.first))), refused, refusal);
    }

    fn take_verdict(
        &mut self,
        now: Millis,
        at: Option<(&LaneName, Option<Position>)>,
        refused: Refused,
        refusal: &Refusal,
    ) {
        let verdict = judge(refusal, refused, self.refused_in_a_row);
        match (verdict.fate, at) {
            (Fate::Hold, Some((lane, _))) => {
                self.hold(now, lane, refusal.to_string());
                if self.options.drop_missing && refusal.is_no_stream() {
                    let lane = lane.clone();
                    self.outputs.push_back(Output::GiveUp { lane });
                }
            }
            (Fate::SendAgain, Some((lane, Some(first)))) => {
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.refused = Some(first);
                }
            }
            (Fate::SetAside, Some((lane, Some(first)))) => {
                self.outputs.push_back(Output::SetAside {
                    lane: lane.clone(),
                    first,
                });
            }
            _ => {}
        }
        let wait_ms = match verdict.reconnect {
            Reconnect::No => return,
            Reconnect::Now => 0,
            Reconnect::BackOff => self.backoff.next_ms(),
            Reconnect::After(ms) => self.backoff.around_ms(ms),
        };
        self.refused_in_a_row = self.refused_in_a_row.saturating_add(1);
        self.outputs.push_back(Output::Disconnect);
        self.end(now, now.plus(wait_ms), refusal.to_string());
    }

    pub(super) fn take_handshake(
        &mut self,
        now: Millis,
        name: &LaneName,
        handshake: Result<Handshake, String>,
    ) {
        let from = match handshake {
            Ok(Handshake::Send(from)) => from,
            Ok(Handshake::Fork(fork)) => return self.fork(name, fork),
            Err(error) => return self.hold(now, name, error),
        };
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        lane.phase = Phase::Open(Cursor::at(from));
        if std::mem::take(&mut lane.held) {
            self.outputs
                .push_back(Output::Release { lane: name.clone() });
        }
    }

    /// Another history used the lane: it needs a generation of its own.
    fn fork(&mut self, name: &LaneName, fork: Fork) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.phase = Phase::Forked(if lane.in_conflict {
                RepairReason::Conflict
            } else {
                fork.reason()
            });
        }
        self.status.changed = true;
    }

    pub(super) fn take_batch(
        &mut self,
        now: Millis,
        name: &LaneName,
        batch: Result<Option<SealedBatch>, String>,
    ) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        let Phase::Open(cursor) = &mut lane.phase else {
            return;
        };
        cursor.reading = false;
        match batch {
            Ok(Some(batch)) => {
                cursor.next = batch.next;
                cursor.ready = Some(batch);
            }
            // Less is sealed than was said: the next change of the lane asks again.
            Ok(None) => lane.state.sealed = cursor.next,
            Err(error) => self.hold(now, name, error),
        }
    }

    /// Keeps the lane's data and tries again later; other lanes go on.
    pub(super) fn hold(&mut self, now: Millis, name: &LaneName, error: String) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        lane.phase = Phase::Held {
            retry_at: now.plus(HELD_RETRY_MS),
        };
        lane.held = true;
        self.outputs.push_back(Output::Hold {
            lane: name.clone(),
            error,
        });
        self.status.changed = true;
    }
}

fn resume(state: &LaneState) -> (String, Bytes) {
    let topic = Topic::Resume(lane_topic(&state.name, state.generation));
    let LaneState {
        oldest,
        sealed: next,
        predecessor,
        ..
    } = *state;
    (
        topic.to_string(),
        Resume {
            oldest,
            next,
            predecessor,
        }
        .to_string()
        .into(),
    )
}

fn lane_topic(name: &LaneName, generation: u32) -> LaneTopic<'_> {
    LaneTopic {
        stream: &name.stream,
        lane: &name.lane,
        generation,
    }
}
