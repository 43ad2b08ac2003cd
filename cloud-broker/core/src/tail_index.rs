//! Where the committed batches of one partition lie that are in no segment: found by offset and by
//! time. A batch takes memory only until it lies in a segment.

use crate::Entry;

/// Where a batch lies in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The journal: index into the shell's table of incarnations.
    pub journal: u32,
    /// Slot.
    pub seq: u64,
    /// First byte within the slot's frame.
    pub pos: u32,
    /// Bytes.
    pub len: u32,
}

/// One committed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Number of offsets that it takes.
    pub count: u32,
    /// When it came, ms.
    pub arrival_ms: i64,
    /// Largest record timestamp, ms.
    pub max_timestamp: i64,
    /// Largest record timestamp in this and all earlier batches here, ms: late data makes
    /// timestamps jump back, so only this can be searched.
    pub timestamp_so_far: i64,
    /// Where it lies.
    pub place: Place,
}

impl Indexed {
    /// The offset that follows.
    #[must_use]
    pub fn end_offset(&self) -> i64 {
        self.base_offset + i64::from(self.count)
    }
}

/// The newest committed batches of one partition, in order of offset.
#[derive(Clone, Debug, Default)]
pub struct TailIndex {
    batches: Vec<Indexed>,
    /// Leader epochs, each with the offset of its first record; both rise.
    epochs: Vec<(u32, i64)>,
    end: i64,
    bytes: u64,
}

impl TailIndex {
    /// With nothing in it, of a partition that lies in segments up to `end`; these are its leader
    /// epochs so far, each with the offset of its first record.
    #[must_use]
    pub fn behind(end: i64, epochs: Vec<(u32, i64)>) -> Self {
        Self {
            epochs,
            end,
            ..Self::default()
        }
    }

    /// The high watermark: offset after the last committed record.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Bytes of all batches here.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All batches here.
    #[must_use]
    pub fn batches(&self) -> &[Indexed] {
        &self.batches
    }

    /// Leader epochs of the whole partition, each with the offset of its first record.
    #[must_use]
    pub fn epochs(&self) -> &[(u32, i64)] {
        &self.epochs
    }

    /// Batches below `offset` lie in segments now, or are lost: they are forgotten here.
    pub fn forget_below(&mut self, offset: i64) {
        let kept = self
            .batches
            .partition_point(|batch| batch.end_offset() <= offset);
        let forgotten = self.batches.drain(..kept);
        self.bytes -= forgotten
            .map(|batch| u64::from(batch.place.len))
            .sum::<u64>();
        let mut so_far = i64::MIN;
        for batch in &mut self.batches {
            so_far = so_far.max(batch.max_timestamp);
            batch.timestamp_so_far = so_far;
        }
        self.batches.shrink_to(2 * self.batches.len());
    }

    /// The partition begins at `start` now: of the epochs before, only the one that reaches there
    /// is remembered.
    pub fn forget_epochs_below(&mut self, start: i64) {
        let later = self.epochs.partition_point(|(_, first)| *first <= start);
        self.epochs.drain(..later.saturating_sub(1));
    }

    /// Moves the end to where the next record will lie, if that is further on: offsets that were
    /// lost to damage are never given again.
    pub fn skip_to(&mut self, next_offset: i64) {
        self.end = self.end.max(next_offset);
    }

    /// Adds a committed batch.
    ///
    /// # Panics
    /// If it begins before the end: offsets are given once.
    pub fn push(&mut self, entry: &Entry, place: Place) {
        assert!(entry.base_offset >= self.end, "offsets are given once");
        let before = self
            .batches
            .last()
            .map_or(i64::MIN, |batch| batch.timestamp_so_far);
        self.batches.push(Indexed {
            base_offset: entry.base_offset,
            count: entry.count,
            arrival_ms: entry.arrival_ms,
            max_timestamp: entry.max_timestamp,
            timestamp_so_far: before.max(entry.max_timestamp),
            place,
        });
        if self
            .epochs
            .last()
            .is_none_or(|(last, _)| *last < entry.epoch)
        {
            self.epochs.push((entry.epoch, entry.base_offset));
        }
        self.end = entry.end_offset();
        self.bytes += u64::from(place.len);
    }

    /// The batch that contains `offset`, or else the next one, and all that follow.
    #[must_use]
    pub fn from_offset(&self, offset: i64) -> &[Indexed] {
        let at = self
            .batches
            .partition_point(|batch| batch.end_offset() <= offset);
        &self.batches[at..]
    }

    /// The batch that holds the first record with at least this timestamp.
    #[must_use]
    pub fn first_at(&self, timestamp: i64) -> Option<&Indexed> {
        let at = self
            .batches
            .partition_point(|batch| batch.timestamp_so_far < timestamp);
        self.batches.get(at)
    }

