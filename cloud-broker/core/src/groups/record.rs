//! Records of `__groups` (`FORMAT.md`): a group with its members, and a position.
//! Big-endian; strings are UTF-8 behind a u16 length, bytes behind a u32 length.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_wire::time::Millis;

use crate::StreamId;

use super::Groups;
use super::group::{Group, State};
use super::member::Member;
use super::offsets::Stored;
use super::request::Position;

/// First byte of every key and of every value.
const FORMAT: u8 = 1;
const GROUP: u8 = 1;
const OFFSET: u8 = 2;

/// One record; without a value what was said before is void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose group, and what about it.
    pub key: Vec<u8>,
    /// What holds from now on.
    pub value: Option<Vec<u8>>,
}

/// A record of `__groups` that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Of a later format.
    #[error("Record of a group has format {0}, this broker reads format {FORMAT}")]
    Format(u8),
    /// Neither a group nor a position.
    #[error("Record of a group is of kind {0}")]
    Kind(u8),
    /// It ends too early, or too late, or a string is not UTF-8.
    #[error("Record of a group is damaged")]
    Damaged,
}

impl Record {
    /// The group as it is.
    pub(super) fn of_group(group: &Group) -> Self {
        Self::with_parts(group, |member| member.assignment.clone())
    }

    /// The group with an assignment that is not in force yet.
    pub(super) fn of_assignment(group: &Group, parts: &BTreeMap<String, Bytes>) -> Self {
        Self::with_parts(group, |member| {
            parts.get(&member.id).cloned().unwrap_or_default()
        })
    }

    pub(super) fn no_group(group: &str) -> Self {
        Self {
            key: key(GROUP, group),
            value: None,
        }
    }

    pub(super) fn of_offset(group: &str, partition: (StreamId, u32), stored: &Stored) -> Self {
        let mut value = Writer(vec![FORMAT]);
        value.i64(stored.position.offset);
        value.i32(stored.position.leader_epoch);
        value.i64(stored.commit_ms);
        value.string(&stored.position.metadata);
        Self {
            value: Some(value.0),
            ..Self::no_offset(group, partition)
        }
    }

    pub(super) fn no_offset(group: &str, (stream, partition): (StreamId, u32)) -> Self {
        let mut key = key(OFFSET, group);
        key.extend_from_slice(&stream);
        key.extend_from_slice(&partition.to_be_bytes());
        Self { key, value: None }
    }

    /// What [`Record::of_offset`] takes, bytes.
    pub(super) fn offset_bytes(group: &str, metadata: &str) -> usize {
        const KEY: usize = 1 + 1 + 2 + 16 + 4;
        const VALUE: usize = 1 + 8 + 4 + 8 + 2;
        KEY + group.len() + VALUE + metadata.len()
    }

    /// Bytes of key and value.
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    fn with_parts(group: &Group, part: impl Fn(&Member) -> Bytes) -> Self {
        let mut value = Writer(vec![FORMAT]);
        value.i64(group.since.0);
        value.i32(group.generation);
        value.string(&group.protocol_type);
        value.string(group.protocol.as_deref().unwrap_or_default());
        value.string(group.leader.as_deref().unwrap_or_default());
        value.count(group.members.len());
        for member in group.members.values() {
            value.member(member, &part(member));
        }
        Self {
            key: key(GROUP, &group.name),
            value: Some(value.0),
        }
    }
}

impl Groups {
    /// Takes in the newest record of a key.
    pub(super) fn load_record(
        &mut self,
        key: &[u8],
        value: &[u8],
        now: Millis,
    ) -> Result<(), RecordError> {
        let mut key = Reader::new(key)?;
        let kind = key.byte()?;
        let name = key.string()?;
        let mut value = Reader::new(value)?;
        let group = self.groups.entry(name.clone());
        let group = group.or_insert_with(|| Group::new(&name, now));
        match kind {
            GROUP => {
                value.group(group, now, &mut self.out)?;
                group.recorded = true;
            }
            OFFSET => {
                let partition = (key.array()?, u32::from_be_bytes(key.array()?));
                let stored = value.offset()?;
                group.keep(partition, stored, &mut self.out);
            }
            other => return Err(RecordError::Kind(other)),
        }
        key.end()?;
        value.end()
    }
}

