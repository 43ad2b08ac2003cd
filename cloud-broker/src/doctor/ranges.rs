//! Which offsets of a partition are there.

/// Ranges of offsets that do not touch, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    /// Adds `from..to`. What follows the last range, as nearly everything does, costs nothing.
    pub(super) fn add(&mut self, from: i64, to: i64) {
        let first = self.0.partition_point(|range| range.1 < from);
        let behind = self.0.partition_point(|range| range.0 <= to);
        let touched = &self.0[first..behind.max(first)];
        let begin = touched.first().map_or(from, |range| range.0.min(from));
        let end = touched.last().map_or(to, |range| range.1.max(to));
        self.0.splice(first..behind.max(first), [(begin, end)]);
    }

    /// What is missing between the first and the last offset.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.windows(2).map(|pair| (pair[0].1, pair[1].0))
    }

    /// The parts of `gap` that are in no range of this.
    pub(super) fn missing_of(&self, (from, to): (i64, i64)) -> Vec<(i64, i64)> {
        let mut missing = Vec::new();
        let mut next = from;
        for (begin, end) in self.0.iter().filter(|range| range.1 > from && range.0 < to) {
            if *begin > next {
                missing.push((next, *begin));
            }
            next = next.max(*end);
        }
        if next < to {
            missing.push((next, to));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join() {
        let mut ranges = Ranges::default();
        for (from, to) in [(10, 20), (20, 30), (40, 50), (60, 70), (35, 41), (12, 18)] {
            ranges.add(from, to);
        }
        assert_eq!(ranges.0, [(10, 30), (35, 50), (60, 70)]);
        assert_eq!(ranges.gaps().collect::<Vec<_>>(), [(30, 35), (50, 60)]);
        assert_eq!(ranges.missing_of((25, 65)), [(30, 35), (50, 60)]);
        ranges.add(0, 100);
        assert_eq!(ranges.0, [(0, 100)]);
    }
}
