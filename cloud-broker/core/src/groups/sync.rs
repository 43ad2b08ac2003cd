//! SyncGroup: the leader gives out the assignment, everybody gets its part once it is durable.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_wire::time::Millis;

use super::Groups;
use super::group::{Group, State};
use super::out::{Out, Then};
use super::record::Record;
use super::request::{Answer, GroupError, Sync, Synced};

impl Groups {
    pub(super) fn sync(&mut self, now: Millis, token: u64, sync: Sync) {
        let name = sync.caller.group.clone();
        let room = (self.limits.group_bytes, self.limits.bytes);
        let result = match self.groups.get_mut(&name) {
            Some(group) => group.sync(now, token, sync, room, &mut self.out),
            None => Err(GroupError::UnknownMember),
        };
        if let Err(error) = result {
            self.out.answer(token, Answer::Sync(Err(error)));
        }
        self.settle(&name, now);
    }
}

impl Group {
    fn sync(
        &mut self,
        now: Millis,
        token: u64,
        sync: Sync,
        room: (usize, usize),
        out: &mut Out,
    ) -> Result<(), GroupError> {
        self.check_caller(&sync.caller)?;
        let other_type = sync
            .protocol_type
            .is_some_and(|name| name != self.protocol_type);
        let other = sync
            .protocol
            .is_some_and(|name| Some(name) != self.protocol);
        if other_type || other {
            return Err(GroupError::InconsistentProtocol);
        }
        let id = &sync.caller.member;
        self.heard(id, now);
        match self.state {
            State::Empty => Err(GroupError::UnknownMember),
            State::Preparing { .. } => Err(GroupError::Rebalancing),
            State::Stable => {
                self.give(token, id, out);
                Ok(())
            }
            State::Completing { storing } => {
                if storing.is_none() && self.leader.as_deref() == Some(id) {
                    self.store(sync.assignments, room, out)?;
                }
                self.park(token, id, out);
                Ok(())
            }
        }
    }

    fn park(&mut self, token: u64, id: &str, out: &mut Out) {
        if let Some(member) = self.members.get_mut(id) {
            member.owes_sync = false;
            // Its client asks twice; it hears of one of them.
            if let Some(before) = member.syncing.replace(token) {
                out.answer(before, Answer::Sync(Err(GroupError::Rebalancing)));
            }
        }
    }

    /// Writes the assignment down. Members that the leader has left out get nothing.
    fn store(
        &mut self,
        parts: Vec<(String, Bytes)>,
        (group_bytes, all_bytes): (usize, usize),
        out: &mut Out,
    ) -> Result<(), GroupError> {
        let new: usize = parts.iter().map(|(_, part)| part.len()).sum();
        // They take the place of what the last generation was given.
        let old = self.members.values().map(|member| member.assignment.len());
        let more = new.saturating_sub(old.sum());
        if more > 0 && (self.member_bytes + more > group_bytes || out.bytes + more > all_bytes) {
            return Err(GroupError::AssignmentTooLarge);
        }
        let known = |(id, _): &(String, Bytes)| self.members.contains_key(id);
        let parts = parts.into_iter().filter(known);
        // Slices of whole requests are copied.
        let parts: BTreeMap<String, Bytes> = parts
            .map(|(id, part)| (id, Bytes::copy_from_slice(&part)))
            .collect();
        let record = Record::of_assignment(self, &parts);
        self.recorded = true;
        let ticket = self.write(vec![record], out, Then::Assign(parts));
        self.state = State::Completing {
            storing: Some(ticket),
        };
        Ok(())
    }

    /// The assignment is durable, or is not.
    pub(super) fn assigned(
        &mut self,
        now: Millis,
        ticket: u64,
        parts: BTreeMap<String, Bytes>,
        durable: bool,
        out: &mut Out,
    ) {
        if self.state
            != (State::Completing {
                storing: Some(ticket),
            })
        {
            return;
        }
        if !durable {
            self.refuse_syncs(now, GroupError::NotAvailable, out);
            return self.prepare(now, out);
        }
        self.state = State::Stable;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let part = parts.get(&id).cloned().unwrap_or_default();
            self.change(&id, out, |member| member.assignment = part);
            let waits = self
                .members
                .get_mut(&id)
                .and_then(|member| member.syncing.take());
            if let Some(token) = waits {
                self.heard(&id, now);
                self.give(token, &id, out);
            }
        }
    }

    fn give(&mut self, token: u64, id: &str, out: &mut Out) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.owes_sync = false;
        let synced = Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment: member.assignment.clone(),
        };
        out.answer(token, Answer::Sync(Ok(synced)));
    }
}
