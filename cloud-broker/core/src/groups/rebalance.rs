//! From one generation to the next.

use std::collections::BTreeMap;

use headwater_wire::time::Millis;

use super::FIRST_WAIT_MS_MAX;
use super::group::{Group, State};
use super::member::Member;
use super::out::{Out, Then};
use super::request::{Answer, GroupError};

/// The shortest wait for members that a client can ask for.
const REBALANCE_MS_MIN: i64 = 1000;

impl Group {
    /// There is to be a new generation: every member joins again. Ends at once if all have.
    pub(super) fn prepare(&mut self, now: Millis, out: &mut Out) {
        self.state = match self.state {
            State::Preparing { .. } => self.state,
            State::Empty => State::Preparing {
                deadline: now.plus(out.first_wait_ms),
                first: Some(now.plus(FIRST_WAIT_MS_MAX)),
            },
            State::Completing { .. } | State::Stable => State::Preparing {
                deadline: now.plus(self.longest_rebalance()),
                first: None,
            },
        };
        self.sync_deadline = None;
        self.refuse_syncs(now, GroupError::Rebalancing, out);
        self.try_complete(now, out);
    }

    /// The next generation begins if nobody is missing.
    pub(super) fn try_complete(&mut self, now: Millis, out: &mut Out) {
        let State::Preparing { first: None, .. } = self.state else {
            return;
        };
        let all = self.members.values().all(|member| member.joining.is_some());
        if all && self.pending.is_empty() {
            self.complete(now, out);
        }
    }

    /// The next generation begins with those who have joined. Others are out, but for static
    /// members, whose sessions go on.
    pub(super) fn complete(&mut self, now: Millis, out: &mut Out) {
        let missing = |member: &&Member| member.joining.is_none() && member.instance.is_none();
        let missing: Vec<String> = self
            .members
            .values()
            .filter(missing)
            .map(|member| member.id.clone())
            .collect();
        for id in missing {
            self.take_out(&id, GroupError::UnknownMember, out);
        }
        if self.members.is_empty() {
            return self.become_empty(now, out);
        }
        let joined = |member: &Member| member.joining.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if !leader.is_some_and(joined) {
            let Some(elected) = self.members.values().find(|member| joined(member)) else {
                // Static members alone, all away: their sessions end this.
                let deadline = now.plus(self.longest_rebalance());
                self.state = State::Preparing {
                    deadline,
                    first: None,
                };
                return;
            };
            self.leader = Some(elected.id.clone());
        }
        self.begin_generation(now, out);
    }

    fn begin_generation(&mut self, now: Millis, out: &mut Out) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.choose();
        self.state = State::Completing { storing: None };
        self.sync_deadline = Some(now.plus(self.longest_rebalance()));
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.joined(&id, false);
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            let token = member.joining.take();
            member.owes_sync = token.is_some();
            if let Some(token) = token {
                member.heard(now);
                member.nameless = false;
                out.answer(token, Answer::Join(Ok(answer)));
            }
        }
    }

    fn become_empty(&mut self, now: Millis, out: &mut Out) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        (self.state, self.protocol, self.leader) = (State::Empty, None, None);
        self.since = now;
        if self.recorded || !self.offsets.is_empty() {
            self.record(out, Then::Nothing);
        }
    }

    /// The protocol that all members understand and most prefer; of equals, the first by name.
    pub(super) fn choose(&self) -> Option<String> {
        let by_all = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes = BTreeMap::<&str, usize>::new();
        for member in self.members.values() {
            let names = member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(best) = names.into_iter().find(|name| by_all(name)) {
                *votes.entry(best).or_default() += 1;
            }
        }
        // The last of equal maxima wins, so from the end.
        let best = votes.into_iter().rev().max_by_key(|(_, count)| *count);
        best.map(|(name, _)| name.to_owned())
    }

    /// A member is no more: the others share what it had.
    pub(super) fn remove(&mut self, now: Millis, id: &str, out: &mut Out) {
        if self.take_out(id, GroupError::UnknownMember, out).is_none() {
            return;
        }
        match self.state {
            State::Empty => {}
            State::Preparing { .. } => self.try_complete(now, out),
            State::Completing { .. } | State::Stable => self.prepare(now, out),
        }
    }

    /// Whoever waits for the leader need not any more.
    pub(super) fn refuse_syncs(&mut self, now: Millis, why: GroupError, out: &mut Out) {
        for member in self.members.values_mut() {
            member.owes_sync = false;
            if let Some(token) = member.syncing.take() {
                member.heard(now);
                out.answer(token, Answer::Sync(Err(why)));
            }
        }
    }

    /// What time alone brings.
    pub(super) fn poll(&mut self, now: Millis, out: &mut Out) {
        let late = |(_, until): &(&String, &Millis)| **until <= now;
        let pending: Vec<String> = self
            .pending
            .iter()
            .filter(late)
            .map(|(id, _)| id.clone())
            .collect();
        for id in pending {
            self.take_pending(&id, out);
            self.try_complete(now, out);
        }
        let over = |member: &&Member| member.expires().is_some_and(|at| at <= now);
        let silent: Vec<String> = self
            .members
            .values()
            .filter(over)
            .map(|member| member.id.clone())
            .collect();
        for id in silent {
            self.remove(now, &id, out);
        }
        if self.sync_deadline.is_some_and(|at| at <= now) {
            self.sync_deadline = None;
            let owes = self.members.values().filter(|member| member.owes_sync);
            let owing: Vec<String> = owes.map(|member| member.id.clone()).collect();
            for id in owing {
                self.remove(now, &id, out);
            }
        }
        match self.state {
            State::Preparing { deadline, .. } if deadline <= now => self.complete(now, out),
            State::Empty => self.expire_offsets(now, out),
            _ => {}
        }
    }

    fn longest_rebalance(&self) -> i64 {
        let all = self
            .members
            .values()
            .map(|member| member.rebalance_ms.max(0));
        // Never 0: a rebalance that nobody joins would be over, and begin again, at the same time.
        i64::from(all.max().unwrap_or(0)).max(REBALANCE_MS_MIN)
    }
}
