//! How long syncs take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets in microseconds; what is above the last is only in the count.
const BOUNDS_US: [u64; 13] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// Counts syncs by their time. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub(super) struct SyncTimes(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    buckets: [AtomicU64; BOUNDS_US.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// Upper bound in microseconds, and syncs that took at most that long, rising.
    pub at_most_us: Vec<(u64, u64)>,
    /// All syncs.
    pub count: u64,
    /// What they took together, microseconds.
    pub sum_us: u64,
}

impl SyncTimes {
    /// Takes one time in.
    pub(super) fn record(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self
            .0
            .buckets
            .get(BOUNDS_US.partition_point(|max| *max < us))
        {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.0.count.fetch_add(1, Ordering::Relaxed);
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(super) fn counts(&self) -> SyncCounts {
        let mut below = 0;
        let rising = BOUNDS_US.iter().zip(&self.0.buckets).map(|(us, bucket)| {
            below += bucket.load(Ordering::Relaxed);
            (*us, below)
        });
        let at_most_us = rising.collect();
        SyncCounts {
            at_most_us,
            count: self.0.count.load(Ordering::Relaxed).max(below),
            sum_us: self.0.sum_us.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_each_bucket_above_it() {
        let times = SyncTimes::default();
        for us in [50, 51, 2_000_000] {
            times.record(Duration::from_micros(us));
        }
        let counts = times.counts();
        assert_eq!(counts.at_most_us[..2], [(50, 1), (100, 2)]);
        assert_eq!(counts.at_most_us.last(), Some(&(1_000_000, 2)));
        assert_eq!((counts.count, counts.sum_us), (3, 2_000_101));
    }
}
