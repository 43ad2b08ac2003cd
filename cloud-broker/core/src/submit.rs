//! What doors hand to the journal: plain publishes, encoded at once into open batches, and the
//! requests of agents, in the order in which they came.

use std::collections::VecDeque;

use bytes::Bytes;
use headwater_wire::batch::{BatchBuilder, Header};

use crate::bloom::Topics;
use crate::{LaneName, LaneOutcome, PartitionId};

/// A batch of plain publishes is closed, and another begun, before it grows beyond this many
/// bytes: Kafka clients fetch 1 MiB at a time by default.
pub const PLAIN_BATCH_BYTES_MAX: usize = 900_000;

/// A publish of a client that is no agent. Its time is given at the commit.
#[derive(Clone, Copy, Debug)]
pub struct PlainRecord<'a, H> {
    /// The record's key.
    pub topic: &'a str,
    /// The payload, byte for byte.
    pub value: &'a [u8],
    /// The record's headers: an iterator of `(&str, Option<&[u8]>)`.
    pub headers: H,
}

/// A sealed batch of an agent. The door has checked length, magic, CRC, header and, by the
/// stream's `validation`, every record and its key.
#[derive(Clone, Debug)]
pub struct LaneBatch {
    /// As in the topic, with the authenticated device.
    pub name: LaneName,
    /// Number of the connection, never used again in this process.
    pub connection: u64,
    /// The batch as it came.
    pub bytes: Bytes,
    /// Its header.
    pub header: Header,
    /// Bloom filter of its keys ([`Topics::take`]); empty = not known.
    pub topics: Vec<u8>,
}

/// `$hw/1/resume`: a connection wants to hold a lane.
#[derive(Clone, Debug)]
pub struct Resume {
    /// As in the topic, with the authenticated device.
    pub name: LaneName,
    /// Number of the connection.
    pub connection: u64,
    /// First position that the agent holds.
    pub oldest: u64,
    /// Position that the agent will seal next.
    pub next: u64,
    /// The generation that this one repairs.
    pub predecessor: Option<u32>,
}

/// `$hw/1/repair`: an agent asks for the next generation of a lane.
#[derive(Clone, Debug)]
pub struct Repair {
    /// As in the topic, with the authenticated device.
    pub name: LaneName,
    /// Number of the connection.
    pub connection: u64,
    /// `rollback`, `clone` or `conflict`.
    pub reason: RepairReason,
}

/// Why an agent asks for a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairReason {
    /// Its disk holds an older state than it had.
    Rollback,
    /// Another agent used its name.
    Clone,
    /// Another batch lies where one of its own should.
    Conflict,
    /// Written by the broker: a generation that it had forgotten came back.
    Restored,
}

impl RepairReason {
    /// As in payloads and repair records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Clone => "clone",
            Self::Conflict => "conflict",
            Self::Restored => "restored",
        }
    }

    /// Reads what an agent may say.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Rollback, Self::Clone, Self::Conflict]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// One request of an agent.
#[derive(Clone, Debug)]
pub enum Request {
    /// A sealed batch.
    Batch(LaneBatch),
    /// A handshake.
    Resume(Resume),
    /// A repair.
    Repair(Repair),
    /// The agent's newest status.
    Status {
        /// The authenticated device.
        device: String,
        /// The payload.
        json: Bytes,
    },
    /// Something that came while the log took nothing; it is answered in its turn.
    Busy {
        /// When to come again, ms.
        retry_ms: u32,
    },
    /// The connection is gone and holds nothing any more; there is no answer.
    Closed {
        /// Number of the connection.
        connection: u64,
    },
}

/// What became of a request, under the token that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The door's own number for the request.
    pub token: u64,
    /// Its outcome.
    pub outcome: LaneOutcome,
}

/// What one door put in between two commits. Memory is used again.
#[derive(Debug, Default)]
pub struct Buffer {
    open: Vec<OpenBatch>,
    used: usize,
    places: Vec<usize>,
    taken: usize,
    requests: VecDeque<(u64, Request)>,
    request_bytes: usize,
    plain_bytes: usize,
    live: bool,
}

