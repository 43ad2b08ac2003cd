//! Heartbeat and LeaveGroup, and connections that end.

use headwater_wire::time::Millis;

use super::Groups;
use super::group::{Group, State};
use super::out::Out;
use super::request::{Answer, Caller, GroupError, Leave};

impl Groups {
    pub(super) fn heartbeat(&mut self, now: Millis, token: u64, caller: &Caller) {
        let result = match self.groups.get_mut(&caller.group) {
            Some(group) => group.heartbeat(now, caller),
            None => Err(GroupError::UnknownMember),
        };
        // The group's timer may now come too early, never too late: nothing to settle.
        self.out.answer(token, Answer::Heartbeat(result));
    }

    pub(super) fn leave(&mut self, now: Millis, token: u64, leave: &Leave) {
        let mut results = Vec::with_capacity(leave.members.len());
        for (member, instance) in &leave.members {
            results.push(match self.groups.get_mut(&leave.group) {
                Some(group) => group.leave(now, member, instance.as_deref(), &mut self.out),
                None => Err(GroupError::UnknownMember),
            });
        }
        self.out.answer(token, Answer::Leave(Ok(results)));
        self.settle(&leave.group, now);
    }
}

impl Group {
    fn heartbeat(&mut self, now: Millis, caller: &Caller) -> Result<(), GroupError> {
        self.check_caller(caller)?;
        self.heard(&caller.member, now);
        match self.state {
            State::Preparing { .. } => Err(GroupError::Rebalancing),
            // Clients begin as soon as they have joined.
            State::Completing { .. } | State::Stable => Ok(()),
            State::Empty => Err(GroupError::UnknownMember),
        }
    }

    fn leave(
        &mut self,
        now: Millis,
        member: &str,
        instance: Option<&str>,
        out: &mut Out,
    ) -> Result<(), GroupError> {
        let id = match instance {
            // An administrator names the instance alone.
            Some(instance) if member.is_empty() => {
                let id = self.instances.get(instance).cloned();
                id.ok_or(GroupError::UnknownMember)?
            }
            None if self.take_pending(member, out) => {
                self.try_complete(now, out);
                return Ok(());
            }
            _ => {
                self.check_member(member, instance)?;
                member.to_owned()
            }
        };
        self.remove(now, &id, out);
        Ok(())
    }

    /// Nobody is there any more who could take the answer to a request that waits.
    pub(super) fn gone(&mut self, now: Millis, token: u64, out: &mut Out) {
        let waits = |token_of: Option<u64>| token_of == Some(token);
        let mut members = self.members.values_mut();
        let Some(member) = members.find(|member| waits(member.joining) || waits(member.syncing))
        else {
            return;
        };
        if waits(member.syncing) {
            member.syncing = None;
            return member.heard(now);
        }
        member.joining = None;
        member.heard(now);
        if member.nameless {
            let id = member.id.clone();
            self.remove(now, &id, out);
        }
    }
}
