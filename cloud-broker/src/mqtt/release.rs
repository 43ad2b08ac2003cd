//! Gives the answers that a commit has made true.

use std::collections::VecDeque;
use std::rc::Rc;

use headwater_broker_core::{Answer, LaneOutcome, Refusal};
use headwater_mqtt::{Ack, Kind, Version};

use super::connection::{Connection, End};
use super::core::Core;
use super::uplink;
use super::waiting::{Awaited, LaneNote, Note};
use crate::metrics::DoorName;

impl Core {
    /// Moves every answer whose commit is durable to where it may be sent from. A connection that
    /// waits for a commit that failed is closed unanswered.
    pub(super) fn release_answers(&self) {
        let progress = self.inbox.progress();
        let mut answers = Vec::new();
        self.inbox.take_answers(&mut answers);
        let mut answers = VecDeque::from(answers);
        let mut waiting = self.waiting.borrow_mut();
        while let Some(note) = waiting.release(progress.durable) {
            if progress.of(note.ticket) == Some(true) {
                self.give(&note, &mut answers);
            } else {
                note.connection.close(End::Gone);
            }
        }
    }

    fn give(&self, note: &Note<Rc<Connection>>, answers: &mut VecDeque<Answer>) {
        let connection = &note.connection;
        {
            let mut state = connection.state.borrow_mut();
            state.notes = state.notes.saturating_sub(1);
            state.uncommitted = state.uncommitted.saturating_sub(note.submitted);
        }
        match &note.answer {
            Awaited::Encoded { .. } => self.answer_now(connection, &note.answer),
            Awaited::Lane(lane) => {
                // Answers of requests that a failed commit took with it never come.
                while answers
                    .front()
                    .is_some_and(|answer| answer.token < lane.token)
                {
                    answers.pop_front();
                }
                match answers.pop_front_if(|answer| answer.token == lane.token) {
                    Some(answer) => self.answer_lane(connection, lane, &answer.outcome),
                    None => connection.close(End::Gone),
                }
            }
        }
        let mut state = connection.state.borrow_mut();
        if state.stalled && !state.is_over_limits() {
            state.stalled = false;
            connection.holder.signal.notify_one();
        }
    }

    /// Lets answers that are encoded already be sent.
    pub(super) fn answer_now(&self, connection: &Rc<Connection>, answer: &Awaited) {
        let Awaited::Encoded {
            bytes,
            publishes,
            records,
        } = *answer
        else {
            return;
        };
        self.door.metrics.records_in.of(DoorName::Mqtt).add(records);
        let mut state = connection.state.borrow_mut();
        let bytes = bytes.min(state.held.len());
        let answers = state.held.split_to(bytes);
        state.reply(|out| out.extend_from_slice(&answers));
        if state.held.is_empty() {
            state.held = bytes::BytesMut::new();
        }
        if let Some(session) = &mut state.session {
            session.unanswered.end(publishes);
        }
        drop(state);
        self.mark(connection);
    }

    fn answer_lane(&self, connection: &Rc<Connection>, lane: &LaneNote, outcome: &LaneOutcome) {
        self.count(lane, outcome);
        let (reason, properties) = uplink::puback(outcome);
        let mut state = connection.state.borrow_mut();
        let informs = state
            .session
            .as_ref()
            .is_some_and(|s| s.problem_information);
        let mut ack = Ack {
            reason,
            ..Ack::success(lane.packet_id)
        };
        if informs {
            ack.properties = properties.view();
        }
        let written = state.reply(|out| ack.encode(Kind::PubAck, Version::V5, out));
        debug_assert!(written.is_ok(), "the broker's own properties are short");
        if let Some(session) = &mut state.session {
            session.unanswered.end(1);
        }
        drop(state);
        self.mark(connection);
    }

    fn count(&self, lane: &LaneNote, outcome: &LaneOutcome) {
        let metrics = &self.door.metrics;
        match outcome {
            LaneOutcome::Appended { .. } => {
                metrics.records_in.of(DoorName::Mqtt).add(lane.records);
                if let Some((reason, events)) = lane.lost {
                    metrics.lost_events.of(reason).add(events);
                }
            }
            LaneOutcome::Duplicate { .. } => {
                metrics.duplicates.of(DoorName::Mqtt).add(lane.records);
            }
            LaneOutcome::Refused(Refusal::Busy { .. }) => {
                tracing::debug!("An agent is told to come again later");
            }
            LaneOutcome::Resumed { .. }
            | LaneOutcome::Repaired { .. }
            | LaneOutcome::Kept
            | LaneOutcome::Refused(_) => {}
        }
    }
}