    /// The greatest leader epoch that is not above `epoch`, and the offset behind its last record.
    /// `current` is the epoch of what comes next. `None` if there is no such epoch, or if `epoch`
    /// was never given.
    #[must_use]
    pub fn end_of_epoch(&self, epoch: u32, current: u32) -> Option<(u32, i64)> {
        if epoch >= current {
            return (epoch == current).then_some((current, self.end));
        }
        let at = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let end = self.epochs.get(at).map_or(self.end, |(_, first)| *first);
        let (known, _) = self.epochs.get(at.checked_sub(1)?)?;
        Some((*known, end))
    }

    /// The largest timestamp, and the first batch that holds a record with it.
    #[must_use]
    pub fn greatest(&self) -> Option<(i64, &Indexed)> {
        let timestamp = self.batches.last()?.timestamp_so_far;
        Some((timestamp, self.first_at(timestamp)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::tests::entry;

    fn place(seq: u64) -> Place {
        Place {
            journal: 0,
            seq,
            pos: 0,
            len: 1,
        }
    }

    #[test]
    fn by_offset_across_a_gap() {
        let mut index = TailIndex::default();
        assert!(index.from_offset(0).is_empty() && index.greatest().is_none());
        index.push(&entry(0, 3, 10), place(1));
        index.push(&entry(3, 1, 5), place(2));
        index.skip_to(100);
        index.push(&entry(100, 2, 7), place(3));
        let first = |offset| {
            index
                .from_offset(offset)
                .first()
                .map(|found| found.place.seq)
        };
        assert_eq!(
            [0, 2, 3, 4, 99, 101].map(first),
            [1, 1, 2, 3, 3, 3].map(Some)
        );
        assert_eq!(first(102), None);
        assert_eq!(index.end(), 102);
    }

    #[test]
    #[should_panic(expected = "offsets are given once")]
    fn an_offset_is_never_given_twice() {
        let mut index = TailIndex::default();
        index.push(&entry(0, 3, 10), place(1));
        index.push(&entry(2, 1, 10), place(2));
    }

    #[test]
    fn ends_of_epochs() {
        let mut index = TailIndex::default();
        assert_eq!(index.end_of_epoch(4, 4), Some((4, 0)));
        for (epoch, base_offset) in [(2, 0), (2, 3), (5, 6), (6, 9)] {
            let entry = Entry {
                epoch,
                ..entry(base_offset, 3, 0)
            };
            index.push(&entry, place(0));
        }
        let ends = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|epoch| index.end_of_epoch(epoch, 8));
        let two = Some((2, 6));
        let expected = [
            None,
            two,
            two,
            two,
            Some((5, 9)),
            Some((6, 12)),
            Some((6, 12)),
        ];
        assert_eq!(ends[..7], expected);
        assert_eq!(ends[7..], [Some((8, 12)), None]);
    }

    #[test]
    fn epochs_before_the_start_are_forgotten() {
        let epochs = vec![(1, 0), (4, 10), (5, 20)];
        for (start, kept) in [(0, 3), (9, 3), (10, 2), (19, 2), (20, 1), (99, 1)] {
            let mut index = TailIndex::behind(30, epochs.clone());
            index.forget_epochs_below(start);
            assert_eq!(index.epochs().len(), kept, "{start}");
        }
        let index = TailIndex::behind(30, epochs);
        assert_eq!((index.end(), index.end_of_epoch(4, 6)), (30, Some((4, 20))));
    }

    proptest! {
        #[test]
        fn by_time_as_a_scan_does(
            times in prop::collection::vec(0..20i64, 0..20), below in 0..20usize, wanted in 0..21i64,
        ) {
            let mut index = TailIndex::default();
            for (at, time) in times.iter().enumerate() {
                let at = i64::try_from(at).unwrap();
                index.push(&entry(at, 1, *time), place(0));
            }
            index.forget_below(i64::try_from(below).unwrap());
            let times: Vec<_> = times.into_iter().enumerate().skip(below).collect();
            prop_assert_eq!(index.bytes(), times.len() as u64);
            let scanned = times.iter().find(|(_, time)| *time >= wanted).map(|(at, _)| *at);
            let found = index.first_at(wanted).map(|found| usize::try_from(found.base_offset).unwrap());
            prop_assert_eq!(found, scanned);
            let greatest = index.greatest().map(|(time, found)| (time, usize::try_from(found.base_offset).unwrap()));
            let most = times.iter().map(|(_, time)| *time).max();
            let scanned = most.map(|most| (most, times.iter().find(|(_, time)| *time == most).unwrap().0));
            prop_assert_eq!(greatest, scanned);
        }
    }
}
