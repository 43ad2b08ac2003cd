//! The state of one group, and the small steps that all requests share.

use std::collections::BTreeMap;

use headwater_wire::time::Millis;

use crate::StreamId;

use super::member::Member;
use super::offsets::Stored;
use super::out::{Out, Then};
use super::record::Record;
use super::request::{Answer, Caller, GroupError, GroupState};
use super::{EMPTY_MS, RETENTION_MS};

/// A pause after something old could not be forgotten, ms.
const RETRY_MS: i64 = 60_000;

/// One group. Known as soon as somebody wants to join or remembers a position.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) generation: i32,
    /// Empty until the first member came.
    pub(super) protocol_type: String,
    /// Chosen with each generation.
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Static members: instance to member.
    pub(super) instances: BTreeMap<String, String>,
    /// Ids that were given out and not joined with yet, and when they are given up.
    pub(super) pending: BTreeMap<String, Millis>,
    /// Members that owe a SyncGroup then are removed.
    pub(super) sync_deadline: Option<Millis>,
    pub(super) offsets: BTreeMap<(StreamId, u32), Stored>,
    /// Positions that are being written, and how often.
    pub(super) writing: BTreeMap<(StreamId, u32), u32>,
    /// Writes that are under way.
    pub(super) writes: u32,
    /// There is a record of the group.
    pub(super) recorded: bool,
    /// Since when it has no members.
    pub(super) since: Millis,
    /// Bytes of its members.
    pub(super) member_bytes: usize,
}

/// Where the group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    /// The members join. A group that was empty waits for more members in any case, until
    /// `first` at most.
    Preparing {
        deadline: Millis,
        first: Option<Millis>,
    },
    /// All have joined; `storing` is the ticket of the leader's assignment.
    Completing {
        storing: Option<u64>,
    },
    Stable,
}

