//! The lanes of one partition: next position and newest entries of each (`kafka.md` 3.4(5) to (7)).

use std::collections::BTreeMap;

use headwater_wire::time::Millis;
use headwater_wire::uplink::{BatchRange, LostRange};

use crate::ring::Ring;
use crate::state::{LaneEntry, LaneState};

/// The lanes of one partition, by producer id. Nothing here expires.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    by_id: BTreeMap<i64, Lane>,
}

/// A batch or declared loss that an agent sent: the positions that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// The batch's CRC.
    pub crc: u32,
    /// Whether it declares the positions as lost.
    pub loss: bool,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneDecision {
    /// It comes next: append it; `next` is the position behind it.
    Append {
        /// Position behind it.
        next: u64,
    },
    /// Exactly this lies in the log.
    Duplicate {
        /// The lane's next position.
        next: u64,
    },
    /// Something else lies at one of its positions.
    Conflict {
        /// The lane's next position.
        next: u64,
    },
    /// It begins beyond the next position.
    OutOfOrder {
        /// The lane's next position.
        next: u64,
    },
    /// Older than what is remembered, or a loss that does not begin at the next position.
    Stale,
}

impl Incoming {
    /// What a batch covers.
    #[must_use]
    pub fn batch(range: BatchRange, crc: u32) -> Self {
        Self {
            first: range.first.0,
            last: range.last().0,
            crc,
            loss: false,
        }
    }

    /// What a declared loss covers; `None` if its batch does not lie at the last lost position.
    #[must_use]
    pub fn loss(range: BatchRange, lost: LostRange, crc: u32) -> Option<Self> {
        let last = range.first.0;
        (range.next == lost.to).then_some(Self {
            first: lost.from.0,
            last,
            crc,
            loss: true,
        })
    }
}

impl Lanes {
    /// Decides about a batch of the lane with this producer id, from the connection that holds it.
    #[must_use]
    pub fn decide(&self, id: i64, incoming: &Incoming) -> LaneDecision {
        let lane = self.by_id.get(&id).copied().unwrap_or_default();
        let next = lane.next;
        let entries = lane.entries.as_slice();
        let same = |entry: &LaneEntry| {
            (entry.first, entry.last, entry.crc) == (incoming.first, incoming.last, incoming.crc)
        };
        if entries.iter().any(same) {
            return LaneDecision::Duplicate { next };
        }
        if incoming.first == next {
            return LaneDecision::Append {
                next: incoming.last + 1,
            };
        }
        if incoming.loss {
            return LaneDecision::Stale;
        }
        if incoming.first > next {
            return LaneDecision::OutOfOrder { next };
        }
        let overlaps =
            |entry: &LaneEntry| incoming.first <= entry.last && entry.first <= incoming.last;
        if incoming.last >= next || entries.iter().any(overlaps) {
            return LaneDecision::Conflict { next };
        }
        LaneDecision::Stale
    }

    /// The lane's next position, and the CRC of the entry before it.
    #[must_use]
    pub fn position(&self, id: i64) -> (u64, Option<u32>) {
        let lane = self.by_id.get(&id).copied().unwrap_or_default();
        (lane.next, lane.entries.last().map(|entry| entry.crc))
    }

    /// When the lane's newest entry came, if it has any.
    #[must_use]
    pub fn arrival(&self, id: i64) -> Option<Millis> {
        self.by_id.get(&id).map(|lane| lane.arrival)
    }

    /// Takes an appended entry into account. Gives what was known of the lane before.
    pub(crate) fn advance(&mut self, id: i64, entry: LaneEntry, arrival: Millis) -> Option<Lane> {
        let before = self.by_id.get(&id).copied();
        let mut after = before.unwrap_or_default();
        after.next = entry.last + 1;
        after.arrival = arrival;
        after.entries.push(entry);
        self.by_id.insert(id, after);
        before
    }

    /// As [`Lanes::advance`] for an entry of the journal's index, which has no room for the first
    /// position of a loss: losses are only ever appended at the next position, so one record
    /// beyond it is a loss from there on.
    pub(crate) fn replay(&mut self, id: i64, mut entry: LaneEntry, arrival: Millis) {
        let (next, _) = self.position(id);
        if entry.first == entry.last && entry.first > next {
            entry.first = next;
        }
        self.advance(id, entry, arrival);
    }

    /// Puts back what [`Lanes::advance`] gave.
    pub(crate) fn restore(&mut self, id: i64, before: Option<Lane>) {
        match before {
            Some(before) => self.by_id.insert(id, before),
            None => self.by_id.remove(&id),
        };
    }

    /// What a snapshot holds of them.
    #[must_use]
    pub fn state(&self) -> Vec<LaneState> {
        let state = |(id, lane): (&i64, &Lane)| LaneState {
            id: *id,
            next: lane.next,
            arrival_ms: lane.arrival.0,
            entries: lane.entries.as_slice().to_vec(),
        };
        self.by_id.iter().map(state).collect()
    }

    /// The lanes of a snapshot.
    #[must_use]
    pub fn from_state(state: &[LaneState]) -> Self {
        let lane = |state: &LaneState| Lane {
            next: state.next,
            arrival: Millis(state.arrival_ms),
            entries: state.entries.iter().copied().collect(),
        };
        Self {
            by_id: state.iter().map(|state| (state.id, lane(state))).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lane {
    next: u64,
    arrival: Millis,
    entries: Ring<LaneEntry>,
}

#[cfg(test)]
mod tests;
