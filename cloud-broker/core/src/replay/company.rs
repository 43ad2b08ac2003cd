//! Who reads the log together, and when a scan begins.
//!
//! One reader alone begins at once. Others who come soon after it, or while it reads, wait a moment
//! for company: a thousand clients that resume after an outage then cost one more scan, not a
//! thousand.

use headwater_wire::time::Millis;

use super::Merge;

/// So long nobody else must have come, ms.
const QUIET_MS: i64 = 500;
/// The first waits so long at most, ms.
const WAIT_MS_MAX: i64 = 5_000;
/// Records that a scan may have to read before it comes to a reader that joins it: less than a
/// second's work.
const NEAR_RECORDS: i64 = 100_000;

/// Readers that wait to begin together.
#[derive(Clone, Copy, Debug)]
pub struct Company {
    first: Millis,
    newest: Millis,
}

impl Company {
    /// The first has come.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self {
            first: now,
            newest: now,
        }
    }

    /// Whether a reader that comes now begins at once; `last` is when a scan last began.
    #[must_use]
    pub fn is_needless(last: Option<Millis>, now: Millis) -> bool {
        last.is_none_or(|last| last.plus(QUIET_MS) <= now)
    }

    /// One more has come.
    pub fn joined(&mut self, now: Millis) {
        self.newest = self.newest.max(now);
    }

    /// When they begin.
    #[must_use]
    pub fn due(&self) -> Millis {
        self.newest.plus(QUIET_MS).min(self.first.plus(WAIT_MS_MAX))
    }
}

/// A reader's part in a scan that may have begun behind it.
#[derive(Clone, Debug)]
pub struct Part {
    /// What lies before is none of its business.
    from: Merge<()>,
    /// Partitions that have something for it. The others, internal ones among them, are nowhere
    /// before it, and say nothing of how far the scan has to go.
    behind: Vec<usize>,
    joined: Millis,
}

impl Part {
    /// A reader that is here has joined; `live` is where live delivery is, by partition.
    #[must_use]
    pub fn new(from: Merge<()>, live: &[i64], now: Millis) -> Self {
        let is_behind =
            |(partition, live): (usize, &i64)| (from.next(partition) < *live).then_some(partition);
        Self {
            behind: live.iter().enumerate().filter_map(is_behind).collect(),
            from,
            joined: now,
        }
    }

    /// The scan begins only now.
    pub fn begins(&mut self, now: Millis) {
        self.joined = now;
    }

    /// Whether it takes part in what lies at an offset.
    #[must_use]
    pub fn counts(&self, partition: usize, offset: i64) -> bool {
        offset >= self.from.next(partition)
    }

    /// Where the reader goes on if it leaves the scan when that is at `scan`.
    #[must_use]
    pub fn place(&self, scan: &Merge<()>) -> Merge<()> {
        let mut place = scan.clone();
        for partition in 0..self.from.partitions() {
            place.skip_to(partition, self.from.next(partition));
        }
        place
    }

    /// Whether the scan, at `scan`, has been too long about coming to where the reader is: it is
    /// better off with another.
    #[must_use]
    pub fn has_waited(&self, scan: &Merge<()>, now: Millis) -> bool {
        let waited = now.0.saturating_sub(self.joined.0) > WAIT_MS_MAX;
        let is_beyond = |partition: &usize| self.from.next(*partition) > scan.next(*partition);
        waited && self.behind.iter().all(is_beyond)
    }
}

/// Whether a reader may join a scan that is at `scan`: it is not behind it anywhere, and not so far
/// ahead that it would wait long.
#[must_use]
pub fn may_join(reader: &Merge<()>, scan: &Merge<()>) -> bool {
    let mut left = NEAR_RECORDS;
    let mut partitions = 0..scan.partitions().max(reader.partitions());
    partitions.all(|partition| {
        let ahead = reader.next(partition).checked_sub(scan.next(partition));
        let ahead = ahead.filter(|ahead| (0..=left).contains(ahead));
        left -= ahead.unwrap_or(0);
        ahead.is_some()
    })
}

