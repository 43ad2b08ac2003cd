//! Reading the log back: snapshots, then the indexes of all journals, then what internal streams
//! hold (`cluster.md` 2.9).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use headwater_broker_core::Entry;
use headwater_broker_core::catalog::{CATALOG, internal_streams};
use headwater_broker_core::journal::Recovery;
use headwater_broker_core::segments::{Object, Run, Runs};
use headwater_broker_core::tail_index::Place;
use headwater_store::format::manifest::Manifest;
use headwater_store::format::snapshot::{self, Snapshot};
use headwater_store::segment::RunId;
use headwater_store::traits::Slot;
use headwater_store::{ErrorKind, Incarnation, Scanned, Store, StoreError, insist};
use headwater_wire::batch::{self, Header};

use super::put_tombstone;
use crate::backend::error::OpenError;
use crate::backend::registers::{self, Claim};
use crate::backend::writer::Written;
use crate::validate::Validator;

/// The journals that make up the log, being read.
pub(super) struct Reading<'a> {
    store: &'a Store,
    claims: &'a [Claim],
    /// In the order in which they were written.
    pub(super) journals: Vec<Incarnation>,
    /// For each shard, how far its snapshot reaches: place in `journals`, and slot.
    covered: Vec<(usize, u64)>,
    pub(super) recovery: Recovery,
    /// Where each journal ends.
    pub(super) ends: BTreeMap<Incarnation, u64>,
    /// What each shard has in the journals: bytes and time of arrival of each batch.
    pub(super) found: Vec<Found>,
    /// Something that was written cannot be read.
    pub(super) damaged: bool,
}

