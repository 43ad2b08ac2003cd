//! How far a partition has been compacted, and since when.

use headwater_wire::time::Millis;

/// Offsets below `to` have been compacted since `ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// An offset.
    pub to: i64,
    /// Wall-clock time at which that was so, ms.
    pub ms: i64,
}

/// What compactions have reached, oldest first. A deleted key's mark may go once it has been in
/// the compacted part for its time: whoever began to read before that has come by meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// As they were kept. What is out of order is left out.
    #[must_use]
    pub fn new(kept: impl IntoIterator<Item = Mark>) -> Self {
        let mut marks = Self::default();
        kept.into_iter().for_each(|mark| marks.push(mark));
        marks
    }

    /// A compaction has come to `mark`. Of many that are close in time not all are remembered:
    /// then some records wait for a later one's time.
    pub fn push(&mut self, mark: Mark) {
        if mark.to <= self.compacted_to() {
            return;
        }
        if self.0.len() >= MARKS_MAX {
            self.0.remove(MARKS_MAX - 1);
        }
        self.0.push(mark);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.0.iter()
    }

    /// Offsets below this one have been compacted.
    #[must_use]
    pub fn compacted_to(&self) -> i64 {
        self.0.last().map_or(0, |mark| mark.to)
    }

    /// Offsets below this one have been compacted for `ms` or longer. Earlier marks say no more
    /// than that, and are forgotten.
    pub fn compacted_for(&mut self, ms: i64, now: Millis) -> i64 {
        let is_old = |mark: &Mark| mark.ms.saturating_add(ms) <= now.0;
        let old = self.0.iter().take_while(|mark| is_old(mark)).count();
        self.0.drain(..old.saturating_sub(1));
        if old > 0 { self.0[0].to } else { 0 }
    }
}

/// So many marks are remembered of a partition.
const MARKS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_once_it_is_old() {
        let mut marks = Marks::new([Mark { to: 10, ms: 100 }, Mark { to: 20, ms: 200 }]);
        assert_eq!(marks.compacted_to(), 20);
        let at = |marks: &mut Marks, now| marks.compacted_for(50, Millis(now));
        assert_eq!(at(&mut marks, 149), 0);
        assert_eq!(at(&mut marks, 150), 10);
        assert_eq!((at(&mut marks, 250), marks.iter().count()), (20, 1));
        marks.push(Mark { to: 20, ms: 300 });
        assert_eq!(marks.iter().count(), 1, "no further than before");
    }

    #[test]
    fn many_marks_only_wait_longer() {
        let mut marks = Marks::default();
        for n in 1..100 {
            marks.push(Mark { to: n, ms: n });
        }
        assert_eq!((marks.iter().count(), marks.compacted_to()), (8, 99));
        assert_eq!(
            marks.compacted_for(0, Millis(50)),
            7,
            "what is known to be old"
        );
        assert_eq!(marks.compacted_for(0, Millis(99)), 99);
    }
}