/// Plain publishes of one partition.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    pub(crate) partition: PartitionId,
    pub(crate) records: BatchBuilder,
    pub(crate) topics: Topics,
}

impl Buffer {
    /// Encodes a publish into the open batch of its partition. Gives false, and takes nothing, if
    /// the record cannot be encoded (longer than 2^31-1 bytes).
    pub fn publish<'h, H>(&mut self, partition: PartitionId, record: PlainRecord<'_, H>) -> bool
    where
        H: IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    {
        let at = self.open_batch(partition, record.topic.len() + record.value.len());
        let open = &mut self.open[at];
        let before = open.records.uncompressed_bytes();
        let (key, value) = (Some(record.topic.as_bytes()), Some(record.value));
        if open.records.push(0, key, value, record.headers).is_err() {
            return false;
        }
        open.topics.add(record.topic.as_bytes());
        self.live = true;
        self.plain_bytes += open.records.uncompressed_bytes() - before;
        true
    }

    /// Puts a request behind those that are there.
    pub fn request(&mut self, token: u64, request: Request) {
        self.request_bytes += match &request {
            Request::Batch(batch) => batch.bytes.len() + REQUEST_BYTES,
            Request::Status { json, .. } => json.len() + REQUEST_BYTES,
            Request::Resume(_)
            | Request::Repair(_)
            | Request::Busy { .. }
            | Request::Closed { .. } => REQUEST_BYTES,
        };
        self.requests.push_back((token, request));
    }

    /// Notes that somebody waits for what was put in; of plain publishes that is known.
    pub fn mark_live(&mut self) {
        self.live = true;
    }

    /// Whether it is more than what those bring who come back with much.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0 && self.requests.is_empty()
    }

    /// Bytes in it, uncompressed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.plain_bytes + self.request_bytes
    }

    /// Number of plain records in it.
    #[must_use]
    pub fn records(&self) -> usize {
        self.open[..self.used]
            .iter()
            .map(|open| open.records.records())
            .sum()
    }

    /// Forgets what is in it and keeps the memory that it needed, within bounds.
    pub fn clear(&mut self) {
        for open in &mut self.open[..self.used] {
            open.records.clear();
            open.topics.clear();
        }
        self.reset();
    }

    /// The next open batch that was not taken yet; its content is the caller's to take.
    pub(crate) fn next_batch(&mut self) -> Option<&mut OpenBatch> {
        let open = self.open[..self.used].get_mut(self.taken)?;
        self.taken += 1;
        Some(open)
    }

    /// The next request.
    pub(crate) fn next_request(&mut self) -> Option<(u64, Request)> {
        self.requests.pop_front()
    }

    /// Whether everything was taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.taken == self.used && self.requests.is_empty()
    }

    fn reset(&mut self) {
        for open in &self.open[..self.used] {
            self.places[open.partition.index()] = NOWHERE;
        }
        if self.plain_bytes > KEPT_BYTES_MAX {
            self.open.clear();
        }
        (self.used, self.taken) = (0, 0);
        self.requests.clear();
        (self.request_bytes, self.plain_bytes) = (0, 0);
        self.live = false;
    }

    fn open_batch(&mut self, partition: PartitionId, bytes: usize) -> usize {
        if self.places.len() <= partition.index() {
            self.places.resize(partition.index() + 1, NOWHERE);
        }
        let place = self.places[partition.index()];
        if place != NOWHERE {
            let taken = self.open[place].records.uncompressed_bytes();
            if taken.saturating_add(bytes) <= PLAIN_BATCH_BYTES_MAX {
                return place;
            }
        }
        let at = self.used;
        self.used += 1;
        self.places[partition.index()] = at;
        match self.open.get_mut(at) {
            Some(open) => open.partition = partition,
            None => self.open.push(OpenBatch {
                partition,
                records: BatchBuilder::new(),
                topics: Topics::default(),
            }),
        }
        at
    }
}

const NOWHERE: usize = usize::MAX;
/// What a request is counted as beside its payload.
const REQUEST_BYTES: usize = 256;
/// A buffer that held more gives its memory back.
const KEPT_BYTES_MAX: usize = 4 << 20;
