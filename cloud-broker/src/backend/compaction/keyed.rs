//! Keyed compaction: of a partition's segments those records are kept that are the newest of their
//! keys (`core/src/keyed` decides). Nothing in the journal is touched, so the newest stay as they
//! came.
//!
//! The log is read once for what has come since the last time, then written anew from its
//! beginning, some segments at a time: each time one change of the manifest puts the new ones in
//! the place of the old. An old record goes before the one that replaces it is touched, so
//! whenever this ends, every reader finds the newest of each key.

mod change;
mod copy;
mod read;

use std::ops::ControlFlow;
use std::sync::Arc;

use headwater_broker_core::PartitionId;
use headwater_broker_core::catalog::Cleanup;
use headwater_broker_core::keyed::{Mark, Marks, Newest, is_due};
use headwater_broker_core::segments::Run;
use headwater_store::StoreError;
use headwater_store::format::manifest::Compacted;
use headwater_store::segment::RunId;

use super::Compactor;
use crate::backend::table::Cell;
use crate::validate::Validator;

/// A partition that is being compacted.
struct Keyed {
    shard: u32,
    partition: PartitionId,
    id: RunId,
    /// First offset that can be read.
    start: i64,
    /// What it has in segments, oldest first.
    runs: Vec<Run>,
    marks: Marks,
}

impl Compactor {
    /// As [`Self::compact_keys`]; what is wrong with it is no reason to keep what need not be kept.
    pub(super) fn compact_keys_or_warn(&mut self, shard: u32) {
        if let Err(error) = self.compact_keys(shard)
            && !self.is_stopping()
        {
            tracing::warn!("Compaction by key has to be tried again: {error}");
        }
    }

    /// Compacts that partition of a shard which has most to compact.
    fn compact_keys(&mut self, shard: u32) -> Result<(), StoreError> {
        let Some(mut keyed) = self.due_by_key(shard) else {
            return Ok(());
        };
        let newest = self.newest(&keyed)?;
        if newest.is_full() {
            tracing::info!(
                "limits.compaction_memory holds the keys of {} offsets: partition {} takes several passes",
                newest.covered_to() - keyed.marks.compacted_to(),
                keyed.id.partition
            );
        }
        let tombstones_to = self.tombstones_to(&mut keyed.marks);
        let covered = { keyed.runs.iter() }.take_while(|run| run.from < newest.covered_to());
        let covered: Vec<Run> = covered.cloned().collect();
        let bytes_max = self.shared.options.thresholds.bytes;
        let mut bytes = 0;
        for group in groups(&covered, bytes_max) {
            let new = self.copy_newest(&keyed, group, &newest, tombstones_to)?;
            let compacted = new.iter().filter_map(|new| new.runs_of(keyed.id));
            let compacted = compacted.filter(|run| run.end <= newest.covered_to());
            bytes += compacted.map(|run| run.bytes).sum::<u64>();
            let is_last = group.last().map(|run| run.from) == covered.last().map(|run| run.from);
            let mark = is_last.then(|| {
                let ms = self.shared.now().0;
                let to = newest.covered_to();
                keyed.marks.push(Mark { to, ms });
                keyed.reached(bytes)
            });
            let end = group.last().map_or(0, |run| run.end);
            let end = end.min(newest.covered_to());
            self.replace_runs(&keyed, group, new, end, mark)?;
        }
        Ok(())
    }

    /// The partition of which most is new, if that is enough.
    fn due_by_key(&self, shard: u32) -> Option<Keyed> {
        let catalog = self.shared.catalog.load();
        let is_keyed = |id: &RunId| {
            let stream = catalog.by_id(&id.topic);
            // Of internal streams the snapshots have the newest.
            stream.is_some_and(|found| !found.internal && found.spec.cleanup != Cleanup::Delete)
        };
        let cells = self.cells(shard).into_iter();
        let due = cells.filter(|(_, id, _)| is_keyed(id));
        let due = due.filter_map(|(partition, id, cell)| self.due(shard, partition, id, &cell));
        let (_, keyed) = due.max_by_key(|(new, _)| *new)?;
        Some(keyed)
    }

    fn due(
        &self,
        shard: u32,
        partition: PartitionId,
        id: RunId,
        cell: &Arc<Cell>,
    ) -> Option<(u64, Keyed)> {
        let (runs, start) = (cell.runs(), cell.start());
        let known = self.claims.get(shard as usize)?.manifest.compacted.iter();
        let known = known.map(|kept| &kept.known).find(|known| is_of(known, id));
        let marks = known.map(marks).unwrap_or_default();
        let bytes = runs.iter().map(|run| run.bytes).sum();
        let before = runs.iter().filter(|run| run.from < marks.compacted_to());
        let before = before.map(|run| run.bytes).sum();
        let compacted = known.map_or(0, |known| known.bytes.min(before));
        let has_new = runs.last()?.end > marks.compacted_to();
        (has_new && is_due(bytes, compacted)).then(|| {
            let new = bytes - compacted;
            let keyed = Keyed {
                shard,
                partition,
                id,
                start,
                runs,
                marks,
            };
            (new, keyed)
        })
    }

    /// The newest offset of each key that has come since the last compaction.
    fn newest(&self, keyed: &Keyed) -> Result<Newest, StoreError> {
        let mut newest = Newest::new(self.shared.options.compaction_memory_bytes);
        let mut validator = Validator::default();
        let compacted_to = keyed.marks.compacted_to();
        self.reader().each_batch(keyed, &keyed.runs, |batch| {
            if batch.base_offset() < compacted_to {
                newest.note_clean(&batch.header);
                return Ok(ControlFlow::Continue(()));
            }
            let records = validator.records(&batch.header, &batch.bytes);
            // What cannot be understood covers nothing, and stays.
            let noted = newest.note(&batch.header, records.unwrap_or_default());
            Ok(match noted {
                Ok(false) => ControlFlow::Break(()),
                Ok(true) | Err(_) => ControlFlow::Continue(()),
            })
        })?;
        Ok(newest)
    }

    /// Below this offset records without a value may go. A clock that may be wrong says nothing.
    fn tombstones_to(&self, marks: &mut Marks) -> i64 {
        let now = self.shared.now();
        match self.is_clock_right {
            true => marks.compacted_for(self.shared.options.tombstones_ms, now),
            false => 0,
        }
    }
}

/// Neighbours that are written anew together, each time at most `bytes_max` or one.
fn groups(runs: &[Run], bytes_max: u64) -> impl Iterator<Item = &[Run]> {
    let mut rest = runs;
    std::iter::from_fn(move || {
        let mut bytes = 0_u64;
        let fits = |run: &&Run| {
            bytes = bytes.saturating_add(run.bytes);
            bytes <= bytes_max
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (group, behind) = rest.split_at_checked(count)?;
        rest = behind;
        Some(group)
    })
}

fn is_of(known: &Compacted, id: RunId) -> bool {
    known.topic == id.topic && known.partition == id.partition
}

fn marks(known: &Compacted) -> Marks {
    let offset = |to: u64| i64::try_from(to).unwrap_or(i64::MAX);
    Marks::new(known.marks.iter().map(|mark| Mark {
        to: offset(mark.to),
        ms: mark.ms,
    }))
}
