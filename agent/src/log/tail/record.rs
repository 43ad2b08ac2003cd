//! What a lane is beside its batches: the content of a state section.

use headwater_agent_core::handshake::TopicId;
use headwater_agent_core::loss::Loss;
use headwater_wire::uplink::{LossReason, LostRange, Position, RepairReason};

use crate::fields::take;

/// Remembered entries that lie below the acknowledged end: the last two that were trimmed, and a
/// loss for each.
pub(in crate::log) const REMEMBERED_MAX: usize = 4;
/// The most remembered entries of a lane: beside those, what was evicted and may have been sent.
pub(in crate::log) const REMEMBERED_ALL_MAX: usize = 256;
const NO_GENERATION: u32 = u32::MAX;
const NO_TIME: i64 = i64::MIN;
const FIXED_BYTES: usize = 4 + 4 + 16 + 5 * 8 + 2;
const MORE_BYTES: usize = 5 * 8 + 1 + 2;
const GIVEN_UP_BYTES: usize = 4 * 8 + 4 + 2;
const REMEMBERED_BYTES: usize = 8 + 4;
const HOLE_BYTES: usize = 8 + 8;

/// See the module. Positions are those that the log counts in; see [`LaneRecord::base`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::log) struct LaneRecord {
    pub(in crate::log) generation: u32,
    pub(in crate::log) predecessor: Option<u32>,
    pub(in crate::log) topic_id: Option<TopicId>,
    /// Position of the first record that is not sealed, present or not.
    pub(in crate::log) open_first: Position,
    /// Everything below was acknowledged and is gone.
    pub(in crate::log) trimmed: Position,
    /// Events whose loss the broker confirmed.
    pub(in crate::log) lost_events: u64,
    /// Segments up to this serial count below `fence_at` only: a commit to them failed.
    pub(in crate::log) fence_serial: u64,
    pub(in crate::log) fence_at: Position,
    /// End and CRC of entries that are gone and that the broker may name, oldest first.
    pub(in crate::log) remembered: Vec<(Position, u32)>,
    /// Everything below was acknowledged, when this was written.
    pub(in crate::log) acked: Position,
    /// No batch that ends above was ever handed out.
    pub(in crate::log) sent: Position,
    /// Position that the broker knows as 0 in this generation.
    pub(in crate::log) base: Position,
    /// Segments that end at or below were evicted.
    pub(in crate::log) evicted: Position,
    /// The last repair: why, and when, ms.
    pub(in crate::log) repaired: Option<(RepairReason, i64)>,
    /// Given up and not declared: no byte of a loss batch for it exists.
    pub(in crate::log) given_up: Vec<Loss>,
    /// Positions that the broker counts and that hold nothing, in order.
    pub(in crate::log) holes: Vec<Hole>,
}

/// Positions that the broker counts before what lies at `at`, and that hold nothing: there an epoch
/// of its count ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct Hole {
    pub(in crate::log) at: Position,
    /// How many; at least one.
    pub(in crate::log) count: u64,
}