/// Whether two readers that wait may begin together: the scan begins where either does, and comes to
/// the other soon.
#[must_use]
pub fn are_near(reader: &Merge<()>, other: &Merge<()>) -> bool {
    let mut left = NEAR_RECORDS.unsigned_abs();
    let mut partitions = 0..reader.partitions().max(other.partitions());
    partitions.all(|partition| {
        let apart = reader.next(partition).abs_diff(other.next(partition));
        let is_near = apart <= left;
        left = left.saturating_sub(apart);
        is_near
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: &[i64]) -> Merge<()> {
        Merge::new(next.to_vec(), 0)
    }

    #[test]
    fn they_begin_when_nobody_else_comes_or_after_a_while() {
        let mut company = Company::new(Millis(1_000));
        assert_eq!(company.due(), Millis(1_500));
        company.joined(Millis(1_400));
        company.joined(Millis(1_300));
        assert_eq!(company.due(), Millis(1_900));
        (1..100).for_each(|n| company.joined(Millis(1_400 + n * 100)));
        assert_eq!(company.due(), Millis(6_000));
    }

    #[test]
    fn who_comes_alone_waits_for_nobody() {
        let now = Millis(10_000);
        assert!(Company::is_needless(None, now));
        assert!(Company::is_needless(Some(Millis(9_500)), now));
        assert!(!Company::is_needless(Some(Millis(9_501)), now));
    }

    #[test]
    fn a_scan_is_joined_by_those_it_comes_to_soon() {
        let scan = at(&[10, 20]);
        for (reader, expected) in [
            (at(&[10, 20]), true),
            (at(&[11, 500]), true),
            (at(&[11, 100_019]), true),
            (at(&[11, 100_020]), false),
            (at(&[i64::MAX, i64::MAX]), false),
            (at(&[9, 500]), false),
            (at(&[10]), false),
            (at(&[10, 20, 1]), true),
        ] {
            assert_eq!(may_join(&reader, &scan), expected, "{reader:?}");
        }
    }

    #[test]
    fn a_reader_gets_nothing_from_before_its_place_and_loses_nothing_behind_it() {
        let part = Part::new(at(&[5, 5]), &[], Millis(0));
        let counted = [(0, 4), (0, 5), (2, 0)].map(|(at, offset)| part.counts(at, offset));
        assert_eq!(counted, [false, true, true]);
        let place = part.place(&at(&[7, 3, 9]));
        assert_eq!([0, 1, 2].map(|partition| place.next(partition)), [7, 5, 9]);
    }

    #[test]
    fn who_is_not_come_to_leaves() {
        let part = Part::new(at(&[5, 5]), &[9, 9], Millis(1_000));
        assert!(!part.has_waited(&at(&[0, 0]), Millis(6_000)));
        assert!(part.has_waited(&at(&[4, 4]), Millis(6_001)));
        assert!(!part.has_waited(&at(&[4, 5]), Millis(6_001)));
    }

    #[test]
    fn partitions_that_have_nothing_for_a_reader_do_not_keep_it_waiting() {
        // An internal stream that is never scanned, an empty partition, one that was read to its
        // end, and one that was not.
        let part = Part::new(at(&[0, 0, 7, 95]), &[0, 0, 7, 100], Millis(0));
        let late = Millis(WAIT_MS_MAX + 1);
        assert!(part.has_waited(&at(&[0, 0, 7, 20]), late));
        assert!(!part.has_waited(&at(&[0, 0, 7, 95]), late));
    }

    #[test]
    fn only_those_that_are_near_begin_together() {
        for (reader, expected) in [
            (at(&[10, 20]), true),
            (at(&[0, 99_000]), true),
            (at(&[0, 100_011]), false),
            (at(&[100_010]), false),
            (at(&[10, 20, 100_001]), false),
            (at(&[i64::MAX, i64::MIN]), false),
        ] {
            assert_eq!(are_near(&reader, &at(&[10, 20])), expected, "{reader:?}");
            assert_eq!(are_near(&at(&[10, 20]), &reader), expected, "{reader:?}");
        }
    }
}
