//! How far groups have come: remembered once durable, forgotten when too old or when their stream
//! is gone.

use std::collections::BTreeSet;

use headwater_wire::time::Millis;

use crate::StreamId;

use super::group::{Group, State};
use super::out::{Out, Then, Waiting};
use super::record::Record;
use super::request::{Answer, Caller, Commit, GroupError, Position};
use super::{COMMIT_BYTES_MAX, EMPTY_MS, Groups, METADATA_BYTES_MAX, check_name};

/// A position as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) position: Position,
    /// When it was committed, ms.
    pub(super) commit_ms: i64,
}

/// What a position is counted as beside its record: it is held here and by the journal.
const OFFSET_BYTES: usize = 350;

impl Groups {
    pub(super) fn commit(&mut self, now: Millis, token: u64, commit: Commit) {
        let name = commit.caller.group.clone();
        if let Err(error) = self.try_commit(now, token, commit) {
            self.out.answer(token, Answer::Commit(Err(error)));
        }
        self.settle(&name, now);
    }

    fn try_commit(&mut self, now: Millis, token: u64, commit: Commit) -> Result<(), GroupError> {
        let name = &commit.caller.group;
        check_name(name)?;
        let kept = commit
            .offsets
            .iter()
            .filter(|(_, _, position)| is_kept(position));
        let written = kept
            .clone()
            .map(|(_, _, at)| Record::offset_bytes(name, &at.metadata));
        let bytes: usize = kept
            .map(|(_, _, position)| offset_bytes(name, position))
            .sum();
        // What takes the place of its like needs no room.
        let before: usize = self.groups.get(name).map_or(0, |group| {
            let keys = commit.offsets.iter().map(|(stream, at, _)| (*stream, *at));
            let known = keys.filter_map(|key| group.offsets.get(&key));
            known
                .map(|stored| offset_bytes(name, &stored.position))
                .sum()
        });
        let more = bytes.saturating_sub(before);
        let has_room = more == 0 || self.out.bytes + more <= self.limits.bytes;
        if written.sum::<usize>() > COMMIT_BYTES_MAX || !has_room {
            return Err(GroupError::CommitTooLarge);
        }
        if !self.groups.contains_key(name) {
            if commit.caller.generation >= 0 {
                return Err(GroupError::IllegalGeneration);
            }
            if self.groups.len() >= self.limits.groups {
                return Err(GroupError::CommitTooLarge);
            }
        }
        let group = self.groups.entry(name.clone());
        let group = group.or_insert_with(|| Group::new(name, now));
        if group.positions_with(&commit.offsets) > self.limits.offsets {
            return Err(GroupError::CommitTooLarge);
        }
        group.check_committer(now, &commit.caller)?;
        group.commit(now, token, commit.offsets, &mut self.out);
        Ok(())
    }

    pub(super) fn fetch(&mut self, token: u64, group: &str, wanted: Option<Vec<(StreamId, u32)>>) {
        let Some(group) = self.groups.get(group) else {
            return self.out.answer(token, Answer::Fetch(Vec::new()));
        };
        let known = |key: &(StreamId, u32)| Some((*key, group.offsets.get(key)?.position.clone()));
        let found = match wanted {
            Some(wanted) => wanted.iter().filter_map(known).collect(),
            None => group.offsets.keys().filter_map(known).collect(),
        };
        self.out.answer(token, Answer::Fetch(found));
    }

    /// Forgets the positions in streams that are not there any more.
    pub fn handle_streams(&mut self, exists: impl Fn(&StreamId) -> bool) {
        for group in self.groups.values_mut() {
            let gone = |(stream, _): &&(StreamId, u32)| !exists(stream);
            let known = group.offsets.keys().chain(group.writing.keys());
            let partitions: Vec<_> = known.filter(gone).copied().collect();
            if !partitions.is_empty() {
                group.forget(partitions, false, None, &mut self.out);
            }
        }
    }
}

impl Group {
    /// How many positions there are with those of a commit, in the log and under way.
    fn positions_with(&self, commit: &[(StreamId, u32, Position)]) -> usize {
        let commit = commit.iter().filter(|(_, _, position)| is_kept(position));
        let new = commit.map(|(stream, partition, _)| (*stream, *partition));
        let new = new.chain(self.writing.keys().copied());
        let new = new.filter(|key| !self.offsets.contains_key(key));
        self.offsets.len() + new.collect::<BTreeSet<_>>().len()
    }

    /// Whether somebody may commit: a member of this generation, or anybody while there are none.
    fn check_committer(&mut self, now: Millis, caller: &Caller) -> Result<(), GroupError> {
        let outsider = caller.generation < 0;
        if outsider && self.state == State::Empty {
            return Ok(());
        }
        if outsider && caller.member.is_empty() && caller.instance.is_none() {
            return Err(GroupError::UnknownMember);
        }
        self.check_caller(caller)?;
        self.heard(&caller.member, now);
        match self.state {
            State::Completing { .. } => Err(GroupError::Rebalancing),
            _ => Ok(()),
        }
    }

