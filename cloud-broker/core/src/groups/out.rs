//! What the shell is to do, and what comes after its writes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::StreamId;

use super::offsets::Stored;
use super::record::Record;
use super::request::{Answer, GroupError, Joined};

/// Something for the shell to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell whoever asked under this token.
    Answer {
        /// The token of the request.
        token: u64,
        /// The answer.
        answer: Answer,
    },
    /// Write records into `__groups`, all or none.
    Write(Write),
}

/// Records of one group, for the partition that its name belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// 1, 2, 3, …: named again when it is known how the write went.
    pub ticket: u64,
    /// The group.
    pub group: String,
    /// In order.
    pub records: Vec<Record>,
}

/// What a write was for.
#[derive(Debug)]
pub(super) enum Then {
    /// Nobody waits.
    Nothing,
    /// A generation's assignment, by member.
    Assign(BTreeMap<String, Bytes>),
    /// A static member came back.
    Welcome { token: u64, joined: Joined },
    /// Positions.
    Commit {
        token: u64,
        offsets: Vec<((StreamId, u32), Stored)>,
        results: Vec<Result<(), GroupError>>,
    },
    /// Positions that are forgotten, and with them perhaps the group.
    Forget {
        partitions: Vec<(StreamId, u32)>,
        group: bool,
        waiting: Option<Waiting>,
    },
}

/// Who waits for something to be forgotten.
#[derive(Debug)]
pub(super) enum Waiting {
    /// One group of several in one request.
    Delete { token: u64, place: usize },
    /// Positions.
    Offsets {
        token: u64,
        results: Vec<Result<(), GroupError>>,
    },
}

/// Actions that were decided, and writes that are under way.
#[derive(Debug, Default)]
pub(super) struct Out {
    actions: Vec<Action>,
    tickets: u64,
    writes: BTreeMap<u64, Under>,
    /// Bytes of their records.
    writing_bytes: usize,
    /// Requests to delete several groups, by token: results as far as they are known.
    deleting: BTreeMap<u64, Vec<Option<Result<(), GroupError>>>>,
    /// Bytes that all groups hold.
    pub(super) bytes: usize,
    /// As in the limits: how long a new group waits for more members.
    pub(super) first_wait_ms: i64,
    /// As in the limits: bytes of records under way.
    pub(super) writing_bytes_max: usize,
}

/// A write that is under way.
#[derive(Debug)]
struct Under {
    group: String,
    then: Then,
    bytes: usize,
}

impl Out {
    /// Whether no more is to be written before something has ended.
    pub(super) fn is_busy(&self) -> bool {
        self.writing_bytes > self.writing_bytes_max
    }

    pub(super) fn answer(&mut self, token: u64, answer: Answer) {
        self.actions.push(Action::Answer { token, answer });
    }

    pub(super) fn write(&mut self, group: &str, records: Vec<Record>, then: Then) -> u64 {
        self.tickets += 1;
        let (ticket, group) = (self.tickets, group.to_owned());
        let bytes = records.iter().map(Record::bytes).sum();
        self.writing_bytes += bytes;
        let under = Under {
            group: group.clone(),
            then,
            bytes,
        };
        self.writes.insert(ticket, under);
        self.actions.push(Action::Write(Write {
            ticket,
            group,
            records,
        }));
        ticket
    }

    pub(super) fn take_write(&mut self, ticket: u64) -> Option<(String, Then)> {
        let Under { group, then, bytes } = self.writes.remove(&ticket)?;
        self.writing_bytes = self.writing_bytes.saturating_sub(bytes);
        Some((group, then))
    }

    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Begins a request to delete so many groups.
    pub(super) fn begin_delete(&mut self, token: u64, groups: usize) {
        self.deleting.insert(token, vec![None; groups]);
    }

    /// One of them is decided; when all are, the request is answered.
    pub(super) fn deleted(&mut self, token: u64, place: usize, result: Result<(), GroupError>) {
        let Some(results) = self.deleting.get_mut(&token) else {
            return;
        };
        if let Some(slot) = results.get_mut(place) {
            *slot = Some(result);
        }
        if let Some(all) = results.iter().copied().collect::<Option<Vec<_>>>() {
            self.deleting.remove(&token);
            self.answer(token, Answer::Delete(all));
        }
    }
}
