//! Keys, headers and JSON texts of resume, repair and loss. They are written here, where nothing
//! needs escaping; whoever reads the JSON uses a parser.

use core::fmt;

use super::position::{Position, parse_decimal};
use crate::batch::{Codec, Header, records};
use crate::names::{LOSS_KEY_PREFIX, LOST, REPAIR_KEY_PREFIX};

/// A reason's name is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownReason;

/// Why events were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The agent's disk was full and its policy is to drop the oldest.
    Overflow,
    /// The agent's log was damaged.
    Damaged,
    /// The broker refused a batch for good.
    Refused,
    /// The broker was restored from a backup and the agent no longer held the events.
    Restored,
    /// The broker does not know the lane any more.
    LaneLost,
    /// The stream was deleted and made again.
    Recreated,
    /// No event: positions left out at the end of an epoch.
    Wrap,
}

/// Why an agent asks for a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepairReason {
    /// The agent's disk is older than what the broker has.
    Rollback,
    /// Another copy of the agent's disk has used the lane.
    Clone,
    /// Another batch lies at the same positions.
    Conflict,
}

/// Gives an enum its names.
macro_rules! named {
    ($type:ident, $($variant:ident = $name:literal),+) => {
        impl $type {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl core::str::FromStr for $type {
            type Err = UnknownReason;

            fn from_str(name: &str) -> Result<Self, UnknownReason> {
                match name { $($name => Ok(Self::$variant),)+ _ => Err(UnknownReason) }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named!(
    LossReason,
    Overflow = "overflow",
    Damaged = "damaged",
    Refused = "refused",
    Restored = "restored",
    LaneLost = "lane-lost",
    Recreated = "recreated",
    Wrap = "wrap"
);
named!(
    RepairReason,
    Rollback = "rollback",
    Clone = "clone",
    Conflict = "conflict"
);

/// Positions from `from` to before `to`: the value `A-B` of header `hw-lost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRange {
    /// The first lost position, A.
    pub from: Position,
    /// Behind the last lost position, B.
    pub to: Position,
}

impl LostRange {
    /// Reads `A-B`, in its one spelling, with A below B and B within a lane's positions.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (from, to) = core::str::from_utf8(value).ok()?.split_once('-')?;
        let range = Self {
            from: Position(parse_decimal(from)?),
            to: Position(parse_decimal(to)?),
        };
        (range.from < range.to && range.to <= Position::END).then_some(range)
    }
}

/// The range that a batch declares as lost, if it is a loss batch: one uncompressed record with a
/// key of loss records and the header `hw-lost`. `payload` are the batch's bytes behind the header.
#[must_use]
pub fn loss_range(header: &Header, payload: &[u8]) -> Option<LostRange> {
    if header.record_count != 1 || header.codec() != Ok(Codec::None) {
        return None;
    }
    let record = records(header, payload).next()?.ok()?;
    if !record.key?.starts_with(LOSS_KEY_PREFIX.as_bytes()) {
        return None;
    }
    LostRange::parse(record.header(LOST)??)
}

/// Key of a loss record.
#[derive(Debug, Clone, Copy)]
pub struct LossKey<'a> {
    /// The device that lost events.
    pub device: &'a str,
    /// The stream they belonged to.
    pub stream: &'a str,
}

/// Key of a repair record.
#[derive(Debug, Clone, Copy)]
pub struct RepairKey<'a> {
    /// The device whose lane was repaired.
    pub device: &'a str,
    /// The lane's stream.
    pub stream: &'a str,
}

/// Value of a loss record, in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossReport {
    /// The lost positions.
    pub range: LostRange,
    /// Why.
    pub reason: LossReason,
    /// How many events were in them.
    pub events: u64,
    /// Time of the first event in milliseconds, if known.
    pub first_ms: Option<i64>,
    /// Time of the last event in milliseconds, if known.
    pub last_ms: Option<i64>,
    /// CRC of the batch that ended where the range does, if it was ever sealed.
    pub crc: Option<u32>,
}

/// Payload of a resume publish, in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The oldest position that the agent holds.
    pub oldest: Position,
    /// The position that it seals next.
    pub next: Position,
    /// The generation that the lane's repairs.
    pub predecessor: Option<u32>,
}

/// Payload of a repair publish, in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairRequest {
    /// Why.
    pub reason: RepairReason,
}

/// Value of a repair record, in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairReport<'a> {
    /// The lane's name, checked: it is not escaped.
    pub lane: &'a str,
    /// The generation that ended.
    pub from_generation: u32,
    /// The generation that goes on.
    pub to_generation: u32,
    /// Why.
    pub reason: RepairReason,
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reason is unknown")
    }
}

impl core::error::Error for UnknownReason {}

impl fmt::Display for LostRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

impl fmt::Display for LossKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LOSS_KEY_PREFIX}{}/{}", self.device, self.stream)
    }
}

impl fmt::Display for RepairKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{REPAIR_KEY_PREFIX}{}/{}", self.device, self.stream)
    }
}

impl fmt::Display for LossReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LostRange { from, to } = self.range;
        write!(
            f,
            r#"{{"from":{from},"to":{to},"reason":"{}","#,
            self.reason
        )?;
        write!(
            f,
            r#""events":{},"first_ms":{},"#,
            self.events,
            OrNull(self.first_ms)
        )?;
        write!(f, r#""last_ms":{},"crc":"#, OrNull(self.last_ms))?;
        match self.crc {
            Some(crc) => write!(f, r#""{crc:08x}"}}"#),
            None => f.write_str("null}"),
        }
    }
}

impl fmt::Display for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            oldest,
            next,
            predecessor,
        } = self;
        let predecessor = OrNull(*predecessor);
        write!(
            f,
            r#"{{"oldest":{oldest},"next":{next},"predecessor":{predecessor}}}"#
        )
    }
}

impl fmt::Display for RepairRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"reason":"{}"}}"#, self.reason)
    }
}

impl fmt::Display for RepairReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lane,
            from_generation,
            to_generation,
            reason,
        } = self;
        write!(
            f,
            r#"{{"lane":"{lane}","from_generation":{from_generation},"#
        )?;
        write!(
            f,
            r#""to_generation":{to_generation},"reason":"{reason}"}}"#
        )
    }
}

struct OrNull<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

#[cfg(test)]
mod tests;
