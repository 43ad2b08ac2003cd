//! Static members: one that comes back takes its old place, mostly without a rebalance.

use headwater_wire::time::Millis;

use super::group::{Group, State, refuse_join};
use super::join::fresh_id;
use super::member::Member;
use super::out::{Out, Then};
use super::request::{Answer, GroupError, Join, JoinRefused, Joined};

impl Group {
    /// A process without an id, but with an instance.
    pub(super) fn join_static(
        &mut self,
        now: Millis,
        token: u64,
        instance: &str,
        join: &Join,
        out: &mut Out,
    ) {
        let id = fresh_id(instance, &join.fresh);
        let Some(old) = self.instances.get(instance).cloned() else {
            return self.add(now, token, Member::new(id, join, now), join, out);
        };
        let led = self.leader.clone();
        self.replace(now, &old, &id, join, out);
        let stays = self.state == State::Stable && self.choose() == self.protocol;
        if !stays {
            return self.wait(now, token, &id, out);
        }
        let mut joined = self.joined(&id, join.may_skip_assignment);
        if !join.may_skip_assignment {
            // An old client that leads would give out an assignment that nobody takes: it is told
            // of the leader before it.
            joined.leader = led.unwrap_or_default();
        }
        self.record(out, Then::Welcome { token, joined });
    }

    /// Another process takes a static member's place; the old one is fenced.
    fn replace(&mut self, now: Millis, old: &str, id: &str, join: &Join, out: &mut Out) {
        let led = self.leader.as_deref() == Some(old);
        let Some(mut member) = self.take_out(old, GroupError::Fenced, out) else {
            return;
        };
        member.id = id.to_owned();
        member.owes_sync = false;
        member.update(join);
        member.heard(now);
        self.insert(member, out);
        if led {
            self.leader = Some(id.to_owned());
        }
    }

    /// What a member of this generation is told about it.
    pub(super) fn tell_generation(&mut self, token: u64, id: &str, may_skip: bool, out: &mut Out) {
        if let Some(member) = self.members.get_mut(id) {
            refuse_join(member, GroupError::Rebalancing, out);
            member.nameless = false;
        }
        let joined = self.joined(id, may_skip);
        out.answer(token, Answer::Join(Ok(joined)));
    }

    pub(super) fn joined(&self, id: &str, may_skip: bool) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let leads = self.leader.as_deref() == Some(id);
        let lists = leads && (may_skip || self.state != State::Stable);
        let all = self.members.values().filter(|_| lists);
        let one = |member: &Member| {
            (
                member.id.clone(),
                member.instance.clone(),
                member.metadata(&protocol),
            )
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member: id.to_owned(),
            skip_assignment: leads && may_skip && self.state == State::Stable,
            members: all.map(one).collect(),
            protocol,
        }
    }
}

/// A static member's new id is durable, or is not.
pub(super) fn welcome(token: u64, joined: Joined, durable: bool, out: &mut Out) {
    let answer = match durable {
        true => Ok(joined),
        // The client comes once more without an id, and takes its place again.
        false => Err(JoinRefused {
            error: GroupError::NotAvailable,
            member: String::new(),
        }),
    };
    out.answer(token, Answer::Join(answer));
}