impl LaneRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let remembered = &self.remembered;
        let remembered = &remembered[remembered.len().saturating_sub(REMEMBERED_ALL_MAX)..];
        let bytes = FIXED_BYTES
            + REMEMBERED_BYTES * remembered.len()
            + MORE_BYTES
            + GIVEN_UP_BYTES * self.given_up.len()
            + 2
            + HOLE_BYTES * self.holes.len();
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.predecessor.unwrap_or(NO_GENERATION).to_le_bytes());
        out.extend_from_slice(&self.topic_id.map_or([0; 16], |id| id.0));
        let numbers = [
            self.open_first.0,
            self.trimmed.0,
            self.lost_events,
            self.fence_serial,
            self.fence_at.0,
        ];
        numbers
            .iter()
            .for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        put_count(remembered.len(), &mut out);
        for (end, crc) in remembered {
            out.extend_from_slice(&end.0.to_le_bytes());
            out.extend_from_slice(&crc.to_le_bytes());
        }
        let (reason, at_ms) = self
            .repaired
            .map_or((0, 0), |(reason, at_ms)| (repair_number(reason), at_ms));
        for number in [self.acked.0, self.sent.0, self.base.0, self.evicted.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&at_ms.to_le_bytes());
        out.push(reason);
        put_count(self.given_up.len(), &mut out);
        self.given_up
            .iter()
            .for_each(|loss| put_loss(loss, &mut out));
        put_count(self.holes.len(), &mut out);
        for Hole { at, count } in &self.holes {
            out.extend_from_slice(&at.0.to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
        }
        debug_assert_eq!(out.len(), bytes);
        out
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let mut rest = content;
        let generation = u32::from_le_bytes(take(&mut rest)?);
        let predecessor = u32::from_le_bytes(take(&mut rest)?);
        let topic_id: [u8; 16] = take(&mut rest)?;
        let mut number = || take(&mut rest).map(u64::from_le_bytes);
        let (open_first, trimmed) = (Position(number()?), Position(number()?));
        let lost_events = number()?;
        let (fence_serial, fence_at) = (number()?, Position(number()?));
        let count = u16::from_le_bytes(take(&mut rest)?);
        let mut remembered = Vec::new();
        for _ in 0..count {
            let end = Position(u64::from_le_bytes(take(&mut rest)?));
            remembered.push((end, u32::from_le_bytes(take(&mut rest)?)));
        }
        let mut record = Self {
            generation,
            predecessor: (predecessor != NO_GENERATION).then_some(predecessor),
            topic_id: (topic_id != [0; 16]).then_some(TopicId(topic_id)),
            open_first,
            trimmed,
            lost_events,
            fence_serial,
            fence_at,
            remembered,
            acked: trimmed,
            // A log of before these fields: all that is sealed may have been sent.
            sent: Position::END,
            ..Self::default()
        };
        if !rest.is_empty() {
            record.decode_more(&mut rest)?;
        }
        Some(record)
    }

    fn decode_more(&mut self, rest: &mut &[u8]) -> Option<()> {
        let mut number = || take(rest).map(u64::from_le_bytes).map(Position);
        self.acked = number()?;
        self.sent = number()?;
        self.base = number()?;
        self.evicted = number()?;
        let at_ms = i64::from_le_bytes(take(rest)?);
        let [reason] = take(rest)?;
        self.repaired = match reason {
            0 => None,
            number => Some((repair_reason(number)?, at_ms)),
        };
        let count = u16::from_le_bytes(take(rest)?);
        for _ in 0..count {
            self.given_up.push(take_loss(rest)?);
        }
        if !rest.is_empty() {
            self.decode_holes(rest)?;
        }
        Some(())
    }

    fn decode_holes(&mut self, rest: &mut &[u8]) -> Option<()> {
        let count = u16::from_le_bytes(take(rest)?);
        for _ in 0..count {
            let [at, count] = [take(rest)?, take(rest)?].map(u64::from_le_bytes);
            let at = Position(at);
            let is_behind = self.holes.last().is_none_or(|last| last.at < at);
            let is_in_epoch = (1..Position::ZERO.records_left_in_epoch()).contains(&count);
            if !is_behind || !is_in_epoch || at < self.base || at >= Position::END {
                return None;
            }
            self.holes.push(Hole { at, count });
        }
        Some(())
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    let count = u16::try_from(count).expect("lists of a lane are short");
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_loss(loss: &Loss, out: &mut Vec<u8>) {
    out.extend_from_slice(&loss.range.from.0.to_le_bytes());
    out.extend_from_slice(&loss.range.to.0.to_le_bytes());
    for time in [loss.first_ms, loss.last_ms] {
        out.extend_from_slice(&time.unwrap_or(NO_TIME).to_le_bytes());
    }
    out.extend_from_slice(&loss.crc.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&[u8::from(loss.crc.is_some()), loss_number(loss.reason)]);
}

fn take_loss(rest: &mut &[u8]) -> Option<Loss> {
    let [from, to] = [take(rest)?, take(rest)?].map(|bytes| Position(u64::from_le_bytes(bytes)));
    let time = |bytes| Some(i64::from_le_bytes(bytes)).filter(|time| *time != NO_TIME);
    let (first_ms, last_ms) = (time(take(rest)?), time(take(rest)?));
    let crc = u32::from_le_bytes(take(rest)?);
    let [has_crc, reason] = take(rest)?;
    (from < to).then_some(Loss {
        range: LostRange { from, to },
        reason: loss_reason(reason)?,
        first_ms,
        last_ms,
        crc: (has_crc != 0).then_some(crc),
    })
}

/// The numbers are on disk.
const LOSS_REASONS: [LossReason; 7] = [
    LossReason::Overflow,
    LossReason::Damaged,
    LossReason::Refused,
    LossReason::Restored,
    LossReason::LaneLost,
    LossReason::Recreated,
    LossReason::Wrap,
];

fn loss_number(reason: LossReason) -> u8 {
    let index = LOSS_REASONS.iter().position(|other| *other == reason);
    u8::try_from(index.map_or(0, |index| index + 1)).unwrap_or(0)
}

fn loss_reason(number: u8) -> Option<LossReason> {
    let index = usize::from(number).checked_sub(1)?;
    LOSS_REASONS.get(index).copied()
}

fn repair_number(reason: RepairReason) -> u8 {
    match reason {
        RepairReason::Rollback => 1,
        RepairReason::Clone => 2,
        RepairReason::Conflict => 3,
    }
}

fn repair_reason(number: u8) -> Option<RepairReason> {
    match number {
        1 => Some(RepairReason::Rollback),
        2 => Some(RepairReason::Clone),
        3 => Some(RepairReason::Conflict),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loss() -> impl Strategy<Value = Loss> {
        let times = any::<[Option<i64>; 2]>();
        let crc = any::<Option<u32>>();
        (0..100u64, 1..100u64, times, crc, 1..=7u8).prop_map(|(from, count, times, crc, reason)| {
            let [first_ms, last_ms] = times.map(|time| time.filter(|time| *time != NO_TIME));
            Loss {
                range: LostRange {
                    from: Position(from),
                    to: Position(from + count),
                },
                reason: loss_reason(reason).expect("one of the seven"),
                first_ms,
                last_ms,
                crc,
            }
        })
    }

    pub(in crate::log::tail) fn record() -> impl Strategy<Value = LaneRecord> {
        let numbers = (
            any::<u32>(),
            proptest::option::of(0..u32::MAX),
            proptest::array::uniform9(0..1_u64 << 40),
        );
        let topic_id =
            proptest::option::of(any::<[u8; 16]>().prop_filter("zero", |id| *id != [0; 16]));
        let remembered = proptest::collection::vec((any::<u64>(), any::<u32>()), 0..9);
        let given_up = proptest::collection::vec(loss(), 0..4);
        let repaired = proptest::option::of((1..=3u8, any::<i64>()));
        let holes = proptest::collection::vec((1..1_000_u64, 1..1_000_u64), 0..4);
        (numbers, topic_id, remembered, given_up, repaired, holes).prop_map(
            |((generation, predecessor, numbers), topic_id, list, given_up, repaired, holes)| {
                LaneRecord {
                    generation,
                    predecessor,
                    topic_id: topic_id.map(TopicId),
                    open_first: Position(numbers[0]),
                    lost_events: numbers[1],
                    trimmed: Position(numbers[4]),
                    fence_serial: numbers[2],
                    fence_at: Position(numbers[3]),
                    remembered: list
                        .into_iter()
                        .map(|(end, crc)| (Position(end), crc))
                        .collect(),
                    acked: Position(numbers[5]),
                    sent: Position(numbers[6]),
                    base: Position(numbers[7]),
                    evicted: Position(numbers[8]),
                    repaired: repaired.and_then(|(reason, at)| Some((repair_reason(reason)?, at))),
                    given_up,
                    holes: holes
                        .into_iter()
                        .scan(numbers[7], |at, (further, count)| {
                            *at += further;
                            let at = Position(*at);
                            Some(Hole { at, count })
                        })
                        .collect(),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_an_earlier_version_wrote_is_read(record in record()) {
            let bytes = record.encode();
            let old = &bytes[..FIXED_BYTES + REMEMBERED_BYTES * record.remembered.len()];
            let read = LaneRecord::decode(old).expect("it has all of its fields");
            prop_assert_eq!(read.acked, record.trimmed);
            prop_assert_eq!((read.sent, read.base), (Position::END, Position(0)));
            prop_assert_eq!(read.remembered, record.remembered);
        }
    }
}
