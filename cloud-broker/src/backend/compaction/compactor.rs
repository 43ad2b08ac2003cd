//! What the compactor's thread owns: the manifests, and what it may delete.
//!
//! The order of one cut is what makes it safe to die anywhere: segments and snapshot are written
//! under names that nothing knows; the manifest names them and gives up the journal in one
//! compare-and-swap; readers are told; the journal's low-water mark is raised; and only then is
//! anything deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headwater_broker_core::segments::PendingDelete;
use headwater_store::format::manifest::{Fields, Segment, SnapshotRef};
use headwater_store::segment::RunId;
use headwater_store::{ErrorKind, Incarnation, Slot, StoreError};

use super::publish::Part;
use super::write::NewSegment;
use super::{CutState, Ended, Task, gather};
use crate::backend::registers::Claim;
use crate::backend::shared::Shared;

/// The manifests of all shards, and what is to be done about them.
#[derive(Debug)]
pub(in crate::backend) struct Compactor {
    pub(super) shared: Arc<Shared>,
    /// By shard.
    pub(super) claims: Vec<Claim>,
    /// Our own journal.
    pub(super) inc: Incarnation,
    /// Its low-water mark.
    pub(super) low: u64,
    /// Journals of earlier lives of which more than the tombstone may be there, and their ends.
    pub(super) ended: BTreeMap<Incarnation, u64>,
    /// Where what is left of them begins.
    pub(super) freed: BTreeMap<Incarnation, u64>,
    /// By shard.
    pub(super) pending: Vec<PendingDelete>,
    /// Objects that were written for a manifest which does not name them, by shard.
    pub(super) abandoned: Vec<(u32, String)>,
    /// By shard: what readers are told if a change of which nobody knows has landed.
    untold: BTreeMap<u32, Told>,
    /// Damage in the log of streams was seen: a stream that is unknown may not have been deleted.
    pub(super) doubtful: bool,
    /// Ages can be trusted.
    pub(super) is_clock_right: bool,
    /// Number of the next object.
    pub(super) number: u32,
    stop: Arc<AtomicBool>,
}

/// What becomes visible with a manifest.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What lay in journals.
    pub(super) parts: Vec<Part>,
    /// New segments.
    pub(super) segments: Vec<NewSegment>,
    /// Names of the segments whose place they take.
    pub(super) replaced: BTreeSet<String>,
    /// The one partition of which that is so, and the offset up to which it was compacted by key;
    /// none: all of them.
    pub(super) compacted: Option<(RunId, i64)>,
    /// Names of new snapshots.
    pub(super) snapshots: Vec<String>,
}

impl Compactor {
    pub(in crate::backend) fn new(
        shared: Arc<Shared>,
        claims: Vec<Claim>,
        inc: Incarnation,
        ended: BTreeMap<Incarnation, u64>,
        doubtful: bool,
    ) -> Self {
        let grace_ms = shared.options.delete_grace_ms;
        let now = (shared.options.monotonic)();
        let pending = claims.iter().map(|claim| {
            let mut pending = PendingDelete::new(grace_ms);
            pending.listed(&claim.manifest.pending_delete, now);
            pending
        });
        Self {
            pending: pending.collect(),
            shared,
            claims,
            inc,
            low: 0,
            ended,
            freed: BTreeMap::new(),
            abandoned: Vec::new(),
            untold: BTreeMap::new(),
            doubtful,
            is_clock_right: false,
            number: 0,
            stop: Arc::default(),
        }
    }

