//! The partitions as readers see them: what is committed, and where it lies.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_broker_core::Entry;
use headwater_broker_core::tail_index::{Indexed, Place, TailIndex};

use super::error::ReadError;
use super::read::{Bounds, StoredBatch};
use super::watch::Watchers;

/// One partition.
#[derive(Debug)]
pub(super) struct Cell {
    /// Leader epoch.
    epoch: i32,
    committed: Mutex<Committed>,
    pub(super) watchers: Arc<Watchers>,
}

#[derive(Debug, Default)]
struct Committed {
    /// The stream was deleted: there is nothing here, and nothing is added.
    gone: bool,
    index: TailIndex,
    /// The newest batches, whose bytes are in memory; no gap between them.
    recent: VecDeque<StoredBatch>,
}

/// Where a read must go on.
#[derive(Debug)]
pub(super) enum Found {
    /// In memory.
    Recent(Vec<StoredBatch>),
    /// On the disk.
    Cold(Vec<Indexed>),
}

impl Cell {
    pub(super) fn new(index: TailIndex, epoch: u32) -> Self {
        let committed = Mutex::new(Committed {
            index,
            ..Committed::default()
        });
        let epoch = i32::try_from(epoch).unwrap_or(i32::MAX);
        Self {
            epoch,
            committed,
            watchers: Arc::default(),
        }
    }

    /// In the place of a partition whose stream was deleted.
    pub(super) fn gone() -> Self {
        let cell = Self::new(TailIndex::default(), 0);
        cell.close();
        cell
    }

    /// The stream was deleted: whoever still looks here finds that it is gone, and those who wait
    /// wake up to look.
    pub(super) fn close(&self) {
        let forgotten = std::mem::replace(
            &mut *self.lock(),
            Committed {
                gone: true,
                ..Committed::default()
            },
        );
        drop(forgotten);
        self.watchers.ring();
    }

    pub(super) fn bounds(&self) -> Result<Bounds, ReadError> {
        let Committed { index, .. } = &*self.alive()?;
        let (start, end, bytes) = (index.start(), index.end(), index.bytes());
        Ok(Bounds {
            start,
            end,
            epoch: self.epoch,
            bytes,
        })
    }

    /// A batch was committed.
    pub(super) fn push(&self, entry: &Entry, place: Place, batch: StoredBatch) {
        let mut committed = self.lock();
        if committed.gone {
            return;
        }
        committed.index.push(entry, place);
        committed.recent.push_back(batch);
    }

    /// The oldest batch in memory has to go.
    pub(super) fn forget_oldest(&self) {
        self.lock().recent.pop_front();
    }

    /// Batches from `offset` on: the first, and more while all are at most `bytes_max`.
    pub(super) fn find(&self, offset: i64, bytes_max: usize) -> Result<Found, ReadError> {
        let committed = self.alive()?;
        if offset < committed.index.start() || offset > committed.index.end() {
            return Err(ReadError::OffsetOutOfRange);
        }
        let recent = &committed.recent;
        let is_cold = recent
            .front()
            .is_none_or(|first| offset < first.base_offset);
        if is_cold {
            let batches = committed.index.from_offset(offset);
            let fitting = fitting(
                batches.iter().map(|batch| batch.place.len as usize),
                bytes_max,
            );
            if fitting > 0 {
                return Ok(Found::Cold(batches[..fitting].to_vec()));
            }
        }
        let at = recent.partition_point(|batch| batch.last_offset < offset);
        let sizes = recent.range(at..).map(|batch| batch.bytes.len());
        let fitting = fitting(sizes, bytes_max);
        Ok(Found::Recent(
            recent.range(at..at + fitting).cloned().collect(),
        ))
    }

    /// The batch with the first record of at least this timestamp.
    pub(super) fn first_at(&self, timestamp: i64) -> Result<Option<Indexed>, ReadError> {
        Ok(self.alive()?.index.first_at(timestamp).copied())
    }

    /// See [`super::Backend::end_of_epoch`].
    pub(super) fn end_of_epoch(&self, epoch: i32) -> Result<Option<(i32, i64)>, ReadError> {
        let committed = self.alive()?;
        let (Ok(asked), Ok(current)) = (u32::try_from(epoch), u32::try_from(self.epoch)) else {
            return Ok(None);
        };
        let found = committed.index.end_of_epoch(asked, current);
        Ok(found.map(|(epoch, end)| (i32::try_from(epoch).unwrap_or(i32::MAX), end)))
    }

    /// The largest timestamp.
    pub(super) fn greatest_timestamp(&self) -> Result<Option<i64>, ReadError> {
        let greatest = self.alive()?.index.greatest().map(|(time, _)| time);
        Ok(greatest)
    }

    /// What is committed, unless the stream was deleted.
    fn alive(&self) -> Result<MutexGuard<'_, Committed>, ReadError> {
        let committed = self.lock();
        match committed.gone {
            true => Err(ReadError::NoPartition),
            false => Ok(committed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Committed> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of these are taken: the first, and more while the sum stays within bounds.
fn fitting(sizes: impl Iterator<Item = usize>, bytes_max: usize) -> usize {
    let mut left = bytes_max;
    let fits = |(at, size): &(usize, usize)| {
        let fits = *at == 0 || *size <= left;
        left = left.saturating_sub(*size);
        fits
    };
    sizes.enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_always_fits() {
        assert_eq!(fitting([].into_iter(), 10), 0);
        assert_eq!(fitting([50, 1].into_iter(), 10), 1);
        assert_eq!(fitting([4, 6, 1].into_iter(), 10), 2);
    }
}
