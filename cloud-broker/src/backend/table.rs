//! The partitions as readers see them: what is committed, and where it lies.

mod found;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_broker_core::Entry;
use headwater_broker_core::segments::{Retention, Run, Runs, log_start};
use headwater_broker_core::tail_index::{Indexed, Place, TailIndex};
use headwater_wire::time::Millis;

use super::error::ReadError;
use super::read::{Bounds, StoredBatch};
use super::watch::Watchers;

pub(super) use found::Found;
use found::fitting;

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
    /// What lies in segments.
    runs: Runs,
    /// What lies behind them, in journals.
    index: TailIndex,
    /// The newest batches, whose bytes are in memory; no gap between them.
    recent: VecDeque<StoredBatch>,
    /// Batches that have left memory before their turn.
    forgotten: usize,
    /// Offsets of batches that readers could not read, so that each is counted once.
    lost: BTreeSet<i64>,
}

impl Cell {
    pub(super) fn new(runs: Runs, index: TailIndex, epoch: u32) -> Self {
        let committed = Mutex::new(Committed {
            runs,
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
        let cell = Self::new(Runs::default(), TailIndex::default(), 0);
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
        let Committed { runs, index, .. } = &*self.alive()?;
        Ok(Bounds {
            start: runs.start(),
            end: index.end(),
            epoch: self.epoch,
            bytes: runs.bytes() + index.bytes(),
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
        let mut committed = self.lock();
        match committed.forgotten.checked_sub(1) {
            Some(left) => committed.forgotten = left,
            None => drop(committed.recent.pop_front()),
        }
    }

    /// Batches that lie in journals, before a slot; empty if the stream was deleted.
    pub(super) fn before(&self, journal: u32, seq: u64) -> Vec<Indexed> {
        let committed = self.lock();
        let batches = committed.index.batches();
        let place = |batch: &Indexed| (batch.place.journal, batch.place.seq);
        let end = batches.partition_point(|batch| place(batch) < (journal, seq));
        batches[..end].to_vec()
    }

    /// What lay in the journal below `end` lies in these segments now.
    pub(super) fn moved(&self, runs: Vec<Run>, end: i64) {
        let mut committed = self.lock();
        if committed.gone {
            return;
        }
        runs.into_iter().for_each(|run| committed.runs.push(run));
        committed.index.forget_below(end);
    }

    /// New segments have taken the place of those with these names.
    pub(super) fn merged(&self, names: &BTreeSet<String>, new: impl IntoIterator<Item = Run>) {
        self.lock().runs.replace(names, new);
    }

    /// Below `end` segments have been compacted by key: readers find them there, not in memory.
    pub(super) fn compacted(&self, names: &BTreeSet<String>, new: Vec<Run>, end: i64) {
        let mut committed = self.lock();
        committed.runs.replace(names, new);
        let is_old = |batch: &mut StoredBatch| batch.last_offset < end;
        while committed.recent.pop_front_if(is_old).is_some() {
            committed.forgotten += 1;
        }
    }

    /// What lies in segments, oldest first.
    pub(super) fn runs(&self) -> Vec<Run> {
        self.lock().runs.iter().cloned().collect()
    }

    /// Where retention says that the partition should begin.
    pub(super) fn wanted_start(&self, retention: &Retention, now: Millis) -> i64 {
        let Committed { runs, index, .. } = &mut *self.lock();
        if retention.ms.is_some() {
            runs.came_by(now);
        }
        log_start(runs, index.bytes(), retention, now)
    }

    /// The partition begins here from now on.
    pub(super) fn raise_start(&self, start: i64) {
        let mut committed = self.lock();
        committed.runs.raise_start(start);
        let start = committed.runs.start();
        committed.index.forget_epochs_below(start);
        let kept = committed.lost.split_off(&start);
        committed.lost = kept;
    }

    /// First offset that can be read.
    pub(super) fn start(&self) -> i64 {
        self.lock().runs.start()
    }

    /// Leader epochs, each with the offset of its first record.
    pub(super) fn epochs(&self) -> Vec<(u32, i64)> {
        self.lock().index.epochs().to_vec()
    }

    /// Notes that a batch at this offset cannot be read; false if that is known.
    pub(super) fn lose(&self, offset: i64) -> bool {
        let lost = &mut self.lock().lost;
        lost.len() < LOST_MAX && lost.insert(offset)
    }

    /// Batches from `offset` on: the first, and more while all are at most `bytes_max`.
    pub(super) fn find(&self, offset: i64, bytes_max: usize) -> Result<Found, ReadError> {
        let committed = self.alive()?;
        if offset < committed.runs.start() || offset > committed.index.end() {
            return Err(ReadError::OffsetOutOfRange);
        }
        let recent = &committed.recent;
        let is_cold = recent
            .front()
            .is_none_or(|first| offset < first.base_offset);
        if is_cold && let Some(run) = committed.runs.from_offset(offset) {
            return Ok(Found::Segment(run.clone()));
        }
        if is_cold {
            let batches = committed.index.from_offset(offset);
            let fitting = fitting(
                batches.iter().map(|batch| batch.place.len as usize),
                bytes_max,
            );
            if fitting > 0 {
                return Ok(Found::Journal(batches[..fitting].to_vec()));
            }
        }
        let at = recent.partition_point(|batch| batch.last_offset < offset);
        let sizes = recent.range(at..).map(|batch| batch.bytes.len());
        let fitting = fitting(sizes, bytes_max);
        Ok(Found::Recent(
            recent.range(at..at + fitting).cloned().collect(),
        ))
    }

    /// Where the first batch behind `offset` may lie that has a record of at least this timestamp.
    pub(super) fn first_at(&self, timestamp: i64, offset: i64) -> Result<Option<Found>, ReadError> {
        let committed = self.alive()?;
        if let Some(run) = committed.runs.first_at(timestamp, offset) {
            return Ok(Some(Found::Segment(run.clone())));
        }
        let behind = committed.index.from_offset(offset);
        let found = behind.iter().find(|batch| batch.max_timestamp >= timestamp);
        Ok(found.map(|batch| Found::Journal(vec![*batch])))
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
        let committed = self.alive()?;
        let newest = committed.index.greatest().map(|(time, _)| time);
        Ok(newest.max(committed.runs.greatest()))
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

/// Damaged batches of one partition that are remembered; what is beyond is not counted again.
const LOST_MAX: usize = 1000;
