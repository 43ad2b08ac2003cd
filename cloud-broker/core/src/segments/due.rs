//! Which shard's journal goes into segments next.

use std::cmp::Reverse;

use headwater_wire::time::Millis;

/// When a shard's part of the journal becomes segments, and how large those are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// So many bytes of batches of one shard.
    pub bytes: u64,
    /// Or so many batches: each takes memory until it lies in a segment.
    pub batches: u64,
    /// Or batches so old, ms.
    pub age_ms: i64,
    /// Below so many bytes, batches may wait for more,
    pub small_bytes: u64,
    /// so long, ms.
    pub small_age_ms: i64,
    /// A shard may hold back at most so many bytes of journal of all shards.
    pub journal_bytes: u64,
    /// One cut takes no more than about this, so that the journal goes piece by piece, bytes.
    pub cut_bytes: u64,
    /// A partition with so many bytes gets a segment of its own.
    pub own_bytes: u64,
    /// Segments below this size are merged with their neighbours.
    pub merge_bytes: u64,
    /// As soon as there are so many of them side by side.
    pub merge_count: usize,
    /// What a page of a manifest has, about: half of what the manifest itself lists, bytes.
    pub page_bytes: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            batches: 32_768,
            age_ms: 120_000,
            small_bytes: 1 << 20,
            small_age_ms: 600_000,
            journal_bytes: 1 << 30,
            cut_bytes: 256 << 20,
            own_bytes: 16 << 20,
            merge_bytes: 4 << 20,
            merge_count: 16,
            page_bytes: 1 << 20,
        }
    }
}

/// What of each shard lies in the journal and in no segment.
#[derive(Clone, Debug)]
pub struct Backlogs {
    shards: Vec<Backlog>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Backlog {
    bytes: u64,
    batches: u64,
    /// When the oldest came.
    since: Option<Millis>,
    /// Bytes that the journal had when the shard was last cut.
    cut_at: u64,
    /// Not before: the last attempt failed.
    not_before: Millis,
    /// Journal and slot up to which cuts have come that did not take all.
    reached: (u32, u64),
}

impl Backlogs {
    /// Of so many shards, with nothing in the journal.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let shards = vec![Backlog::default(); shards];
        Self { shards }
    }

    /// A batch of a shard was written, or found when the log was opened. `now` never goes back.
    pub fn wrote(&mut self, shard: u32, bytes: u64, now: Millis) {
        if let Some(backlog) = self.shards.get_mut(shard as usize) {
            backlog.bytes += bytes;
            backlog.batches += 1;
            backlog.since.get_or_insert(now);
        }
    }

    /// All that the shard has is being put into segments; the journal has `journal_bytes`.
    pub fn cut(&mut self, shard: u32, journal_bytes: u64) -> Cut {
        let Some(backlog) = self.shards.get_mut(shard as usize) else {
            return Cut(Backlog::default());
        };
        let next = Backlog {
            cut_at: journal_bytes,
            ..Backlog::default()
        };
        Cut(std::mem::replace(backlog, next))
    }

    /// It failed: all is as before, and is tried again at `retry`.
    pub fn restore(&mut self, shard: u32, cut: Cut, retry: Millis) {
        if let Some(backlog) = self.shards.get_mut(shard as usize) {
            backlog.bytes += cut.0.bytes;
            backlog.batches += cut.0.batches;
            backlog.since = cut.0.since.or(backlog.since);
            backlog.cut_at = cut.0.cut_at;
            backlog.not_before = retry;
        }
    }

    /// It took what lies before a place in the journals, and there is more.
    pub fn goes_on(&mut self, shard: u32, cut: Cut, reached: (u32, u64)) {
        self.restore(shard, cut, cut.0.not_before);
        if let Some(backlog) = self.shards.get_mut(shard as usize) {
            backlog.reached = reached;
        }
    }

    /// What of a shard lies in the journal, bytes: no less than that.
    #[must_use]
    pub fn bytes(&self, shard: u32) -> u64 {
        let backlog = self.shards.get(shard as usize);
        backlog.map_or(0, |backlog| backlog.bytes)
    }

