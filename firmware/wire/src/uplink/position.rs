//! A record's number within its lane: 46 bits that never wrap.

use core::fmt;

use crate::batch::{Header, Producer};

const SEQUENCE_BITS: u32 = 31;
const POSITION_BITS: u32 = SEQUENCE_BITS + 15;

/// Position = producer epoch x 2^31 + base sequence; 0 is a lane's first record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before every record.
    pub const ZERO: Self = Self(0);
    /// Behind the last record that a lane can have.
    pub const END: Self = Self(1 << POSITION_BITS);

    /// The position of a record; `None` if epoch or sequence is negative.
    #[must_use]
    pub fn from_parts(epoch: i16, sequence: i32) -> Option<Self> {
        let epoch = u64::try_from(epoch).ok()?;
        let sequence = u64::try_from(sequence).ok()?;
        Some(Self((epoch << SEQUENCE_BITS) | sequence))
    }

    /// Producer epoch and sequence; `None` from [`Position::END`] on.
    #[must_use]
    pub fn parts(self) -> Option<(i16, i32)> {
        let epoch = i16::try_from(self.0 >> SEQUENCE_BITS).ok()?;
        let sequence = i32::try_from(self.0 & ((1 << SEQUENCE_BITS) - 1)).ok()?;
        Some((epoch, sequence))
    }

    /// What a batch whose first record stands here carries as producer `id`.
    #[must_use]
    pub fn producer(self, id: i64) -> Option<Producer> {
        let (epoch, base_sequence) = self.parts()?;
        Some(Producer {
            id,
            epoch,
            base_sequence,
        })
    }

    /// The position `records` further on; `None` beyond [`Position::END`].
    #[must_use]
    pub fn advance(self, records: u64) -> Option<Self> {
        let moved = Self(self.0.checked_add(records)?);
        (moved <= Self::END).then_some(moved)
    }

    /// How many records a batch that begins here may have: it ends with its epoch.
    #[must_use]
    pub fn records_left_in_epoch(self) -> u64 {
        if self >= Self::END {
            return 0;
        }
        (1 << SEQUENCE_BITS) - (self.0 & ((1 << SEQUENCE_BITS) - 1))
    }

    /// How many positions lie from `earlier` to this one; 0 if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The positions of a batch's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRange {
    /// Position of the first record.
    pub first: Position,
    /// Position behind the last record.
    pub next: Position,
}

impl BatchRange {
    /// The positions of a lane's batch; `None` if it has no sequence or record, or passes the end
    /// of its epoch, where Kafka's numbers would begin again with 0.
    #[must_use]
    pub fn of(header: &Header) -> Option<Self> {
        let first = Position::from_parts(header.producer_epoch, header.base_sequence)?;
        let records = u64::try_from(header.record_count).ok()?;
        if records == 0 || records > first.records_left_in_epoch() {
            return None;
        }
        Some(Self {
            first,
            next: first.advance(records)?,
        })
    }

    /// Position of the last record.
    #[must_use]
    pub fn last(self) -> Position {
        Position(self.next.0.saturating_sub(1))
    }
}

/// A decimal number, in its one spelling.
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    if canonical { text.parse().ok() } else { None }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_epoch_follows_the_last_sequence() {
        let last = Position::from_parts(0, i32::MAX).expect("both are positive");
        assert_eq!(last.records_left_in_epoch(), 1);
        let next = last.advance(1).expect("far from the end");
        assert_eq!(next.parts(), Some((1, 0)));
        assert_eq!(next.records_left_in_epoch(), 1 << 31);
        assert_eq!(next.since(last), 1);
        assert_eq!(last.since(next), 0);
    }

    #[test]
    fn the_end_is_the_end() {
        let last = Position::from_parts(i16::MAX, i32::MAX).expect("both are positive");
        assert_eq!(last.advance(1), Some(Position::END));
        assert_eq!(last.advance(2), None);
        assert_eq!(last.advance(u64::MAX), None);
        assert_eq!(Position::END.parts(), None);
        assert_eq!(Position::END.records_left_in_epoch(), 0);
        assert_eq!(Position(u64::MAX).parts(), None);
        assert_eq!(Position::from_parts(-1, 0), None);
        assert_eq!(Position::from_parts(0, -1), None);
    }

    #[test]
    fn a_batch_stays_within_its_epoch() {
        let head = [0; crate::batch::HEADER_BYTES];
        let header = |epoch: i16, sequence: i32, count: i32| {
            let mut head = head;
            head[crate::batch::MAGIC] = 2;
            head[crate::batch::BATCH_LENGTH + 3] = 49;
            let header = Header::parse(&head).expect("the least batch");
            Header {
                producer_epoch: epoch,
                base_sequence: sequence,
                record_count: count,
                ..header
            }
        };
        let range = BatchRange::of(&header(1, 5, 3)).expect("a plain batch");
        assert_eq!(range.first, Position((1 << 31) + 5));
        assert_eq!(range.last(), Position((1 << 31) + 7));
        assert!(BatchRange::of(&header(0, i32::MAX, 1)).is_some());
        assert_eq!(BatchRange::of(&header(0, i32::MAX, 2)), None);
        assert_eq!(BatchRange::of(&header(0, 0, 0)), None);
        assert_eq!(BatchRange::of(&header(-1, -1, 1)), None);
    }

    proptest! {
        #[test]
        fn round_trip(position in 0..Position::END.0) {
            let (epoch, sequence) = Position(position).parts().expect("below the end");
            prop_assert_eq!(Position::from_parts(epoch, sequence), Some(Position(position)));
        }
    }
}
