//! A lane: one strictly ordered sequence of batches of one stream from this device.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use headwater_wire::uplink::{LANE_DEFAULT, Position};

/// Which lane: `events/main`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneName {
    /// Stream, `[A-Za-z0-9._-]{1,200}`.
    pub stream: Arc<str>,
    /// Lane within the stream, `[a-z0-9-]{1,32}`.
    pub lane: Arc<str>,
}

impl LaneName {
    /// The lane `lane` of `stream`.
    pub fn new(stream: &str, lane: &str) -> Self {
        Self {
            stream: stream.into(),
            lane: lane.into(),
        }
    }

    /// The lane that every stream has.
    pub fn main(stream: &str) -> Self {
        Self::new(stream, LANE_DEFAULT)
    }
}

impl fmt::Display for LaneName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.stream, self.lane)
    }
}

/// A batch as it lies in the log and travels to the broker: these bytes never change again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBatch {
    /// Position of its first record; of a loss batch the first position lost.
    pub first: Position,
    /// Position after its last record.
    pub next: Position,
    /// One Kafka record batch, base offset 0, leader epoch -1.
    pub bytes: Bytes,
}

/// What the log says of a lane: enough to resume it and to drain it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    /// Which lane.
    pub name: LaneName,
    /// Generation of its producer id.
    pub generation: u32,
    /// Generation that this one repairs.
    pub predecessor: Option<u32>,
    /// Oldest position still held; equals `sealed` when nothing sealed is held.
    pub oldest: Position,
    /// Everything below is acknowledged, as far as this process knows.
    pub acked: Position,
    /// Position to be sealed next: batches below it can be sent.
    pub sealed: Position,
    /// Position of the next event; those from `sealed` on are still open.
    pub next: Position,
}

impl LaneState {
    /// Whether the broker has something to be told: data, sealed or open, that it has not
    /// acknowledged.
    pub fn has_backlog(&self) -> bool {
        self.acked < self.next
    }
}
