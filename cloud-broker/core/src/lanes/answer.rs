//! The names that an agent uses and the answers it gets; the MQTT door turns these into PUBACKs.

use crate::StreamId;

/// Which lane a message of an agent speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneName {
    /// The authenticated device.
    pub device: String,
    /// Stream, as in the topic.
    pub stream: String,
    /// Lane, as in the topic.
    pub lane: String,
    /// Generation, as in the topic.
    pub generation: u32,
}

/// What became of a lane message. Valid only once the commit that it waits for is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneOutcome {
    /// The batch lies in the log; `next` is the position that follows.
    Appended {
        /// Position that follows.
        next: u64,
    },
    /// Exactly this batch already lay in the log.
    Duplicate {
        /// Position that follows the lane's newest entry.
        next: u64,
    },
    /// Answer to `resume`; the connection now holds the lane.
    Resumed {
        /// Position that follows the lane's newest entry.
        next: u64,
        /// CRC of the entry that ends at `next - 1`, if there is one.
        crc: Option<u32>,
        /// Identity of the stream.
        topic_id: StreamId,
        /// The highest generation, if it is newer than the one that asked.
        generation: Option<u32>,
    },
    /// Answer to `repair`: the generation that is reserved for this agent.
    Repaired {
        /// The reserved generation.
        generation: u32,
    },
    /// Answer to `status`: it is kept.
    Kept,
    /// Nothing was written.
    Refused(Refusal),
}

/// Why a lane message was refused (`interfaces.md` 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The connection does not hold the lane, or the batch is older than what is remembered.
    Stale,
    /// The batch begins beyond the lane's next position.
    OutOfOrder {
        /// The lane's next position.
        next: u64,
    },
    /// Another batch lies at one of these positions; the lane is closed until it is resumed.
    Conflict {
        /// The lane's next position.
        next: u64,
    },
    /// Bad length, magic, CRC, count, decompression or record.
    Corrupt,
    /// The producer id is not this lane's, or the topic is not this device's.
    NotYours,
    /// There is no such stream.
    NoStream,
    /// The stream is partitioned by topic and cannot take whole batches.
    PartitionedByTopic,
    /// A record's key is not for this device to write.
    ForbiddenKey,
    /// The device has as many lanes as it may have.
    TooManyLanes,
    /// Overload, disk full or no store: come again later.
    Busy {
        /// When, ms.
        retry_ms: u32,
    },
}

impl Refusal {
    /// The PUBACK's reason code.
    #[must_use]
    pub fn reason_code(&self) -> u8 {
        match self {
            Self::Stale
            | Self::OutOfOrder { .. }
            | Self::Conflict { .. }
            | Self::PartitionedByTopic => 0x83,
            Self::NotYours | Self::ForbiddenKey => 0x87,
            Self::NoStream => 0x90,
            Self::TooManyLanes | Self::Busy { .. } => 0x97,
            Self::Corrupt => 0x99,
        }
    }

    /// The user property `error`.
    #[must_use]
    pub fn error(&self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::OutOfOrder { .. } => "out-of-order",
            Self::Conflict { .. } => "conflict",
            Self::Corrupt => "corrupt",
            Self::NotYours => "not-yours",
            Self::NoStream => "no-stream",
            Self::PartitionedByTopic => "partitioned-by-topic",
            Self::ForbiddenKey => "forbidden-key",
            Self::TooManyLanes => "too-many-lanes",
            Self::Busy { .. } => "busy",
        }
    }
}
