//! Partitions become one sequence: by arrival time, then by partition, and within a partition
//! always by offset.

/// A place in the log, by partition, and the next batch (`B`) of those partitions whose next batch
/// is known.
///
/// The caller reads: it asks which batches are [`unknown`](Self::unknown), [`offer`](Self::offer)s
/// them, and as soon as none is unknown the [`earliest`](Self::pop) of all is next. At most
/// `held_bytes_max` bytes of batches are held; of what is beyond that only the arrival time is
/// remembered, and the batch is read again when it is its turn.
#[derive(Clone, Debug)]
pub struct Merge<B> {
    parts: Vec<Part<B>>,
    held_bytes: usize,
    held_bytes_max: usize,
}

/// The batch that comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earliest<B> {
    /// Its partition.
    pub partition: usize,
    /// When it came, ms.
    pub arrival_ms: i64,
    /// `None` if too much was held: read it again, at [`Merge::next`].
    pub batch: Option<B>,
}

#[derive(Clone, Debug)]
struct Part<B> {
    next: i64,
    head: Option<Head<B>>,
}

#[derive(Clone, Debug)]
struct Head<B> {
    arrival_ms: i64,
    batch: Option<B>,
    bytes: usize,
}

impl<B> Merge<B> {
    /// Begins at these offsets; a partition beyond them begins at 0.
    #[must_use]
    pub fn new(next: Vec<i64>, held_bytes_max: usize) -> Self {
        let parts = next.into_iter().map(|next| Part { next, head: None });
        Self {
            parts: parts.collect(),
            held_bytes: 0,
            held_bytes_max,
        }
    }

    /// The same place, without the batches: what is remembered while nothing is read.
    #[must_use]
    pub fn place(&self) -> Self {
        let part = |part: &Part<B>| Part {
            next: part.next,
            head: part.head.as_ref().map(|head| Head {
                arrival_ms: head.arrival_ms,
                batch: None,
                bytes: 0,
            }),
        };
        Self {
            parts: self.parts.iter().map(part).collect(),
            held_bytes: 0,
            held_bytes_max: self.held_bytes_max,
        }
    }

    /// The next offset of a partition.
    #[must_use]
    pub fn next(&self, partition: usize) -> i64 {
        self.parts.get(partition).map_or(0, |part| part.next)
    }

