//! Small segments become one, so that their number does not grow with time alone; those that are
//! mostly dead are written again, so that what lives on in them does not keep the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_broker_core::PartitionId;
use headwater_broker_core::segments::{Candidate, mergeable, mostly_dead};
use headwater_store::format::manifest::{Run, Segment};
use headwater_store::segment::{RunId, RunIndex, Segment as OpenSegment};
use headwater_store::{ErrorKind, StoreError};

use super::Compactor;
use super::compactor::Told;
use super::publish::run_id;
use super::write::{NewSegment, Writing};
use crate::backend::shared::Shared;
use crate::backend::table::Cell;

impl Compactor {
    /// Writes one segment again that is mostly dead, or else merges what can be merged in one
    /// shard.
    pub(super) fn merge(&mut self, shard: u32) -> Result<(), StoreError> {
        let Some(claim) = self.claims.get(shard as usize) else {
            return Ok(());
        };
        let cells: BTreeMap<_, _> = { self.cells(shard).into_iter() }
            .map(|(partition, id, cell)| (id, (partition, cell)))
            .collect();
        let segments = &claim.manifest.segments;
        let candidates: Vec<_> = { segments.iter() }
            .map(|segment| candidate(segment, &cells, self.doubtful))
            .collect();
        let places = match mostly_dead(&candidates) {
            Some(place) => vec![place],
            None => mergeable(&candidates, &self.shared.options.thresholds),
        };
        let old: Vec<Segment> = places
            .iter()
            .map(|at| segments[*at].known.clone())
            .collect();
        let Some(first) = places.first().copied() else {
            return Ok(());
        };
        let new = self.copy(shard, &old, &cells)?;
        let names: BTreeSet<String> = old.into_iter().map(|segment| segment.name).collect();
        let entries: Vec<_> = new.iter().map(NewSegment::to_manifest).collect();
        let told = Told {
            segments: new,
            replaced: names.clone(),
            ..Told::default()
        };
        self.commit(shard, told, |fields| {
            let entries = entries.into_iter().map(Into::into);
            drop(fields.segments.splice(first..first, entries));
            fields.segments.retain(|kept| !names.contains(&kept.name));
            fields.pending_delete.extend(names);
        })
    }

    /// Writes what is alive in these segments into new ones; mostly that is one.
    fn copy(
        &mut self,
        shard: u32,
        old: &[Segment],
        cells: &Cells,
    ) -> Result<Vec<NewSegment>, StoreError> {
        let ids: BTreeSet<RunId> = { old.iter() }
            .flat_map(|segment| segment.runs.iter().map(|run| id_of(run)))
            .collect();
        let doubtful = self.doubtful;
        let shared = Arc::clone(&self.shared);
        let mut writing = Writing::new(self, shard);
        for id in ids {
            let known = cells.get(&id);
            if known.is_none() && !doubtful {
                continue;
            }
            let start = known.map_or(0, |(_, cell)| cell.start());
            // What is in the segment and in none of its runs lives elsewhere.
            let has_it = |segment: &&Segment| segment.runs.iter().any(|run| id_of(run) == id);
            for segment in old.iter().filter(has_it) {
                let (open, index) = match open_run(&shared, segment, id) {
                    Ok(Some(found)) => found,
                    Ok(None) => continue,
                    // Readers pass over it too. The others need not stay apart for its sake.
                    Err(error) if is_gone(&error) => {
                        lose_run(&shared, known, segment, id, &error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                for block in index.from_offset(start) {
                    let found = open.read_block(id, block)?;
                    for lost in found.lost {
                        if let Some((partition, _)) = known {
                            shared.lose(*partition, lost.from..lost.to, &lost.place);
                        }
                    }
                    for batch in found.batches {
                        writing.put(&batch.entry(shard, id), &batch.bytes)?;
                    }
                }
            }
        }
        writing.finish()
    }
}

/// What merging has to know of a segment. Of a partition that is not known everything lives if its
/// stream may be there all the same.
fn candidate(segment: &Segment, cells: &Cells, doubtful: bool) -> Candidate<RunId> {
    let lives = |run: &Run| match cells.get(&id_of(run)) {
        Some((_, cell)) => run.to > cell.start().unsigned_abs(),
        None => doubtful,
    };
    let living = segment.runs.iter().filter(|run| lives(run));
    let all = segment.runs.iter().map(|run| run.bytes);
    Candidate {
        bytes: all.sum::<u64>().saturating_add(segment.dead_bytes),
        living_bytes: living.map(|run| run.bytes).sum(),
        ids: segment.runs.iter().map(|run| id_of(run)).collect(),
    }
}

/// The partitions of a shard that are known.
type Cells = BTreeMap<RunId, (PartitionId, Arc<Cell>)>;

/// What one segment says of one partition.
fn open_run(
    shared: &Shared,
    segment: &Segment,
    id: RunId,
) -> Result<Option<(OpenSegment, Arc<RunIndex>)>, StoreError> {
    let open = shared.segments.open(&segment.name, segment.bytes)?;
    let index = open.index(id)?;
    Ok(index.map(|index| (open, index)))
}

fn is_gone(error: &StoreError) -> bool {
    matches!(error.kind, ErrorKind::Damaged | ErrorKind::NotFound)
}

/// Nothing is left of what a segment has of a partition.
fn lose_run(
    shared: &Shared,
    known: Option<&(PartitionId, Arc<Cell>)>,
    segment: &Segment,
    id: RunId,
    error: &StoreError,
) {
    let run = segment.runs.iter().find(|run| id_of(run) == id);
    if let (Some((partition, _)), Some(run)) = (known, run) {
        let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
        shared.lose(*partition, offset(run.from)..offset(run.to), error);
    }
}

fn id_of(run: &Run) -> RunId {
    let topic = run.topic.as_slice().try_into().unwrap_or_default();
    run_id(topic, run.partition)
}
