//! Which segments of the log may go, and whether there is room.

use headwater_wire::time::Millis;
use headwater_wire::uplink::Position;

/// A closed segment of one lane, as far as its going is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Position after its last batch.
    pub end: Position,
    /// When everything in it was acknowledged; `None` while something is not.
    pub acked_at: Option<Millis>,
    /// Bytes that it allocates.
    pub bytes: u64,
}

/// How many of a lane's segments, from the oldest, are past their grace period at `now`.
pub fn expired(segments: &[Segment], now: Millis, keep_acked_ms: i64) -> usize {
    let old = |segment: &&Segment| {
        segment
            .acked_at
            .is_some_and(|acked_at| now.since(acked_at) >= keep_acked_ms)
    };
    segments.iter().take_while(old).count()
}

/// When the oldest segment will be past its grace period.
pub fn next_expiry(segments: &[Segment], keep_acked_ms: i64) -> Option<Millis> {
    segments
        .first()?
        .acked_at
        .map(|acked_at| acked_at.plus(keep_acked_ms))
}

/// How many of a lane's segments, from the oldest, have to go to free `bytes`; acknowledged ones
/// only, grace period or not.
pub fn given_up(segments: &[Segment], bytes: u64) -> usize {
    let mut freed = 0;
    let mut count = 0;
    for segment in segments
        .iter()
        .take_while(|segment| segment.acked_at.is_some())
    {
        if freed >= bytes {
            break;
        }
        freed += segment.bytes;
        count += 1;
    }
    count
}

/// Of what has a time, or none that is known, the one that goes first when nothing else can: the
/// oldest, and before all others what cannot say how old it is.
pub fn oldest<T>(candidates: impl IntoIterator<Item = (T, Option<i64>)>) -> Option<T> {
    let first = candidates.into_iter().min_by_key(|(_, time_ms)| *time_ms);
    first.map(|(candidate, _)| candidate)
}

/// What a log may allocate, and what a held lane may take of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// `max_bytes`.
    pub max_bytes: u64,
    /// Bytes that are allocated, what is about to be allocated included.
    pub used: u64,
}

impl Budget {
    /// Whether `bytes` more fit.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.used.saturating_add(bytes) <= self.max_bytes
    }

    /// Bytes that have to be freed before `bytes` fit.
    pub fn missing(&self, bytes: u64) -> u64 {
        self.used
            .saturating_add(bytes)
            .saturating_sub(self.max_bytes)
    }

    /// Whether a held lane that takes `lane_bytes` may take `bytes` more: half of everything, so
    /// that one refused stream cannot stop the others.
    pub fn held_has_room(&self, lane_bytes: u64, bytes: u64) -> bool {
        lane_bytes.saturating_add(bytes) <= self.max_bytes / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(acked: &[Option<i64>]) -> Vec<Segment> {
        let end = |index: usize| Position(100 * (index as u64 + 1));
        acked
            .iter()
            .enumerate()
            .map(|(index, at)| Segment {
                end: end(index),
                acked_at: at.map(Millis),
                bytes: 10,
            })
            .collect()
    }

    #[test]
    fn only_the_oldest_acknowledged_go_and_only_after_their_grace() {
        let all = segments(&[Some(0), Some(500), None]);
        assert_eq!(expired(&all, Millis(999), 1_000), 0);
        assert_eq!(expired(&all, Millis(1_000), 1_000), 1);
        assert_eq!(expired(&all, Millis(9_000), 1_000), 2);
        assert_eq!(next_expiry(&all, 1_000), Some(Millis(1_000)));
        assert_eq!(next_expiry(&all[2..], 1_000), None);
        assert_eq!(
            expired(&segments(&[None, Some(0)]), Millis(9_000), 0),
            0,
            "never out of order"
        );
    }

    #[test]
    fn room_is_made_of_acknowledged_ones_only() {
        let all = segments(&[Some(0), Some(500), None]);
        assert_eq!(given_up(&all, 0), 0);
        assert_eq!(given_up(&all, 1), 1);
        assert_eq!(given_up(&all, 11), 2);
        assert_eq!(given_up(&all, 1_000), 2, "what is not acknowledged stays");
    }

    #[test]
    fn the_oldest_goes_first_and_before_it_what_has_no_time() {
        assert_eq!(oldest([('a', Some(5)), ('b', Some(3))]), Some('b'));
        assert_eq!(oldest([('a', Some(5)), ('b', None)]), Some('b'));
        assert_eq!(oldest::<char>([]), None);
    }

    #[test]
    fn budget_counts_to_the_byte() {
        let budget = Budget {
            max_bytes: 100,
            used: 90,
        };
        assert!(budget.has_room(10) && !budget.has_room(11));
        assert_eq!((budget.missing(10), budget.missing(15)), (0, 5));
        assert!(!budget.has_room(u64::MAX));
        assert!(budget.held_has_room(40, 10) && !budget.held_has_room(40, 11));
    }
}