    /// Partitions from this number on begin at 0.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.parts.len()
    }

    /// Begins where either begins.
    pub fn lower_to(&mut self, other: &Self) {
        self.parts.truncate(other.parts.len());
        for partition in 0..self.parts.len() {
            if other.next(partition) < self.next(partition) {
                self.forget(partition);
                self.parts[partition].next = other.next(partition);
            }
        }
    }

    /// Bytes of the batches that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether the next batch of some partition is known.
    #[must_use]
    pub fn knows_more(&self) -> bool {
        self.parts.iter().any(|part| part.head.is_some())
    }

    /// Passes over everything before `offset`. Nothing happens if that is behind already.
    pub fn skip_to(&mut self, partition: usize, offset: i64) {
        if offset > self.next(partition) {
            self.forget(partition);
            self.part(partition).next = offset;
        }
    }

    /// Partitions that it is beyond the end of; `ends` by partition.
    pub fn beyond(&self, ends: &[i64]) -> impl Iterator<Item = usize> {
        let end = |partition: usize| ends.get(partition).copied().unwrap_or(0);
        let parts = self.parts.iter().enumerate();
        parts.filter_map(move |(partition, part)| (part.next > end(partition)).then_some(partition))
    }

    /// Partitions that are before their end, and of whose next batch nothing is known: each with
    /// its next offset. `ends` by partition.
    pub fn unknown(&self, ends: &[i64]) -> impl Iterator<Item = (usize, i64)> {
        ends.iter().enumerate().filter_map(|(partition, end)| {
            let part = self.parts.get(partition);
            let known = part.is_some_and(|part| part.head.is_some());
            let next = part.map_or(0, |part| part.next);
            (!known && next < *end).then_some((partition, next))
        })
    }

    /// Tells the batch that holds a partition's next offset, or follows it; `bytes` is its size.
    pub fn offer(&mut self, partition: usize, arrival_ms: i64, bytes: usize, batch: B) {
        self.forget(partition);
        let held = self.held_bytes.saturating_add(bytes);
        let batch = (held <= self.held_bytes_max).then_some(batch);
        let bytes = if batch.is_some() { bytes } else { 0 };
        self.held_bytes += bytes;
        self.part(partition).head = Some(Head {
            arrival_ms,
            batch,
            bytes,
        });
    }

    /// Lets a partition's batch go; its arrival time stays known.
    pub fn let_go(&mut self, partition: usize) {
        let head = self.parts.get_mut(partition).and_then(|p| p.head.as_mut());
        if let Some(head) = head {
            self.held_bytes -= std::mem::take(&mut head.bytes);
            head.batch = None;
        }
    }

    /// Takes the batch that comes next; whoever has given it out says so with
    /// [`skip_to`](Self::skip_to), whoever has not [`offer`](Self::offer)s it again.
    pub fn pop(&mut self) -> Option<Earliest<B>> {
        let heads = self.parts.iter().enumerate();
        let arrivals = heads.filter_map(|(at, part)| Some((part.head.as_ref()?.arrival_ms, at)));
        let (arrival_ms, partition) = arrivals.min()?;
        let batch = self.forget(partition);
        Some(Earliest {
            partition,
            arrival_ms,
            batch,
        })
    }

    fn forget(&mut self, partition: usize) -> Option<B> {
        let head = self.parts.get_mut(partition)?.head.take()?;
        self.held_bytes -= head.bytes;
        head.batch
    }

    fn part(&mut self, partition: usize) -> &mut Part<B> {
        if self.parts.len() <= partition {
            let new = || Part {
                next: 0,
                head: None,
            };
            self.parts.resize_with(partition + 1, new);
        }
        &mut self.parts[partition]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Offsets and arrival time; 10 bytes each.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Batch {
        base: i64,
        count: i64,
        arrival_ms: i64,
    }

    const BATCH_BYTES: usize = 10;

    /// Partitions of batches without gaps, each with arrival times that do not fall.
    fn log(lengths: &[Vec<(i64, i64)>]) -> Vec<Vec<Batch>> {
        let partition = |batches: &Vec<(i64, i64)>| {
            let (mut base, mut arrival_ms) = (0, 0);
            let next = |(count, later): &(i64, i64)| {
                arrival_ms += later;
                let batch = Batch {
                    base,
                    count: *count,
                    arrival_ms,
                };
                base += count;
                batch
            };
            batches.iter().map(next).collect()
        };
        lengths.iter().map(partition).collect()
    }

    fn find(log: &[Vec<Batch>], partition: usize, offset: i64) -> Option<Batch> {
        let holds = |batch: &&Batch| batch.base + batch.count > offset;
        log[partition].iter().find(holds).copied()
    }

    /// (arrival time, partition, offset) of every record from `starts` on, as a merge gives them
    /// that is interrupted after each `interrupt` batches.
    fn merged(
        log: &[Vec<Batch>],
        starts: &[i64],
        bytes_max: usize,
        interrupt: usize,
    ) -> Vec<(i64, usize, i64)> {
        let ends: Vec<i64> = log
            .iter()
            .map(|p| p.last().map_or(0, |b| b.base + b.count))
            .collect();
        let mut merge = Merge::new(starts.to_vec(), bytes_max);
        let mut out = Vec::new();
        for round in 1.. {
            let unknown: Vec<_> = merge.unknown(&ends).collect();
            for (partition, next) in unknown {
                let batch = find(log, partition, next).expect("before the end");
                merge.offer(partition, batch.arrival_ms, BATCH_BYTES, batch);
                assert!(merge.held_bytes() <= bytes_max);
            }
            let Some(earliest) = merge.pop() else { break };
            let (partition, next) = (earliest.partition, merge.next(earliest.partition));
            let again = || find(log, partition, next).expect("it was there");
            let batch = earliest.batch.unwrap_or_else(again);
            assert_eq!(batch.arrival_ms, earliest.arrival_ms);
            // Half of it first, as if the reader had no room for more.
            let half = next.max(batch.base) + (batch.base + batch.count - next.max(batch.base)) / 2;
            let upto = if round % 2 == 0 {
                half
            } else {
                batch.base + batch.count
            };
            out.extend(
                (next.max(batch.base)..upto).map(|offset| (batch.arrival_ms, partition, offset)),
            );
            merge.skip_to(partition, upto);
            if upto == half {
                merge.offer(partition, batch.arrival_ms, BATCH_BYTES, batch);
            }
            if round % interrupt == 0 {
                merge = merge.place();
                assert_eq!(merge.held_bytes(), 0);
            }
        }
        assert_eq!(merge.held_bytes(), 0);
        out
    }

    #[test]
    fn what_it_is_beyond_is_told() {
        let merge: Merge<()> = Merge::new(vec![3, 5, 1, 0], 0);
        assert_eq!(merge.beyond(&[3, 4]).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(merge.beyond(&[9, 9, 9]).count(), 0);
    }

    proptest! {
        #[test]
        fn as_sorting_does(
            lengths in prop::collection::vec(prop::collection::vec((1..4i64, 0..3i64), 0..8), 0..6),
            starts in prop::collection::vec(0..8i64, 0..6),
            bytes_max in 0..5 * BATCH_BYTES,
            interrupt in 1..9usize,
        ) {
            let log = log(&lengths);
            let starts = &starts[..starts.len().min(log.len())];
            let mut sorted = Vec::new();
            for (partition, batches) in log.iter().enumerate() {
                let start = starts.get(partition).copied().unwrap_or(0);
                for batch in batches {
                    let offsets = batch.base.max(start)..batch.base + batch.count;
                    sorted.extend(offsets.map(|offset| (batch.arrival_ms, partition, offset)));
                }
            }
            sorted.sort_unstable();
            prop_assert_eq!(merged(&log, starts, bytes_max, interrupt), sorted);
        }
    }

    #[test]
    fn a_partition_that_grows_is_asked_again() {
        let mut merge: Merge<()> = Merge::new(vec![5], 100);
        assert_eq!(merge.unknown(&[5]).count(), 0);
        assert_eq!(merge.unknown(&[6, 2]).collect::<Vec<_>>(), [(0, 5), (1, 0)]);
        merge.offer(0, 9, 1, ());
        merge.skip_to(0, 4);
        assert_eq!(
            merge.unknown(&[6]).count(),
            0,
            "an offset behind it changes nothing"
        );
        merge.skip_to(0, 6);
        assert_eq!((merge.next(0), merge.held_bytes()), (6, 0));
        assert!(merge.pop().is_none());
    }

    #[test]
    fn two_begin_where_either_does() {
        let mut merge: Merge<()> = Merge::new(vec![5, 3, 7], 0);
        merge.lower_to(&Merge::new(vec![4, 9], 0));
        assert_eq!([0, 1, 2].map(|partition| merge.next(partition)), [4, 3, 0]);
    }

    #[test]
    fn what_is_let_go_keeps_its_place() {
        let mut merge = Merge::new(Vec::new(), 10);
        merge.offer(1, 3, 8, "one");
        merge.offer(0, 7, 8, "zero");
        merge.let_go(1);
        merge.let_go(5);
        assert_eq!(merge.held_bytes(), 0);
        let expected = [(1, 3, None), (0, 7, None)];
        for (partition, arrival_ms, batch) in expected {
            assert_eq!(
                merge.pop(),
                Some(Earliest {
                    partition,
                    arrival_ms,
                    batch
                })
            );
        }
    }
}