impl Group {
    pub(super) fn new(name: &str, now: Millis) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            sync_deadline: None,
            offsets: BTreeMap::new(),
            writing: BTreeMap::new(),
            writes: 0,
            recorded: false,
            since: now,
            member_bytes: 0,
        }
    }

    pub(super) fn public_state(&self) -> GroupState {
        match self.state {
            State::Empty => GroupState::Empty,
            State::Preparing { .. } => GroupState::PreparingRebalance,
            State::Completing { .. } => GroupState::CompletingRebalance,
            State::Stable => GroupState::Stable,
        }
    }

    /// Nothing is left that anybody could ask for.
    pub(super) fn is_nothing(&self) -> bool {
        self.state == State::Empty
            && !self.recorded
            && self.writes == 0
            && self.pending.is_empty()
            && self.offsets.is_empty()
    }

    /// The member that somebody claims to be.
    pub(super) fn check_member(
        &self,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            return match self.instances.get(instance) {
                Some(known) if known == member => Ok(()),
                Some(_) => Err(GroupError::Fenced),
                None => Err(GroupError::UnknownMember),
            };
        }
        match self.members.contains_key(member) {
            true => Ok(()),
            false => Err(GroupError::UnknownMember),
        }
    }

    /// The member of the current generation that somebody claims to be.
    pub(super) fn check_caller(&self, caller: &Caller) -> Result<(), GroupError> {
        self.check_member(&caller.member, caller.instance.as_deref())?;
        match caller.generation == self.generation {
            true => Ok(()),
            false => Err(GroupError::IllegalGeneration),
        }
    }

    /// A sign of life.
    pub(super) fn heard(&mut self, member: &str, now: Millis) {
        if let Some(member) = self.members.get_mut(member) {
            member.heard(now);
        }
    }

    pub(super) fn insert(&mut self, member: Member, out: &mut Out) {
        self.grow(0, member.bytes(), out);
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), member.id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out, and tells it so if it waits. The group's state is the caller's matter.
    pub(super) fn take_out(&mut self, id: &str, why: GroupError, out: &mut Out) -> Option<Member> {
        let mut member = self.members.remove(id)?;
        self.grow(member.bytes(), 0, out);
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        refuse_join(&mut member, why, out);
        if let Some(token) = member.syncing.take() {
            out.answer(token, Answer::Sync(Err(why)));
        }
        Some(member)
    }

    /// Changes a member, and counts what it is then.
    pub(super) fn change(&mut self, id: &str, out: &mut Out, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let before = member.bytes();
        change(member);
        let after = member.bytes();
        self.grow(before, after, out);
    }

    pub(super) fn grow(&mut self, before: usize, after: usize, out: &mut Out) {
        self.member_bytes = (self.member_bytes + after).saturating_sub(before);
        out.bytes = (out.bytes + after).saturating_sub(before);
    }

    pub(super) fn add_pending(&mut self, id: &str, until: Millis, out: &mut Out) {
        self.grow(0, pending_bytes(id), out);
        self.pending.insert(id.to_owned(), until);
    }

    pub(super) fn take_pending(&mut self, id: &str, out: &mut Out) -> bool {
        let found = self.pending.remove(id).is_some();
        if found {
            self.grow(pending_bytes(id), 0, out);
        }
        found
    }

    /// Writes down who is a member and what each was given.
    pub(super) fn record(&mut self, out: &mut Out, then: Then) -> u64 {
        self.recorded = true;
        self.write(vec![Record::of_group(self)], out, then)
    }

    pub(super) fn write(&mut self, records: Vec<Record>, out: &mut Out, then: Then) -> u64 {
        self.writes += 1;
        out.write(&self.name, records, then)
    }

    /// A write has ended.
    pub(super) fn written(
        &mut self,
        now: Millis,
        ticket: u64,
        then: Then,
        durable: bool,
        out: &mut Out,
    ) {
        self.writes = self.writes.saturating_sub(1);
        match then {
            Then::Nothing => {}
            Then::Assign(parts) => self.assigned(now, ticket, parts, durable, out),
            Then::Welcome { token, joined } => super::statics::welcome(token, joined, durable, out),
            Then::Commit {
                token,
                offsets,
                results,
            } => self.committed(token, offsets, results, durable, out),
            Then::Forget {
                partitions,
                group,
                waiting,
            } => self.forgotten(&partitions, group, waiting, durable, out),
        }
    }

    /// When time alone changes something here.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        let rebalance = match self.state {
            State::Preparing { deadline, .. } => Some(deadline),
            _ => None,
        };
        let sessions = self.members.values().filter_map(Member::expires);
        let pending = self.pending.values().copied();
        let others = [rebalance, self.sync_deadline, self.retention(now)];
        let others = others.into_iter().flatten();
        sessions.chain(pending).chain(others).min()
    }

    /// When positions, or the group itself, are too old.
    pub(super) fn retention(&self, now: Millis) -> Option<Millis> {
        if self.state != State::Empty || self.writes > 0 {
            return None;
        }
        let oldest = self
            .offsets
            .values()
            .map(|stored| self.expires(stored))
            .min();
        let at = oldest.unwrap_or_else(|| self.since.plus(EMPTY_MS));
        // What could not be written is tried again, but not at once.
        Some(if at > now { at } else { now.plus(RETRY_MS) })
    }

    /// Positions of somebody who was never a member live from their own time on, those of a group
    /// from when its last member went.
    pub(super) fn expires(&self, stored: &Stored) -> Millis {
        let committed = Millis(stored.commit_ms);
        let from = match self.protocol_type.is_empty() {
            true => committed,
            false => committed.max(self.since),
        };
        from.plus(RETENTION_MS)
    }
}

/// Tells a member that waits to join why it does not.
pub(super) fn refuse_join(member: &mut Member, error: GroupError, out: &mut Out) {
    if let Some(token) = member.joining.take() {
        let member = member.id.clone();
        let refused = super::JoinRefused { error, member };
        out.answer(token, Answer::Join(Err(refused)));
    }
}

fn pending_bytes(id: &str) -> usize {
    128 + id.len()
}
