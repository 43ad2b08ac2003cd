//! Consumer groups: who is a member, who reads what, and how far each group has come
//! (`kafka.md` 2, M1; the rules are those of Apache Kafka's classic group protocol).
//!
//! [`Groups::handle`] takes a request under a token that the shell chose, and
//! [`Groups::take_actions`] gives what is to be done: answers by token, and records to be written.
//! What must be durable before it is said is said after [`Groups::handle_written`], which the shell
//! calls for every write in the order of their tickets. Time is an argument; call
//! [`Groups::poll`] at [`Groups::deadline`].

mod admin;
mod group;
mod join;
mod leave;
mod member;
mod offsets;
mod out;
mod rebalance;
mod record;
mod request;
mod statics;
mod subscription;
mod sync;
mod timers;

use std::collections::BTreeMap;

use headwater_wire::time::Millis;

use group::Group;
use out::Out;
use timers::Timers;

pub use out::{Action, Write};
pub use record::{Record, RecordError};
pub use request::{
    Answer, Caller, Commit, Described, DescribedMember, GroupError, GroupState, Join, JoinRefused,
    Joined, Leave, Listed, Position, Request, Sync, Synced,
};

/// The longest name of a group, of a member and of an instance, bytes.
pub const NAME_BYTES_MAX: usize = 500;
/// The longest metadata of a position, bytes (Kafka's `offset.metadata.max.bytes`).
pub const METADATA_BYTES_MAX: usize = 4096;
/// The longest session timeout, ms (Kafka's `group.max.session.timeout.ms`).
pub const SESSION_MS_MAX: i32 = 30 * 60 * 1000;
/// A group that was empty waits no longer than this for more members, ms (Kafka's
/// `group.initial.rebalance.delay.ms`).
pub const FIRST_WAIT_MS_MAX: i64 = 3000;
/// Positions of a group without members are kept so long, ms (Kafka's `offsets.retention.minutes`).
pub const RETENTION_MS: i64 = 7 * 24 * 3600 * 1000;
/// A group with neither members nor positions is kept so long, ms.
pub const EMPTY_MS: i64 = 10 * 60 * 1000;
/// The most that one commit may write, bytes of its records' keys and values. Forgetting writes no
/// more at a time either.
pub const COMMIT_BYTES_MAX: usize = 4 << 20;

/// What groups may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The shortest session timeout, ms.
    pub session_ms_min: i32,
    /// A group that was empty waits so long for more members, ms, and for each that comes so long
    /// again.
    pub first_wait_ms: i64,
    /// Groups.
    pub groups: usize,
    /// Members of one group.
    pub members: usize,
    /// Bytes of what the members of one group say and are given: they lie in one record.
    pub group_bytes: usize,
    /// Positions of one group.
    pub offsets: usize,
    /// Bytes of records under way to the log: beyond them nothing is begun that would write more.
    pub writing_bytes: usize,
    /// Bytes of all groups, with their positions.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session_ms_min: 6000,
            first_wait_ms: 500,
            groups: 10_000,
            members: 1000,
            group_bytes: 2 << 20,
            offsets: 20_000,
            writing_bytes: 16 << 20,
            bytes: 64 << 20,
        }
    }
}

/// All groups that this broker coordinates.
#[derive(Debug, Default)]
pub struct Groups {
    limits: Limits,
    groups: BTreeMap<String, Group>,
    timers: Timers,
    out: Out,
}

impl Groups {
    /// No groups.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let mut groups = Self {
            limits,
            ..Self::default()
        };
        groups.out.first_wait_ms = limits.first_wait_ms;
        groups.out.writing_bytes_max = limits.writing_bytes;
        groups
    }

    /// The groups as the newest record of each key says. Members of a generation that was
    /// complete go on; each has its whole session timeout from `now` on.
    ///
    /// # Errors
    /// [`RecordError`], if a record cannot be understood.
    pub fn load<'a>(
        limits: Limits,
        records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        now: Millis,
    ) -> Result<Self, RecordError> {
        let mut groups = Self::new(limits);
        for (key, value) in records {
            groups.load_record(key, value, now)?;
        }
        let names: Vec<String> = groups.groups.keys().cloned().collect();
        names.iter().for_each(|name| groups.settle(name, now));
        Ok(groups)
    }

    /// Takes a request. Its answer comes under `token`, at once or later.
    pub fn handle(&mut self, now: Millis, token: u64, request: Request) {
        if let Some(refusal) = request.busy().filter(|_| self.out.is_busy()) {
            return self.out.answer(token, refusal);
        }
        match request {
            Request::Join(join) => self.join(now, token, join),
            Request::Sync(sync) => self.sync(now, token, sync),
            Request::Heartbeat(caller) => self.heartbeat(now, token, &caller),
            Request::Leave(leave) => self.leave(now, token, &leave),
            Request::Commit(commit) => self.commit(now, token, commit),
            Request::Fetch { group, wanted } => self.fetch(token, &group, wanted),
            Request::List => self.list(token),
            Request::Describe { group } => self.describe(token, &group),
            Request::Delete { groups } => self.delete(now, token, &groups),
            Request::DeleteOffsets { group, partitions } => {
                self.delete_offsets(now, token, &group, &partitions);
            }
        }
    }

    /// Whoever asked under this token has gone: nothing waits for it any more.
    pub fn handle_gone(&mut self, now: Millis, group: &str, token: u64) {
        if let Some(found) = self.groups.get_mut(group) {
            found.gone(now, token, &mut self.out);
        }
        self.settle(group, now);
    }

    /// A write has become durable, or never will.
    pub fn handle_written(&mut self, now: Millis, ticket: u64, durable: bool) {
        let Some((name, then)) = self.out.take_write(ticket) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(&name) {
            group.written(now, ticket, then, durable, &mut self.out);
        }
        self.settle(&name, now);
    }

    /// When [`Groups::poll`] is to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        self.timers.first()
    }

    /// Does what time alone brings: sessions, rebalances and positions that are over.
    pub fn poll(&mut self, now: Millis) {
        while let Some(name) = self.timers.take_due(now) {
            if let Some(group) = self.groups.get_mut(&name) {
                group.poll(now, &mut self.out);
            }
            self.settle(&name, now);
        }
    }

    /// What is to be done now, in this order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        self.out.take_actions()
    }

    /// Looks when a group needs attention next, and forgets it if nothing is left of it.
    fn settle(&mut self, name: &str, now: Millis) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        if group.is_nothing() {
            self.groups.remove(name);
            self.timers.forget(name);
        } else if let Some(deadline) = group.deadline(now) {
            self.timers.set(name, deadline);
        }
    }
}

/// Whether something can be the name of a group.
fn check_name(name: &str) -> Result<(), GroupError> {
    match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        _ => Err(GroupError::InvalidGroup),
    }
}

#[cfg(test)]
mod tests;