fn key(kind: u8, group: &str) -> Vec<u8> {
    let mut key = Writer(vec![FORMAT, kind]);
    key.string(group);
    key.0
}

struct Writer(Vec<u8>);

impl Writer {
    fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// All names and words were checked when they came in: they are far below 64 KiB.
    fn string(&mut self, value: &str) {
        let bytes =
            u16::try_from(value.len()).expect("names and metadata are checked on their way in");
        self.0.extend_from_slice(&bytes.to_be_bytes());
        self.0.extend_from_slice(value.as_bytes());
    }

    fn count(&mut self, count: usize) {
        let count = u32::try_from(count).expect("groups are far smaller than 4 GiB");
        self.0.extend_from_slice(&count.to_be_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend_from_slice(value);
    }

    fn member(&mut self, member: &Member, part: &[u8]) {
        self.string(&member.id);
        self.string(member.instance.as_deref().unwrap_or_default());
        self.string(&member.client_id);
        self.string(&member.client_host);
        self.i32(member.session_ms);
        self.i32(member.rebalance_ms);
        self.count(member.protocols.len());
        for (name, metadata) in &member.protocols {
            self.string(name);
            self.bytes(metadata);
        }
        self.bytes(part);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Behind the format byte.
    fn new(bytes: &'a [u8]) -> Result<Self, RecordError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self(rest)),
            Some((other, _)) => Err(RecordError::Format(*other)),
            None => Err(RecordError::Damaged),
        }
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(RecordError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::Damaged)
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.array::<1>()?[0])
    }

    fn i32(&mut self) -> Result<i32, RecordError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, RecordError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn count(&mut self) -> Result<usize, RecordError> {
        Ok(u32::from_be_bytes(self.array()?) as usize)
    }

    fn string(&mut self) -> Result<String, RecordError> {
        let bytes = u16::from_be_bytes(self.array()?);
        let text = std::str::from_utf8(self.take(bytes.into())?);
        text.map(str::to_owned).map_err(|_| RecordError::Damaged)
    }

    fn some_string(&mut self) -> Result<Option<String>, RecordError> {
        Ok(Some(self.string()?).filter(|text| !text.is_empty()))
    }

    fn bytes(&mut self) -> Result<Bytes, RecordError> {
        let bytes = self.count()?;
        Ok(Bytes::copy_from_slice(self.take(bytes)?))
    }

    fn end(&self) -> Result<(), RecordError> {
        match self.0 {
            [] => Ok(()),
            _ => Err(RecordError::Damaged),
        }
    }

    fn group(
        &mut self,
        group: &mut Group,
        now: Millis,
        out: &mut super::Out,
    ) -> Result<(), RecordError> {
        group.since = Millis(self.i64()?);
        group.generation = self.i32()?;
        group.protocol_type = self.string()?;
        group.protocol = self.some_string()?;
        let leader = self.some_string()?;
        for _ in 0..self.count()? {
            let member = self.member(now)?;
            group.insert(member, out);
        }
        group.leader = leader;
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        Ok(())
    }

    fn member(&mut self, now: Millis) -> Result<Member, RecordError> {
        let mut member = Member {
            id: self.string()?,
            instance: self.some_string()?,
            client_id: self.string()?,
            client_host: self.string()?,
            session_ms: self.i32()?,
            rebalance_ms: self.i32()?,
            ..Member::default()
        };
        for _ in 0..self.count()? {
            member.protocols.push((self.string()?, self.bytes()?));
        }
        member.assignment = self.bytes()?;
        member.heard(now);
        Ok(member)
    }

    fn offset(&mut self) -> Result<Stored, RecordError> {
        let (offset, leader_epoch, commit_ms) = (self.i64()?, self.i32()?, self.i64()?);
        let position = Position {
            offset,
            leader_epoch,
            metadata: self.string()?,
        };
        Ok(Stored {
            position,
            commit_ms,
        })
    }
}