/// What was found of one shard.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Length and time of arrival of each batch in the journals, ms.
    pub(super) batches: Vec<(u32, i64)>,
    /// Journals in which it has something.
    pub(super) journals: BTreeSet<Incarnation>,
    /// Something lies behind its snapshot.
    pub(super) changed: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(store: &'a Store, claims: &'a [Claim]) -> Self {
        let sources = claims.iter().map(|claim| &claim.manifest.sources);
        let journals = in_order(sources.map(|sources| sources.iter().map(|source| source.inc())));
        Self {
            store,
            claims,
            journals,
            covered: vec![(0, 0); claims.len()],
            recovery: Recovery::default(),
            ends: BTreeMap::new(),
            found: claims.iter().map(|_| Found::default()).collect(),
            damaged: false,
        }
    }

    /// A snapshot that cannot be read is left out if there is a copy, or if the journals still hold
    /// everything.
    ///
    /// # Errors
    /// [`OpenError::Inconsistent`]: nothing tells what it said. Then nothing is touched.
    pub(super) fn load_snapshots(&mut self) -> Result<(), OpenError> {
        for (shard, claim) in self.claims.iter().enumerate() {
            let mut missing = None;
            let mut copies = claim.manifest.snapshots.iter().rev();
            let read =
                copies.find_map(
                    |reference| match read_snapshot(self.store, &reference.name) {
                        Ok(snapshot) => Some((reference, snapshot)),
                        Err(error) => {
                            tracing::error!("A snapshot is damaged: {error}");
                            missing = Some(error);
                            None
                        }
                    },
                );
            if let Some((reference, snapshot)) = read {
                let journal = self.journals.iter().position(|inc| *inc == reference.inc());
                // One that reaches into no journal comes before them all.
                self.covered[shard] = journal.map_or((0, 0), |at| (at, reference.next_seq));
                let good = claim.manifest.snapshots.len() - usize::from(missing.is_some());
                let is_old = { snapshot.state.partitions.iter() }
                    .any(|partition| partition.next_offset > 0 && partition.epochs.is_empty());
                // The next one is written twice again, and says all that a snapshot can.
                self.found[shard].changed |= good < COPIES || is_old;
                self.recovery.load(snapshot.state);
            } else if let Some(error) = missing {
                if !is_whole(&claim.manifest) {
                    let message = format!("The state of shard {shard} is lost: {error}");
                    return Err(OpenError::Inconsistent(message));
                }
                tracing::error!("The log of shard {shard} is read from its beginning");
                self.found[shard].changed = true;
            }
        }
        Ok(())
    }

    /// Tells recovery what lies in segments; gives what readers find there.
    pub(super) fn load_segments(&mut self) -> BTreeMap<RunId, Runs> {
        let mut all = BTreeMap::new();
        for claim in self.claims {
            add_runs(&claim.manifest, &mut all);
        }
        for (id, runs) in &all {
            self.recovery
                .lies_in_segments(id.topic, id.partition, runs.end());
        }
        all
    }

    /// When the newest batch of all arrived, ms.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        let segments = self
            .claims
            .iter()
            .flat_map(|claim| &claim.manifest.segments);
        let moved = segments.map(|segment| segment.arrival_ms_max);
        let batches = self.found.iter().flat_map(|found| &found.batches);
        moved
            .chain(batches.map(|(_, arrival_ms)| *arrival_ms))
            .max()
    }

    pub(super) fn read_journals(&mut self) -> Result<(), OpenError> {
        for at in 0..self.journals.len() {
            let inc = self.journals[at];
            registers::move_head(&*self.store.registers, inc, None)?;
            let wanted = self.scan(at)?;
            for (entry, place) in wanted {
                match self.read_internal(&entry, place) {
                    Err(error) if is_damage(&error) && !names_streams(&entry) => {
                        tracing::error!("Records of an internal stream are lost: {error}");
                    }
                    read => read?,
                }
            }
            let end = self.ends.get(&inc).copied();
            registers::move_head(&*self.store.registers, inc, end)?;
        }
        Ok(())
    }

    /// Reads a journal's indexes and ends it if nobody has. Gives the internal batches whose
    /// records are wanted.
    fn scan(&mut self, at: usize) -> Result<Vec<(Entry, Place)>, OpenError> {
        let inc = self.journals[at];
        let journal = u32::try_from(at).unwrap_or(u32::MAX);
        let mut wanted = Vec::new();
        let mut tombstone = None;
        let slots = &*self.store.slots;
        let sources = self.claims.iter().flat_map(|claim| &claim.manifest.sources);
        let from = sources.filter(|source| source.inc() == inc);
        let from = from.map(|source| source.from).min().unwrap_or(0);
        let end = slots.scan(inc, from, &mut |scanned| {
            match scanned {
                Scanned::Chunk { header, entries } => {
                    let written = Written::found(journal, &header);
                    for entry in entries {
                        let place = written.place(entry.pos, entry.len);
                        if self.handle(at, &entry, place) {
                            wanted.push((entry, place));
                        }
                    }
                }
                Scanned::Tombstone { header, .. } => tombstone = Some(header.link.seq),
                Scanned::Damage(damage) => {
                    tracing::error!(
                        "Damage in {}: {}, slots {} to {:?} are lost",
                        damage.place,
                        damage.what,
                        damage.from,
                        damage.to
                    );
                    self.damaged = true;
                    if damage.to != Some(damage.from) {
                        let end = (at, damage.to.unwrap_or(u64::MAX));
                        let behind = |covered: &(usize, u64)| *covered < end;
                        let shards = self.covered.iter().map(behind).collect();
                        self.recovery.handle_damage(shards);
                    }
                }
            }
            Ok(())
        })?;
        if let Some(torn) = &end.torn {
            tracing::info!("A torn write was cut off at {torn}; it was never acknowledged");
        }
        let end = match tombstone {
            Some(slot) => slot,
            None => put_tombstone(self.store, inc, end.next, end.nonce)?,
        };
        self.ends.insert(inc, end);
        Ok(wanted)
    }

    fn handle(&mut self, at: usize, entry: &Entry, place: Place) -> bool {
        let Some(claim) = self.claims.get(entry.shard as usize) else {
            tracing::error!(
                "A batch belongs to shard {}, which is not there",
                entry.shard
            );
            return false;
        };
        let inc = self.journals[at];
        let is_ours = claim.manifest.sources.iter().any(|source| {
            let range = source.from..source.to.unwrap_or(u64::MAX);
            source.inc() == inc && range.contains(&place.seq)
        });
        if !is_ours {
            return false;
        }
        if (at, place.seq) < self.covered[0] {
            self.recovery.is_told(entry.topic);
        }
        let covered = (at, place.seq) < self.covered[entry.shard as usize];
        let found = &mut self.found[entry.shard as usize];
        found.batches.push((entry.len, entry.arrival_ms));
        found.journals.insert(inc);
        found.changed |= !covered;
        self.recovery
            .handle_entry(entry, place, covered)
            .unwrap_or_else(|error| {
                tracing::error!("{error}");
                false
            })
    }

    fn read_internal(&mut self, entry: &Entry, place: Place) -> Result<(), OpenError> {
        let slot = Slot {
            inc: self.journals[place.journal as usize],
            seq: place.seq,
        };
        let first = u64::from(place.pos);
        let damaged = |error: batch::BatchError| {
            StoreError::new(
                ErrorKind::Damaged,
                "Cannot read the internal batch in",
                slot,
            )
            .because(error)
        };
        let slots = &self.store.slots;
        let read = || {
            let bytes = slots.get(slot, first..first + u64::from(place.len))?;
            let header = Header::parse_exact(&bytes).map_err(damaged)?;
            batch::check_crc(&bytes, &header).map_err(damaged)?;
            Ok((header, bytes))
        };
        let (header, bytes) = insist(read, || slots.forget(slot))?;
        let mut validator = Validator::default();
        let records = validator.records(&header, &bytes).map_err(damaged)?;
        for record in batch::records(&header, records) {
            let record = record.map_err(damaged)?;
            let offset = entry.base_offset + i64::from(record.offset_delta);
            let key = record.key.unwrap_or_default();
            self.recovery
                .handle_record(entry, offset, record.timestamp, key, record.value);
        }
        Ok(())
    }
}