    /// The shard that should be cut now, if there is one. `retention_ms`: the shortest of all
    /// streams, so that what has to go does not wait in the journal.
    #[must_use]
    pub fn next(
        &self,
        thresholds: &Thresholds,
        now: Millis,
        journal_bytes: u64,
        retention_ms: Option<i64>,
    ) -> Option<u32> {
        let hurry = retention_ms.map_or(i64::MAX, |ms| (ms / 4).max(HURRY_MS_MIN));
        let due = |backlog: &Backlog| {
            let small = backlog.bytes < thresholds.small_bytes;
            let patience = if small {
                thresholds.small_age_ms
            } else {
                thresholds.age_ms
            };
            let is_old = |since: Millis| now.0.saturating_sub(since.0) >= patience.min(hurry);
            now.0 >= backlog.not_before.0
                && (backlog.bytes >= thresholds.bytes
                    || backlog.batches >= thresholds.batches
                    || backlog.since.is_some_and(is_old)
                    || journal_bytes - backlog.cut_at >= thresholds.journal_bytes)
        };
        let due = self.shards.iter().enumerate().filter(|(_, b)| due(b));
        // While cuts do not take all, the oldest journal first: it goes when all shards have left it.
        // Then the one that holds most back, in memory first.
        let key = |b: &Backlog| (Reverse(b.reached), b.batches, journal_bytes - b.cut_at);
        let (shard, _) = due.max_by_key(|(_, b)| key(b))?;
        u32::try_from(shard).ok()
    }

    /// Whether nothing of the shard lies in the journal.
    #[must_use]
    pub fn is_empty(&self, shard: u32) -> bool {
        let backlog = self.shards.get(shard as usize);
        backlog.is_none_or(|backlog| backlog.batches == 0)
    }
}

/// What was cut off, to be put back if it fails.
#[derive(Clone, Copy, Debug)]
pub struct Cut(Backlog);

/// However short a retention is, segments are not made more often than this.
const HURRY_MS_MIN: i64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn next(backlogs: &Backlogs, now: i64, journal: u64) -> Option<u32> {
        backlogs.next(&Thresholds::default(), Millis(now), journal, None)
    }

    #[test]
    fn by_bytes_by_age_and_by_what_is_held_back() {
        let mut backlogs = Backlogs::new(3);
        assert_eq!(next(&backlogs, 1 << 40, MIB), None, "there is nothing");
        backlogs.wrote(1, 100, Millis(0));
        assert_eq!(next(&backlogs, 599_999, MIB), None);
        assert_eq!(next(&backlogs, 600_000, MIB), Some(1));
        backlogs.wrote(2, 2 * MIB, Millis(500_000));
        assert_eq!(next(&backlogs, 599_999, MIB), None);
        backlogs.wrote(2, 62 * MIB, Millis(599_999));
        assert_eq!(next(&backlogs, 599_999, MIB), Some(2));
        let cut = backlogs.cut(2, 70 * MIB);
        assert_eq!(next(&backlogs, 599_999, 70 * MIB), None);
        backlogs.restore(2, cut, Millis(600_001));
        assert_eq!(next(&backlogs, 600_000, 70 * MIB), Some(1));
        assert_eq!(next(&backlogs, 600_001, 70 * MIB), Some(2));
        let _ = (backlogs.cut(1, 900 * MIB), backlogs.cut(2, 900 * MIB));
        assert_eq!(next(&backlogs, 600_001, 1024 * MIB), Some(0), "it pins");
        assert!(backlogs.is_empty(1));
    }

    #[test]
    fn what_is_cut_in_pieces_leaves_the_oldest_journal_first() {
        let mut backlogs = Backlogs::new(2);
        for shard in 0..2 {
            backlogs.wrote(shard, u64::from(2 - shard) << 30, Millis(0));
        }
        let mut order = Vec::new();
        for step in 0..4 {
            let shard = next(&backlogs, 0, 0).unwrap();
            let cut = backlogs.cut(shard, 0);
            backlogs.goes_on(shard, cut, (0, 10 * (1 + step)));
            order.push(shard);
            assert_eq!(backlogs.bytes(shard), u64::from(2 - shard) << 30);
        }
        assert_eq!(
            (order[0] + order[1], order[2] + order[3]),
            (1, 1),
            "{order:?}"
        );
        assert_eq!(order[0], order[2]);
        let _ = backlogs.cut(order[0], 0);
        backlogs.wrote(order[0], 1 << 30, Millis(0));
        assert_eq!(next(&backlogs, 0, 0), Some(order[0]), "it has left them");
    }

    #[test]
    fn a_short_retention_does_not_wait() {
        let mut backlogs = Backlogs::new(1);
        backlogs.wrote(0, 1, Millis(0));
        let at = |now, retention| {
            let thresholds = Thresholds::default();
            backlogs.next(&thresholds, Millis(now), 0, Some(retention))
        };
        assert_eq!([at(999, 10), at(1000, 10)], [None, Some(0)]);
        assert_eq!([at(9_999, 40_000), at(10_000, 40_000)], [None, Some(0)]);
    }
}
