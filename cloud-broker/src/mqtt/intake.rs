//! What one read of a connection brings into the journal's inbox: one lock, and one note among the
//! waiting answers, however many packets there are.

use std::rc::Rc;

use headwater_mqtt::{Ack, Kind, PropertyBuf, Reason};

use super::connection::Connection;
use super::core::Core;
use super::waiting::{Awaited, LaneNote, Note};
use crate::backend::Submit;
use crate::metrics::DoorName;

/// Open while the packets of one read are handled.
pub(super) struct Intake<'a> {
    pub(super) core: &'a Rc<Core>,
    pub(super) connection: &'a Rc<Connection>,
    submit: Option<Submit<'a>>,
    /// Answers that stand at the end of what the connection holds back, and have no note yet.
    bytes: usize,
    publishes: u16,
    records: u64,
    /// Bytes that were submitted.
    submitted: usize,
}

impl<'a> Intake<'a> {
    pub(super) fn new(core: &'a Rc<Core>, connection: &'a Rc<Connection>) -> Self {
        Self {
            core,
            connection,
            submit: None,
            bytes: 0,
            publishes: 0,
            records: 0,
            submitted: 0,
        }
    }

    /// The inbox, locked from the first use in a read on.
    pub(super) fn submit(&mut self) -> &mut Submit<'a> {
        self.submit
            .get_or_insert_with(|| self.core.inbox.lock_quietly())
    }

    /// Whether something of this connection waits for a commit.
    pub(super) fn is_waiting(&self) -> bool {
        self.submitted > 0 || self.connection.state.borrow().uncommitted > 0
    }

    /// A record of so many bytes was submitted that needs no answer, or whose answer follows.
    pub(super) fn took(&mut self, bytes: usize) {
        self.records += 1;
        self.submitted += bytes;
    }

    /// Puts the PUBACK of a publish behind all answers before it. A success waits, with them, for
    /// the commit; a refusal waits only for them.
    pub(super) fn acknowledge(&mut self, packet_id: u16, reason: Reason, properties: &PropertyBuf) {
        let mut state = self.connection.state.borrow_mut();
        let state = &mut *state;
        let problem_information = state
            .session
            .as_ref()
            .is_some_and(|s| s.problem_information);
        let mut ack = Ack {
            packet_id,
            reason,
            ..Ack::success(packet_id)
        };
        if problem_information {
            ack.properties = properties.view();
        }
        let version = state.version();
        let before = state.held.len();
        let written = ack.encode(Kind::PubAck, version, &mut state.held);
        debug_assert!(written.is_ok(), "the broker's own properties are short");
        self.bytes += state.held.len() - before;
        self.publishes += 1;
    }

    /// Submits an agent's request, and notes that its answer comes next.
    pub(super) fn request(
        &mut self,
        note: LaneNote,
        bytes: usize,
        submit: impl FnOnce(&mut Submit<'a>, u64),
    ) {
        let token = note.token;
        submit(self.submit(), token);
        let ticket = self.submit().ticket();
        self.note_encoded(ticket);
        self.submitted += bytes;
        self.note(ticket, Awaited::Lane(note));
    }

    /// Notes what has been taken in and unlocks the inbox, which wakes the journal.
    pub(super) fn seal(&mut self) {
        let ticket = match &mut self.submit {
            Some(submit) if self.records > 0 => submit.ticket(),
            // Nothing but refusals: they wait for what is before them, if anything is.
            _ => 0,
        };
        self.note_encoded(ticket);
        self.core
            .note_pressure(self.submit.as_ref().map_or(0, |submit| submit.bytes()));
        if self.submit.take().is_some() {
            self.core.wake_journal_soon();
        }
    }

    fn note_encoded(&mut self, ticket: u64) {
        if self.bytes == 0 {
            let records = std::mem::take(&mut self.records);
            self.core
                .door
                .metrics
                .records_in
                .of(DoorName::Mqtt)
                .add(records);
            return;
        }
        let answer = Awaited::Encoded {
            bytes: std::mem::take(&mut self.bytes),
            publishes: std::mem::take(&mut self.publishes),
            records: std::mem::take(&mut self.records),
        };
        self.note(ticket, answer);
    }

    fn note(&mut self, ticket: u64, answer: Awaited) {
        let mut state = self.connection.state.borrow_mut();
        let submitted = std::mem::take(&mut self.submitted);
        if ticket == 0 && state.notes == 0 {
            drop(state);
            self.core.answer_now(self.connection, &answer);
            return;
        }
        state.notes += 1;
        state.uncommitted += submitted;
        let connection = Rc::clone(self.connection);
        self.core.waiting.borrow_mut().push(Note {
            ticket,
            connection,
            submitted,
            answer,
        });
    }
}

impl Drop for Intake<'_> {
    fn drop(&mut self) {
        self.seal();
    }
}

impl std::fmt::Debug for Intake<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