fn is_damage(error: &OpenError) -> bool {
    matches!(error, OpenError::Store(error) if error.kind == ErrorKind::Damaged)
}

/// Without what it says a stream would be taken for one that was deleted.
fn names_streams(entry: &Entry) -> bool {
    let mut internal = internal_streams().into_iter();
    internal.any(|(id, spec)| id == entry.topic && spec.name == CATALOG)
}

/// One order of all journals that agrees with the order that each shard knows. A shard knows only
/// the journals in which it has something.
fn in_order(shards: impl Iterator<Item = impl Iterator<Item = Incarnation>>) -> Vec<Incarnation> {
    let mut lists: Vec<VecDeque<Incarnation>> = shards.map(Iterator::collect).collect();
    let mut journals = Vec::new();
    loop {
        let behind = |inc: &Incarnation| {
            let mut tails = lists.iter().flat_map(|list| list.iter().skip(1));
            tails.any(|later| later == inc)
        };
        let fronts = || lists.iter().filter_map(|list| list.front());
        // Lists that contradict each other do not come from us; their journals are read all the same.
        let first = fronts()
            .find(|inc| !behind(inc))
            .or_else(|| fronts().next())
            .copied();
        let Some(first) = first else {
            return journals;
        };
        for list in &mut lists {
            list.retain(|inc| *inc != first);
        }
        journals.push(first);
    }
}

/// Whether the journals hold all that a shard ever had.
fn is_whole(manifest: &Manifest) -> bool {
    manifest.segments.is_empty() && manifest.pages.is_empty() && manifest.log_starts.is_empty()
}

/// Adds what a manifest says of its segments.
fn add_runs(manifest: &Manifest, all: &mut BTreeMap<RunId, Runs>) {
    let id = |topic: &[u8], partition| RunId {
        topic: topic.try_into().unwrap_or_default(),
        partition,
    };
    let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    for segment in &manifest.segments {
        let object = Arc::new(Object {
            name: segment.name.clone(),
            bytes: segment.bytes,
        });
        for run in &segment.runs {
            let runs = all.entry(id(&run.topic, run.partition)).or_default();
            let (from, end) = (offset(run.from), offset(run.to));
            if from < runs.end() {
                tracing::error!("{} overlaps the segment before it", segment.name);
                continue;
            }
            runs.push(Run {
                segment: Arc::clone(&object),
                from,
                end,
                bytes: run.bytes,
                max_timestamp: run.max_timestamp,
                arrival_ms: run.arrival_ms,
            });
        }
    }
    for start in &manifest.log_starts {
        let runs = all.entry(id(&start.topic, start.partition)).or_default();
        runs.raise_start(offset(start.offset));
    }
}

/// Good copies of a snapshot that a shard should have.
const COPIES: usize = 2;

fn read_snapshot(store: &Store, name: &str) -> Result<Snapshot, StoreError> {
    let read = || {
        let bytes = store.blobs.get(name, 0..u64::MAX)?;
        snapshot::decode(&bytes).map_err(|error| StoreError::format("Cannot read", name, error))
    };
    insist(read, || store.blobs.forget(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_that_a_shard_forgot_keep_their_place() {
        let inc = |n: u8| Incarnation([n; 16]);
        let order = |shards: &[&[u8]]| {
            in_order(shards.iter().map(|sources| sources.iter().map(|n| inc(*n))))
        };
        assert_eq!(
            order(&[&[1, 3], &[1, 2, 3], &[1, 3, 4]]),
            [1, 2, 3, 4].map(inc)
        );
        assert_eq!(order(&[&[], &[1], &[2, 1]]), [2, 1].map(inc));
        assert_eq!(
            order(&[&[1, 3], &[2, 3], &[1, 2], &[3, 4]]),
            [1, 2, 3, 4].map(inc)
        );
        assert_eq!(order(&[&[1, 2], &[2, 1]]), [1, 2].map(inc), "it ends");
    }
}
