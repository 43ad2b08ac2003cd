//! JoinGroup: who becomes a member, and who waits for the next generation.

use headwater_wire::time::Millis;

use super::group::{Group, State, refuse_join};
use super::member::{Member, protocol_bytes};
use super::out::Out;
use super::request::{Answer, GroupError, Join, JoinRefused};
use super::{Groups, Limits, NAME_BYTES_MAX, SESSION_MS_MAX, check_name};

/// Bytes of a client's own name that go into the ids of its members.
const ID_BYTES_OF_CLIENT: usize = 200;
/// Assignors that one member may offer: each member votes on each.
const PROTOCOLS_MAX: usize = 32;

impl Groups {
    pub(super) fn join(&mut self, now: Millis, token: u64, join: Join) {
        let name = join.group.clone();
        if let Err(error) = self.try_join(now, token, &join) {
            let member = join.member;
            self.out
                .answer(token, Answer::Join(Err(JoinRefused { error, member })));
        }
        self.settle(&name, now);
    }

    fn try_join(&mut self, now: Millis, token: u64, join: &Join) -> Result<(), GroupError> {
        check_name(&join.group)?;
        check_join(join, &self.limits)?;
        let known = self.groups.contains_key(&join.group);
        if !known && !join.member.is_empty() {
            return Err(GroupError::UnknownMember);
        }
        if !known && self.groups.len() >= self.limits.groups {
            return Err(GroupError::Full);
        }
        let group = self.groups.entry(join.group.clone());
        let group = group.or_insert_with(|| Group::new(&join.group, now));
        group.check_room(join, &self.limits, self.out.bytes)?;
        group.join(now, token, join, &mut self.out)
    }
}

fn check_join(join: &Join, limits: &Limits) -> Result<(), GroupError> {
    let longest = join
        .instance
        .as_ref()
        .map_or(0, String::len)
        .max(join.client_id.len());
    if longest > NAME_BYTES_MAX || join.protocol_type.len() > NAME_BYTES_MAX {
        return Err(GroupError::InvalidGroup);
    }
    if !(limits.session_ms_min..=SESSION_MS_MAX).contains(&join.session_ms) {
        return Err(GroupError::InvalidSession);
    }
    let legal = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
    if join.protocols.len() > PROTOCOLS_MAX {
        return Err(GroupError::InconsistentProtocol);
    }
    if join.protocol_type.is_empty() || !join.protocols.iter().all(|(name, _)| legal(name)) {
        return Err(GroupError::InconsistentProtocol);
    }
    Ok(())
}

impl Group {
    /// Whether the member, and what it says, finds room.
    fn check_room(&self, join: &Join, limits: &Limits, all_bytes: usize) -> Result<(), GroupError> {
        let known = match &join.instance {
            Some(instance) => self.instances.contains_key(instance),
            None => {
                self.members.contains_key(&join.member) || self.pending.contains_key(&join.member)
            }
        };
        let bytes = |protocols: &_| 2 * NAME_BYTES_MAX + protocol_bytes(protocols);
        // Who comes again is there already.
        let id = match &join.instance {
            Some(instance) => self.instances.get(instance),
            None => Some(&join.member),
        };
        let before = id.and_then(|id| self.members.get(id));
        let before = before.map_or(0, |member| bytes(&member.protocols));
        let more = bytes(&join.protocols).saturating_sub(before);
        let crowded = self.members.len() + self.pending.len() >= limits.members;
        let large = more > 0
            && (self.member_bytes + more > limits.group_bytes || all_bytes + more > limits.bytes);
        match (crowded && !known) || large {
            true => Err(GroupError::Full),
            false => Ok(()),
        }
    }

    fn join(
        &mut self,
        now: Millis,
        token: u64,
        join: &Join,
        out: &mut Out,
    ) -> Result<(), GroupError> {
        if !self.understands(join) {
            return Err(GroupError::InconsistentProtocol);
        }
        match (&join.instance, join.member.is_empty()) {
            (Some(instance), true) => self.join_static(now, token, instance, join, out),
            (None, true) => self.join_new(now, token, join, out),
            (_, false) => self.join_again(now, token, join, out)?,
        }
        Ok(())
    }

    /// Whether a protocol remains that everybody understands.
    fn understands(&self, join: &Join) -> bool {
        if self.members.is_empty() {
            return !join.protocols.is_empty();
        }
        let by_all = |name: &String| self.members.values().all(|member| member.supports(name));
        self.protocol_type == join.protocol_type
            && join.protocols.iter().any(|(name, _)| by_all(name))
    }

    /// Somebody without an id.
    fn join_new(&mut self, now: Millis, token: u64, join: &Join, out: &mut Out) {
        let id = fresh_id(&join.client_id, &join.fresh);
        if join.id_required {
            self.add_pending(&id, now.plus(i64::from(join.session_ms)), out);
            let error = GroupError::MemberIdRequired;
            let refused = JoinRefused { error, member: id };
            return out.answer(token, Answer::Join(Err(refused)));
        }
        let mut member = Member::new(id, join, now);
        member.nameless = true;
        self.add(now, token, member, join, out);
    }

    /// Somebody with an id.
    fn join_again(
        &mut self,
        now: Millis,
        token: u64,
        join: &Join,
        out: &mut Out,
    ) -> Result<(), GroupError> {
        let id = &join.member;
        if join.instance.is_none() && self.take_pending(id, out) {
            self.add(now, token, Member::new(id.clone(), join, now), join, out);
            return Ok(());
        }
        self.check_member(id, join.instance.as_deref())?;
        self.heard(id, now);
        let same = self
            .members
            .get(id)
            .is_some_and(|member| member.protocols == join.protocols);
        let leads = self.leader.as_deref() == Some(id);
        match self.state {
            State::Empty => return Err(GroupError::UnknownMember),
            // It did not get the answer: the same once more.
            State::Completing { .. } if same => self.tell_generation(token, id, false, out),
            State::Stable if same && !leads => self.tell_generation(token, id, false, out),
            _ => {
                self.change(id, out, |member| member.update(join));
                self.wait(now, token, id, out);
            }
        }
        Ok(())
    }

    /// Adds a member, which waits for the next generation.
    pub(super) fn add(
        &mut self,
        now: Millis,
        token: u64,
        member: Member,
        join: &Join,
        out: &mut Out,
    ) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        let id = member.id.clone();
        self.insert(member, out);
        if let State::Preparing {
            deadline,
            first: Some(last),
        } = &mut self.state
        {
            *deadline = now.plus(out.first_wait_ms).min(*last);
        }
        self.wait(now, token, &id, out);
    }

    /// A member waits for the next generation; there will be one.
    pub(super) fn wait(&mut self, now: Millis, token: u64, id: &str, out: &mut Out) {
        if let Some(member) = self.members.get_mut(id) {
            // Its client asks twice; it hears of one of them.
            refuse_join(member, GroupError::Rebalancing, out);
            member.joining = Some(token);
        }
        self.prepare(now, out);
    }
}

/// An id that nobody has had: what the client calls itself, and something that nobody can guess.
pub(super) fn fresh_id(client: &str, fresh: &str) -> String {
    let end = client.floor_char_boundary(ID_BYTES_OF_CLIENT);
    format!("{}-{fresh}", &client[..end])
}
