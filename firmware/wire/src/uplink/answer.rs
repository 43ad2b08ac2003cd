//! The broker's answers: PUBACK reasons and user properties.

use core::fmt;

/// Names of user properties of a PUBACK.
pub mod property {
    /// Why the publish was refused, see [`super::Refusal`].
    pub const ERROR: &str = "error";
    /// The position that the broker expects next, decimal.
    pub const NEXT: &str = "next";
    /// `1` if the batch had arrived before.
    pub const DUPLICATE: &str = "duplicate";
    /// How long to wait after `busy`, decimal milliseconds.
    pub const RETRY_MS: &str = "retry_ms";
    /// The stream's UUID.
    pub const TOPIC_ID: &str = "topic_id";
    /// CRC of the entry that ends before `next`, 8 hex digits.
    pub const CRC: &str = "crc";
    /// The generation reserved by a repair, or a newer one than the lane's, decimal.
    pub const GENERATION: &str = "generation";
}

/// Why the broker refuses what an agent published; the text is the property `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The connection does not hold the lane, or the batch is older than what is remembered.
    Stale,
    /// The batch begins above the expected position.
    OutOfOrder,
    /// Another batch lies at one of these positions.
    Conflict,
    /// The bytes are no valid batch.
    Corrupt,
    /// The producer id is not this device's, or the topic is not permitted.
    NotYours,
    /// No such stream.
    NoStream,
    /// The stream is partitioned by topic and takes no batches.
    PartitionedByTopic,
    /// A record's key is one that this device may not publish to.
    ForbiddenKey,
    /// The device has as many lanes as it may have.
    TooManyLanes,
    /// Overload, full disk or no bucket: try again later.
    Busy,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Stale,
        Self::OutOfOrder,
        Self::Conflict,
        Self::Corrupt,
        Self::NotYours,
        Self::NoStream,
        Self::PartitionedByTopic,
        Self::ForbiddenKey,
        Self::TooManyLanes,
        Self::Busy,
    ];

    /// The value of the property `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::OutOfOrder => "out-of-order",
            Self::Conflict => "conflict",
            Self::Corrupt => "corrupt",
            Self::NotYours => "not-yours",
            Self::NoStream => "no-stream",
            Self::PartitionedByTopic => "partitioned-by-topic",
            Self::ForbiddenKey => "forbidden-key",
            Self::TooManyLanes => "too-many-lanes",
            Self::Busy => "busy",
        }
    }

    /// The refusal that the property `error` names.
    #[must_use]
    pub fn parse(error: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|refusal| refusal.as_str() == error)
    }

    /// The reason code of the PUBACK (MQTT 5, 3.4.2.1).
    #[must_use]
    pub const fn reason_code(self) -> u8 {
        match self {
            Self::Stale | Self::OutOfOrder | Self::Conflict | Self::PartitionedByTopic => 0x83,
            Self::NotYours | Self::ForbiddenKey => 0x87,
            Self::NoStream => 0x90,
            Self::TooManyLanes | Self::Busy => 0x97,
            Self::Corrupt => 0x99,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_round_trip() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::parse(refusal.as_str()), Some(refusal));
        }
        assert_eq!(Refusal::parse("Stale"), None);
    }
}
