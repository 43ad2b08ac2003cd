//! Groups driven by hand: rules one by one, and everything at random against simple books.

mod golden;
mod limits;
mod members;
mod model;
mod offsets;
mod statics;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use headwater_wire::time::Millis;

use super::request::{Commit, Described, JoinRefused, Joined, Leave, Synced};
use super::*;
use crate::StreamId;

const STREAM: StreamId = [7; 16];
const FIRST_WAIT_MS: i64 = 500;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 30_000;

/// A coordinator with a log that does what the test says.
struct Desk {
    groups: Groups,
    now: Millis,
    token: u64,
    answers: BTreeMap<u64, Answer>,
    /// Writes under way, in order.
    writes: VecDeque<Write>,
    /// Writes become durable at once.
    prompt: bool,
    /// The newest record of each key.
    log: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Desk {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            groups: Groups::new(limits),
            now: Millis(1_000_000),
            token: 0,
            answers: BTreeMap::new(),
            writes: VecDeque::new(),
            prompt: true,
            log: BTreeMap::new(),
        }
    }

    /// Asks and gives the token.
    fn ask(&mut self, request: Request) -> u64 {
        self.token += 1;
        self.groups.handle(self.now, self.token, request);
        self.settle();
        self.token
    }

    /// Asks something that is answered at once.
    fn told(&mut self, request: Request) -> Answer {
        let token = self.ask(request);
        self.answer(token).expect("an answer at once")
    }

    fn answer(&mut self, token: u64) -> Option<Answer> {
        self.answers.remove(&token)
    }

    fn settle(&mut self) {
        loop {
            for action in self.groups.take_actions() {
                match action {
                    Action::Answer { token, answer } => {
                        let before = self.answers.insert(token, answer);
                        assert_eq!(before, None, "one answer for each question");
                    }
                    Action::Write(write) => self.writes.push_back(write),
                }
            }
            if !self.prompt || self.writes.is_empty() {
                return;
            }
            self.write(true);
        }
    }

    /// The oldest write ends.
    fn write(&mut self, durable: bool) -> Option<u64> {
        let write = self.writes.pop_front()?;
        for Record { key, value } in write.records {
            match value.filter(|_| durable) {
                Some(value) => drop(self.log.insert(key, value)),
                None if durable => drop(self.log.remove(&key)),
                None => {}
            }
        }
        self.groups.handle_written(self.now, write.ticket, durable);
        Some(write.ticket)
    }

    fn wait(&mut self, ms: i64) {
        let until = self.now.plus(ms);
        while let Some(at) = self.groups.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.groups.poll(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// The broker dies and comes back: what was not durable is gone.
    fn restart(&mut self) {
        self.writes.clear();
        self.answers.clear();
        let records = self
            .log
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()));
        let limits = self.groups.limits;
        self.groups =
            Groups::load(limits, records, self.now).expect("what was written can be read");
    }

    fn describe(&mut self, group: &str) -> Option<Described> {
        let group = group.to_owned();
        match self.told(Request::Describe { group }) {
            Answer::Describe(described) => described,
            other => panic!("{other:?}"),
        }
    }

    fn join(&mut self, join: Join) -> u64 {
        self.ask(Request::Join(join))
    }

    fn joined(&mut self, token: u64) -> Option<Result<Joined, JoinRefused>> {
        match self.answer(token)? {
            Answer::Join(result) => Some(result),
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, joined: &Joined, parts: &[(&str, &str)]) -> u64 {
        let parts = parts
            .iter()
            .map(|(id, part)| ((*id).to_owned(), Bytes::from((*part).to_owned())));
        self.ask(Request::Sync(Sync {
            caller: caller(joined),
            assignments: parts.collect(),
            ..Sync::default()
        }))
    }

    fn synced(&mut self, token: u64) -> Option<Result<Synced, GroupError>> {
        match self.answer(token)? {
            Answer::Sync(result) => Some(result),
            other => panic!("{other:?}"),
        }
    }

    /// The part that a member gets.
    fn part(&mut self, token: u64) -> String {
        let synced = self.synced(token).expect("an answer").expect("a part");
        String::from_utf8(synced.assignment.to_vec()).expect("text")
    }

    fn beat(&mut self, joined: &Joined) -> Result<(), GroupError> {
        match self.told(Request::Heartbeat(caller(joined))) {
            Answer::Heartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        let members = vec![(member.to_owned(), instance.map(str::to_owned))];
        let group = "g".to_owned();
        match self.told(Request::Leave(Leave { group, members })) {
            Answer::Leave(Ok(results)) => results[0],
            other => panic!("{other:?}"),
        }
    }

    /// Commits to partition 0.
    fn commit(&mut self, caller: Caller, offset: i64) -> Result<(), GroupError> {
        match self.told(Request::Commit(commit(caller, 0, offset))) {
            Answer::Commit(result) => result.and_then(|results| results[0]),
            other => panic!("{other:?}"),
        }
    }

    /// Offsets by partition.
    fn fetch(&mut self) -> Vec<(u32, i64)> {
        let (group, wanted) = ("g".to_owned(), None);
        match self.told(Request::Fetch { group, wanted }) {
            Answer::Fetch(found) => found
                .into_iter()
                .map(|((_, partition), position)| (partition, position.offset))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    /// A group with these members, named as their clients, in their order; the first leads.
    fn stable(&mut self, names: &[&str]) -> Vec<Joined> {
        let tokens: Vec<u64> = names.iter().map(|name| self.join(old_join(name))).collect();
        self.wait(FIRST_WAIT_MS_MAX);
        let all: Vec<Joined> = tokens
            .iter()
            .map(|token| self.joined(*token).expect("an answer").expect("joined"))
            .collect();
        let parts: Vec<(String, String)> = all
            .iter()
            .zip(names)
            .map(|(joined, name)| (joined.member.clone(), format!("part of {name}")))
            .collect();
        let parts: Vec<(&str, &str)> = parts
            .iter()
            .map(|(id, part)| (id.as_str(), part.as_str()))
            .collect();
        let tokens: Vec<u64> = all.iter().map(|joined| self.sync(joined, &parts)).collect();
        for (token, name) in tokens.into_iter().zip(names) {
            assert_eq!(self.part(token), format!("part of {name}"));
        }
        all
    }

    fn state(&mut self) -> GroupState {
        self.describe("g").expect("the group is known").listed.state
    }
}

/// A member's first JoinGroup of a version that has no ids before.
fn old_join(name: &str) -> Join {
    Join {
        group: "g".to_owned(),
        client_id: name.to_owned(),
        fresh: "1".to_owned(),
        session_ms: SESSION_MS,
        rebalance_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
        ..Join::default()
    }
}

/// The same member once more.
fn again(joined: &Joined, name: &str) -> Join {
    Join {
        member: joined.member.clone(),
        ..old_join(name)
    }
}

fn caller(joined: &Joined) -> Caller {
    Caller {
        group: "g".to_owned(),
        generation: joined.generation,
        member: joined.member.clone(),
        instance: None,
    }
}

fn outsider() -> Caller {
    Caller {
        group: "g".to_owned(),
        generation: -1,
        ..Caller::default()
    }
}

fn commit(caller: Caller, partition: u32, offset: i64) -> Commit {
    let position = Position {
        offset,
        leader_epoch: 3,
        metadata: format!("words {offset}"),
    };
    Commit {
        caller,
        offsets: vec![(STREAM, partition, position)],
    }
}