    fn commit(
        &mut self,
        now: Millis,
        token: u64,
        offsets: Vec<(StreamId, u32, Position)>,
        out: &mut Out,
    ) {
        let mut results = Vec::with_capacity(offsets.len());
        let (mut kept, mut records) = (Vec::new(), Vec::new());
        for (stream, partition, position) in offsets {
            if !is_kept(&position) {
                results.push(Err(GroupError::MetadataTooLarge));
                continue;
            }
            let key = (stream, partition);
            let stored = Stored {
                position,
                commit_ms: now.0,
            };
            // Under way it is held as well.
            out.bytes += offset_bytes(&self.name, &stored.position);
            records.push(Record::of_offset(&self.name, key, &stored));
            *self.writing.entry(key).or_default() += 1;
            kept.push((key, stored));
            results.push(Ok(()));
        }
        if kept.is_empty() {
            return out.answer(token, Answer::Commit(Ok(results)));
        }
        let then = Then::Commit {
            token,
            offsets: kept,
            results,
        };
        self.write(records, out, then);
    }

    /// Positions are durable, or are not. Writes end in their order, so the newest stays.
    pub(super) fn committed(
        &mut self,
        token: u64,
        offsets: Vec<((StreamId, u32), Stored)>,
        results: Vec<Result<(), GroupError>>,
        durable: bool,
        out: &mut Out,
    ) {
        for (key, stored) in offsets {
            let bytes = offset_bytes(&self.name, &stored.position);
            out.bytes = out.bytes.saturating_sub(bytes);
            if let Some(count) = self.writing.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.writing.remove(&key);
                }
            }
            if durable {
                self.keep(key, stored, out);
            }
        }
        let answer = match durable {
            true => Ok(results),
            false => Err(GroupError::NotAvailable),
        };
        out.answer(token, Answer::Commit(answer));
    }

    pub(super) fn keep(&mut self, key: (StreamId, u32), stored: Stored, out: &mut Out) {
        out.bytes += offset_bytes(&self.name, &stored.position);
        if let Some(before) = self.offsets.insert(key, stored) {
            let bytes = offset_bytes(&self.name, &before.position);
            out.bytes = out.bytes.saturating_sub(bytes);
        }
    }

    /// Forgets positions, and with them the group if `group`; `waiting` hears of the end.
    pub(super) fn forget(
        &mut self,
        mut partitions: Vec<(StreamId, u32)>,
        group: bool,
        waiting: Option<Waiting>,
        out: &mut Out,
    ) {
        let most = COMMIT_BYTES_MAX / Record::offset_bytes(&self.name, "");
        while partitions.len() > most {
            let some = partitions.split_off(partitions.len() - most);
            self.forget_at_once(some, false, None, out);
        }
        self.forget_at_once(partitions, group, waiting, out);
    }

    fn forget_at_once(
        &mut self,
        partitions: Vec<(StreamId, u32)>,
        group: bool,
        waiting: Option<Waiting>,
        out: &mut Out,
    ) {
        let mut records: Vec<Record> = partitions
            .iter()
            .map(|key| Record::no_offset(&self.name, *key))
            .collect();
        if group {
            // What is written after this is another group.
            self.recorded = false;
            records.push(Record::no_group(&self.name));
        }
        let then = Then::Forget {
            partitions,
            group,
            waiting,
        };
        self.write(records, out, then);
    }

    /// It is durable that these are forgotten, or it is not.
    pub(super) fn forgotten(
        &mut self,
        partitions: &[(StreamId, u32)],
        group: bool,
        waiting: Option<Waiting>,
        durable: bool,
        out: &mut Out,
    ) {
        if durable {
            for key in partitions {
                if let Some(stored) = self.offsets.remove(key) {
                    let bytes = offset_bytes(&self.name, &stored.position);
                    out.bytes = out.bytes.saturating_sub(bytes);
                }
            }
        }
        self.recorded |= group && !durable;
        // An earlier part of them may not have become durable.
        let whole = durable && (!group || self.offsets.is_empty());
        let result = match whole {
            true => Ok(()),
            false => Err(GroupError::NotAvailable),
        };
        match waiting {
            Some(Waiting::Delete { token, place }) => out.deleted(token, place, result),
            Some(Waiting::Offsets { token, results }) => {
                out.answer(token, Answer::DeleteOffsets(result.map(|()| results)));
            }
            None => {}
        }
    }

    /// Positions that are too old go, and when none is left, the group.
    pub(super) fn expire_offsets(&mut self, now: Millis, out: &mut Out) {
        if self.writes > 0 {
            return;
        }
        let over = |(_, stored): &(&(StreamId, u32), &Stored)| self.expires(stored) <= now;
        let partitions: Vec<_> = self
            .offsets
            .iter()
            .filter(over)
            .map(|(key, _)| *key)
            .collect();
        let all = partitions.len() == self.offsets.len();
        let last = all && self.recorded && self.since.plus(EMPTY_MS) <= now;
        if last || !partitions.is_empty() {
            self.forget(partitions, last, None, out);
        }
    }
}

fn is_kept(position: &Position) -> bool {
    position.metadata.len() <= METADATA_BYTES_MAX
}

/// What a position takes in memory.
fn offset_bytes(group: &str, position: &Position) -> usize {
    let metadata = &position.metadata;
    OFFSET_BYTES + Record::offset_bytes(group, metadata) + metadata.len()
}
