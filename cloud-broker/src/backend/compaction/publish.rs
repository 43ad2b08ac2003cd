//! The partitions of a shard, and what readers are told of new segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_broker_core::catalog;
use headwater_broker_core::segments::{Object, Run};
use headwater_broker_core::state::ShardState;
use headwater_broker_core::tail_index::{Indexed, Place};
use headwater_broker_core::{PartitionId, StreamId};
use headwater_store::segment::RunId;

use super::compactor::Told;
use super::write::NewSegment;
use super::{Compactor, CutState};
use crate::backend::table::Cell;

/// A partition of the shard that is being worked on.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) partition: PartitionId,
    pub(super) id: RunId,
    pub(super) cell: Arc<Cell>,
    /// What it has in journals before the cut.
    pub(super) batches: Vec<Indexed>,
}

impl Compactor {
    /// The partitions of a shard that have something in journals before the cut, in the order in
    /// which segments have them.
    pub(super) fn parts(&self, shard: u32, cut: &CutState) -> Vec<Part> {
        let mut parts = Vec::new();
        for (partition, id, cell) in self.cells(shard) {
            let batches = cell.before(cut.journal, cut.next.seq);
            if !batches.is_empty() {
                parts.push(Part {
                    partition,
                    id,
                    cell,
                    batches,
                });
            }
        }
        parts.sort_by_key(|part| part.id);
        parts
    }

    /// Leaves in `parts` what lies before a place, so that it is no more than about `bytes_max`;
    /// gives the place, unless that is all.
    pub(super) fn limit(parts: &mut Vec<Part>, bytes_max: u64) -> Option<(u32, u64)> {
        let mut slots: BTreeMap<(u32, u64), u64> = BTreeMap::new();
        for Place {
            journal, seq, len, ..
        } in places(parts)
        {
            *slots.entry((journal, seq)).or_default() += u64::from(len);
        }
        let mut taken = 0;
        let mut slots = slots.into_iter();
        // One slot at least.
        slots.find(|(_, bytes)| {
            taken += bytes;
            taken >= bytes_max
        })?;
        let (upto, _) = slots.next()?;
        for part in parts.iter_mut() {
            let before = |batch: &Indexed| (batch.place.journal, batch.place.seq) < upto;
            let end = part.batches.partition_point(before);
            part.batches.truncate(end);
        }
        parts.retain(|part| !part.batches.is_empty());
        Some(upto)
    }

    /// All partitions of a shard.
    pub(super) fn cells(&self, shard: u32) -> Vec<(PartitionId, RunId, Arc<Cell>)> {
        let shards = u32::try_from(self.claims.len()).unwrap_or(u32::MAX);
        let (catalog, table) = (self.shared.catalog.load(), self.shared.table.load());
        let mut cells = Vec::new();
        for stream in catalog.streams() {
            for (number, id) in (0..).zip(&stream.partitions) {
                let is_ours = catalog::shard(&stream.id, number, shards) == shard;
                let cell = table.get(id.index()).filter(|_| is_ours);
                if let Some(cell) = cell {
                    cells.push((*id, run_id(stream.id, number), Arc::clone(cell)));
                }
            }
        }
        cells
    }

    /// From here on readers find in segments what they found in journals.
    pub(super) fn publish(&self, shard: u32, told: &Told) {
        let runs = |id| told.segments.iter().flat_map(move |new| new.runs_of(id));
        for part in &told.parts {
            let end = part.batches.last().map_or(0, Indexed::end_offset);
            part.cell.moved(runs(part.id).collect(), end);
        }
        if !told.replaced.is_empty() {
            for (_, id, cell) in self.cells(shard) {
                match told.compacted {
                    None => cell.merged(&told.replaced, runs(id)),
                    Some((compacted, end)) if compacted == id => {
                        cell.compacted(&told.replaced, runs(id).collect(), end);
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// The journal does not know leader epochs, readers do.
    pub(super) fn add_epochs(&self, state: &mut ShardState) {
        let cells = self.cells(state.shard);
        for partition in &mut state.partitions {
            let id = run_id(partition.topic, partition.partition);
            let cell = cells.iter().find(|(_, known, _)| *known == id);
            let Some((_, _, cell)) = cell else { continue };
            partition.epochs = cell.epochs();
            let next = partition.next_offset;
            partition.epochs.retain(|(_, first)| *first < next);
        }
    }
}

fn places(parts: &[Part]) -> impl Iterator<Item = Place> + '_ {
    let batches = parts.iter().flat_map(|part| &part.batches);
    batches.map(|batch| batch.place)
}

impl NewSegment {
    /// What readers are told of one partition.
    pub(super) fn runs_of(&self, id: RunId) -> Option<Run> {
        let runs = &self.written.directory.runs;
        let run = runs.iter().find(|run| run.id == id)?;
        Some(Run {
            segment: Arc::new(Object {
                name: self.name.clone(),
                bytes: self.written.bytes,
            }),
            from: run.from,
            end: run.to,
            bytes: run.bytes,
            max_timestamp: run.max_timestamp,
            arrival_ms: run.arrival_ms_max,
        })
    }
}

pub(super) fn run_id(topic: StreamId, partition: u32) -> RunId {
    RunId { topic, partition }
}