    /// Set: what is under way is left.
    pub(super) fn stop_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Does one thing.
    pub(super) fn work(&mut self, task: Task) -> Ended {
        let done = match task {
            Task::Compact(cut) => self.compact(cut),
            Task::Tidy => self.tidy().map(|()| Ended::Done),
        };
        if let Err(error) = &done
            && !self.is_stopping()
        {
            tracing::warn!("Compaction has to be tried again: {error}");
        }
        done.unwrap_or(Ended::Failed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Puts what a shard has in journals before the cut into segments: all, or the oldest of it.
    fn compact(&mut self, cut: CutState) -> Result<Ended, StoreError> {
        let shard = cut.shard;
        self.prepare(shard)?;
        let mut parts = self.parts(shard, &cut);
        let bytes_max = self.shared.options.thresholds.cut_bytes;
        let left = Self::limit(&mut parts, bytes_max);
        let upto = match left {
            Some((journal, seq)) => Slot {
                inc: self.shared.incarnations[journal as usize],
                seq,
            },
            None => cut.next,
        };
        let gathered = gather::gather(&self.shared, shard, &parts)?;
        let segments = self.write_segments(shard, &parts, gathered)?;
        let snapshots = match self.write_state(cut.state, cut.next) {
            Ok(snapshots) => snapshots,
            Err(error) => {
                self.discard(shard, segments.into_iter().map(|new| new.name));
                return Err(error);
            }
        };
        let told = Told {
            parts,
            segments,
            snapshots: snapshots.iter().map(|new| new.name.clone()).collect(),
            ..Told::default()
        };
        let next = cut.next;
        let new: Vec<Segment> = told.segments.iter().map(NewSegment::to_manifest).collect();
        self.commit(shard, told, |fields| {
            fields.segments.extend(new.into_iter().map(Into::into));
            // Sources are in the order of the log; our own journal is the last.
            let at = fields
                .sources
                .iter()
                .position(|source| source.inc() == upto.inc);
            drop(fields.sources.drain(..at.unwrap_or(0)));
            if let Some(source) = fields.sources.first_mut() {
                source.from = source.from.max(upto.seq);
            }
            move_snapshots(fields, snapshots, next.inc, next.seq);
        })?;
        // The cut is made, whether or not this works: it is tried again with every other.
        if let Err(error) = self.give_up_journals() {
            tracing::warn!("A journal that nobody needs stays for now: {error}");
        }
        Ok(left.map_or(Ended::Done, Ended::Partly))
    }

    /// What became of the last change is known afterwards, and nothing is there that was written
    /// for it in vain: such objects do not gather, however often the next one fails.
    pub(super) fn prepare(&mut self, shard: u32) -> Result<(), StoreError> {
        self.settle(shard)?;
        match self.abandoned.iter().any(|(of, _)| *of == shard) {
            // Beyond the revision that would have named them they never will be.
            true => self.change(shard, |_| {}),
            false => Ok(()),
        }
    }

    /// Changes a manifest in a way of which readers need not be told.
    pub(super) fn change(
        &mut self,
        shard: u32,
        change: impl FnOnce(&mut Fields),
    ) -> Result<(), StoreError> {
        self.commit(shard, Told::default(), change)
    }

    /// Lets a manifest name these snapshots in the place of those before.
    pub(super) fn replace_snapshots(
        &mut self,
        shard: u32,
        new: Vec<SnapshotRef>,
    ) -> Result<(), StoreError> {
        let told = Told {
            snapshots: new.iter().map(|new| new.name.clone()).collect(),
            ..Told::default()
        };
        self.commit(shard, told, |fields| {
            fields.snapshots = new.into_iter().map(Into::into).collect();
        })
    }

    /// Changes a manifest, and then tells readers.
    pub(super) fn commit(
        &mut self,
        shard: u32,
        told: Told,
        change: impl FnOnce(&mut Fields),
    ) -> Result<(), StoreError> {
        let Some(claim) = self.claims.get_mut(shard as usize) else {
            let what = "There is no shard";
            return Err(StoreError::new(ErrorKind::Invalid, what, shard));
        };
        let before: Vec<String> = names(&claim.manifest.snapshots);
        let page_bytes = self.shared.options.thresholds.page_bytes;
        let changed = claim.change(&self.shared.store, page_bytes, change);
        let pages = std::mem::take(&mut claim.unneeded);
        self.abandoned
            .extend(pages.into_iter().map(|name| (shard, name)));
        match changed {
            Ok(()) => {
                self.tell(shard, told, &before);
                Ok(())
            }
            Err(error) => {
                match claim.is_unsure() {
                    true => drop(self.untold.insert(shard, told)),
                    false => self.abandon(shard, told),
                }
                Err(error)
            }
        }
    }

    /// Finds out what became of a change of which nobody knew.
    pub(super) fn settle(&mut self, shard: u32) -> Result<(), StoreError> {
        let Some(claim) = self.claims.get_mut(shard as usize) else {
            return Ok(());
        };
        let before = claim.manifest.rev;
        let snapshots = names(&claim.manifest.snapshots);
        claim.settle(&*self.shared.store.registers)?;
        let pages = std::mem::take(&mut claim.unneeded);
        self.abandoned
            .extend(pages.into_iter().map(|name| (shard, name)));
        let landed = claim.manifest.rev > before;
        match self.untold.remove(&shard) {
            Some(told) if landed => self.tell(shard, told, &snapshots),
            Some(told) => self.abandon(shard, told),
            None => {}
        }
        Ok(())
    }

    fn tell(&mut self, shard: u32, told: Told, snapshots_before: &[String]) {
        self.publish(shard, &told);
        let replaced = snapshots_before.iter().filter(|name| {
            let claim = self.claims.get(shard as usize);
            let kept = claim.map(|claim| &claim.manifest.snapshots);
            !kept.is_some_and(|kept| kept.iter().any(|kept| kept.name == **name))
        });
        for name in replaced {
            // Only a start reads snapshots.
            self.abandoned.push((shard, name.clone()));
        }
        self.delete_abandoned(shard);
    }

    /// Objects that no manifest names: they can go when the manifest was seen beyond the revision
    /// that would have named them, which is when it is next changed.
    pub(super) fn abandon_names(&mut self, shard: u32, names: impl Iterator<Item = String>) {
        self.abandoned.extend(names.map(|name| (shard, name)));
    }

    fn abandon(&mut self, shard: u32, told: Told) {
        let segments = told.segments.into_iter().map(|new| new.name);
        self.abandon_names(shard, segments.chain(told.snapshots));
    }

    /// Number for the name of an object.
    pub(super) fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }
}

fn names(snapshots: &[headwater_store::format::Kept<SnapshotRef>]) -> Vec<String> {
    snapshots.iter().map(|kept| kept.name.clone()).collect()
}

/// New snapshots take the place of the old; without any, the old ones hold for the new place too,
/// since nothing has changed.
fn move_snapshots(fields: &mut Fields, new: Vec<SnapshotRef>, inc: Incarnation, next_seq: u64) {
    if !new.is_empty() {
        fields.snapshots = new.into_iter().map(Into::into).collect();
    }
    for snapshot in &mut fields.snapshots {
        (snapshot.inc, snapshot.next_seq) = (inc.0.to_vec(), next_seq);
    }
}
