//! Which segments hold which offsets of one partition.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use headwater_wire::time::Millis;

use super::JUMP_MS;

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
}

/// One partition's part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which.
    pub segment: Arc<Object>,
    /// First offset.
    pub from: i64,
    /// Offset after the last.
    pub end: i64,
    /// Bytes of its batches.
    pub bytes: u64,
    /// Largest timestamp of its records, ms.
    pub max_timestamp: i64,
    /// When its newest batch came, ms.
    pub arrival_ms: i64,
}

/// The runs of one partition, in order of offset, without overlap. Between two of them offsets
/// may be missing: they were lost to damage.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    runs: VecDeque<Run>,
    start: i64,
    bytes: u64,
}

impl Runs {
    /// First offset of the partition that can be read: retention raises it.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Offset after the last run; the start if there is none.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.runs
            .back()
            .map_or(self.start, |run| run.end.max(self.start))
    }

    /// Bytes of all batches in all runs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All runs, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.iter()
    }

    /// Adds a run behind the others.
    ///
    /// # Panics
    /// If it begins before their end: offsets are given once.
    pub fn push(&mut self, run: Run) {
        let end = self.runs.back().map_or(i64::MIN, |last| last.end);
        assert!(run.from >= end, "offsets are given once");
        self.bytes += run.bytes;
        self.runs.push_back(run);
    }

    /// The run that contains `offset`, or else the next one.
    #[must_use]
    pub fn from_offset(&self, offset: i64) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.end <= offset);
        self.runs.get(at)
    }

    /// The first run behind `offset` that holds a record with at least this timestamp.
    #[must_use]
    pub fn first_at(&self, timestamp: i64, offset: i64) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.end <= offset);
        let mut runs = self.runs.range(at..);
        runs.find(|run| run.max_timestamp >= timestamp)
    }

    /// The largest timestamp.
    #[must_use]
    pub fn greatest(&self) -> Option<i64> {
        self.runs.iter().map(|run| run.max_timestamp).max()
    }

    /// Moves the start forward; runs that lie before it are gone. It never moves back.
    pub fn raise_start(&mut self, start: i64) {
        self.start = self.start.max(start);
        while let Some(run) = self.runs.pop_front_if(|run| run.end <= self.start) {
            self.bytes -= run.bytes;
        }
    }

    /// All runs have come by now: one that says that it came far later has had it from a clock that
    /// was wrong.
    pub fn came_by(&mut self, now: Millis) {
        let is_later = |run: &Run| run.arrival_ms.saturating_sub(now.0) > JUMP_MS;
        for run in self.runs.iter_mut().filter(|run| is_later(run)) {
            run.arrival_ms = now.0;
        }
    }

    /// Puts `new`, as far as anything of it is left, in the place of the runs that lie in segments
    /// of these names. They follow one another.
    pub fn replace(&mut self, names: &BTreeSet<String>, new: impl IntoIterator<Item = Run>) {
        let is_old = |run: &Run| names.contains(&run.segment.name);
        let Some(first) = self.runs.iter().position(is_old) else {
            return;
        };
        self.runs.retain(|run| !is_old(run));
        let new = new.into_iter().filter(|new| new.end > self.start);
        for (at, new) in (first..).zip(new) {
            self.runs.insert(at, new);
        }
        self.bytes = self.runs.iter().map(|run| run.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(from: i64, end: i64, max_timestamp: i64) -> Run {
        Run {
            segment: Arc::new(Object {
                name: "s".to_owned(),
                bytes: 10,
            }),
            from,
            end,
            bytes: 10,
            max_timestamp,
            arrival_ms: 0,
        }
    }

    #[test]
    fn a_start_within_a_run_keeps_it() {
        let mut runs = Runs::default();
        [run(0, 5, 1), run(5, 9, 2)]
            .into_iter()
            .for_each(|run| runs.push(run));
        runs.raise_start(3);
        assert_eq!((runs.start(), runs.end(), runs.bytes()), (3, 9, 20));
        runs.raise_start(5);
        assert_eq!((runs.start(), runs.end(), runs.bytes()), (5, 9, 10));
        runs.raise_start(20);
        assert_eq!((runs.start(), runs.end(), runs.bytes()), (20, 20, 0));
        runs.raise_start(1);
        assert_eq!(runs.start(), 20);
    }

    #[test]
    fn several_become_one() {
        let named = |name: &str, from| {
            let mut run = run(from, from + 5, 1);
            run.segment = Arc::new(Object {
                name: name.to_owned(),
                bytes: 1,
            });
            run
        };
        let mut runs = Runs::default();
        for (at, name) in (0..).zip(["a", "b", "c", "d"]) {
            runs.push(named(name, 5 * at));
        }
        let names = |runs: &Runs| {
            let names = runs.iter().map(|run| run.segment.name.clone());
            names.collect::<String>()
        };
        let old = ["b".to_owned(), "c".to_owned()].into();
        runs.replace(&old, Some(named("x", 5)));
        assert_eq!((names(&runs).as_str(), runs.bytes()), ("axd", 30));
        runs.replace(&old, Some(named("y", 5)));
        assert_eq!(names(&runs), "axd", "they are not there any more");
        runs.replace(&["x".to_owned()].into(), None);
        assert_eq!((names(&runs).as_str(), runs.bytes()), ("ad", 20));
    }

    #[test]
    fn nothing_came_later_than_now() {
        let mut runs = Runs::default();
        for arrival_ms in [5, 10 + JUMP_MS, 11 + JUMP_MS] {
            runs.push(Run {
                arrival_ms,
                ..run(runs.end(), runs.end() + 1, 0)
            });
        }
        runs.came_by(Millis(10));
        let arrivals: Vec<_> = runs.iter().map(|run| run.arrival_ms).collect();
        assert_eq!(arrivals, [5, 10 + JUMP_MS, 10]);
    }

    proptest! {
        /// Lengths, gaps and timestamps of runs, against a scan over them.
        #[test]
        fn found_as_a_scan_does(
            shape in prop::collection::vec((0..3i64, 1..5i64, 0..9i64), 0..12),
            start in 0..60i64, offset in 0..60i64, time in 0..10i64,
        ) {
            let mut runs = Runs::default();
            let mut all = Vec::new();
            let mut at = 0;
            for (gap, len, time) in shape {
                at += gap;
                all.push(run(at, at + len, time));
                runs.push(run(at, at + len, time));
                at += len;
            }
            runs.raise_start(start);
            all.retain(|run| run.end > start);
            let found = all.iter().find(|run| run.end > offset);
            prop_assert_eq!(runs.from_offset(offset), found);
            let found = all.iter().find(|run| run.end > offset && run.max_timestamp >= time);
            prop_assert_eq!(runs.first_at(time, offset), found);
            prop_assert_eq!(runs.greatest(), all.iter().map(|run| run.max_timestamp).max());
            prop_assert_eq!(runs.bytes(), 10 * all.len() as u64);
        }
    }
}
