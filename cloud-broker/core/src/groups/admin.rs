//! Groups as administrators see them: listed, described, deleted.

use std::collections::BTreeSet;

use bytes::Bytes;
use headwater_wire::time::Millis;

use crate::StreamId;

use super::Groups;
use super::group::{Group, State};
use super::member::Member;
use super::out::{Out, Waiting};
use super::request::{Answer, Described, DescribedMember, GroupError, Listed};
use super::subscription;

impl Groups {
    pub(super) fn list(&mut self, token: u64) {
        let all = self.groups.values().filter(|group| group.is_visible());
        let all = all.map(Group::listed).collect();
        self.out.answer(token, Answer::List(all));
    }

    pub(super) fn describe(&mut self, token: u64, name: &str) {
        let group = self.groups.get(name).filter(|group| group.is_visible());
        let described = group.map(Group::described);
        self.out.answer(token, Answer::Describe(described));
    }

    pub(super) fn delete(&mut self, now: Millis, token: u64, names: &[String]) {
        if names.is_empty() {
            return self.out.answer(token, Answer::Delete(Vec::new()));
        }
        self.out.begin_delete(token, names.len());
        for (place, name) in names.iter().enumerate() {
            let refusal = match self.groups.get_mut(name) {
                _ if name.is_empty() => Some(GroupError::InvalidGroup),
                Some(group) if group.is_visible() => {
                    group.delete(token, place, &mut self.out).err()
                }
                _ => Some(GroupError::NotFound),
            };
            if let Some(error) = refusal {
                self.out.deleted(token, place, Err(error));
            }
            self.settle(name, now);
        }
    }

    pub(super) fn delete_offsets(
        &mut self,
        now: Millis,
        token: u64,
        name: &str,
        partitions: &[(StreamId, u32, String)],
    ) {
        let result = match self.groups.get_mut(name) {
            Some(group) if group.is_visible() => {
                group.delete_offsets(token, partitions, &mut self.out)
            }
            _ => Err(GroupError::NotFound),
        };
        if let Err(error) = result {
            self.out.answer(token, Answer::DeleteOffsets(Err(error)));
        }
        self.settle(name, now);
    }
}

impl Group {
    /// Not only an id that was given to somebody who may never come.
    fn is_visible(&self) -> bool {
        let known = self.recorded || !self.offsets.is_empty() || self.writes > 0;
        known || self.state != State::Empty
    }

    fn listed(&self) -> Listed {
        Listed {
            group: self.name.clone(),
            protocol_type: self.protocol_type.clone(),
            state: self.public_state(),
            members: self.members.len(),
        }
    }

    fn described(&self) -> Described {
        let stable = self.state == State::Stable;
        let protocol = self.protocol.clone().filter(|_| stable).unwrap_or_default();
        let shown = |bytes: Bytes| if stable { bytes } else { Bytes::new() };
        let one = |member: &Member| DescribedMember {
            id: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: shown(member.metadata(&protocol)),
            assignment: shown(member.assignment.clone()),
        };
        Described {
            listed: self.listed(),
            members: self.members.values().map(one).collect(),
            protocol,
        }
    }

    fn delete(&mut self, token: u64, place: usize, out: &mut Out) -> Result<(), GroupError> {
        if self.state != State::Empty {
            return Err(GroupError::NotEmpty);
        }
        // Positions that are being written would come back.
        let mut partitions: Vec<_> = self
            .offsets
            .keys()
            .chain(self.writing.keys())
            .copied()
            .collect();
        partitions.sort_unstable();
        partitions.dedup();
        self.forget(
            partitions,
            true,
            Some(Waiting::Delete { token, place }),
            out,
        );
        Ok(())
    }

    fn delete_offsets(
        &mut self,
        token: u64,
        partitions: &[(StreamId, u32, String)],
        out: &mut Out,
    ) -> Result<(), GroupError> {
        if self.state != State::Empty && self.protocol_type != subscription::CONSUMER {
            return Err(GroupError::NotEmpty);
        }
        let reads = |stream: &str| {
            self.members.values().any(|member| {
                let mut all = member.protocols.iter().map(|(_, bytes)| bytes);
                all.any(|bytes| subscription::reads(bytes, stream))
            })
        };
        let check = |(_, _, stream): &(StreamId, u32, String)| match reads(stream) {
            true => Err(GroupError::Subscribed),
            false => Ok(()),
        };
        let results: Vec<Result<(), GroupError>> = partitions.iter().map(check).collect();
        let free = partitions
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok());
        let free = free.map(|((stream, partition, _), _)| (*stream, *partition));
        // Only what is there has to be forgotten, and once.
        let is_there = |key: &(StreamId, u32)| {
            self.offsets.contains_key(key) || self.writing.contains_key(key)
        };
        let free: BTreeSet<_> = free.filter(is_there).collect();
        let free: Vec<_> = free.into_iter().collect();
        if free.is_empty() {
            out.answer(token, Answer::DeleteOffsets(Ok(results)));
        } else {
            self.forget(free, false, Some(Waiting::Offsets { token, results }), out);
        }
        Ok(())
    }
}
