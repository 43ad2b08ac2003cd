//! Reading the log back: snapshots, then the indexes of all journals, then what internal streams
//! hold (`cluster.md` 2.9).

use std::collections::{BTreeMap, BTreeSet};

use headwater_broker_core::Entry;
use headwater_broker_core::journal::Recovery;
use headwater_broker_core::tail_index::Place;
use headwater_store::format::snapshot::{self, Snapshot};
use headwater_store::traits::Slot;
use headwater_store::{Incarnation, Scanned, Store, StoreError};
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
    /// Shards of which something lies behind their snapshots.
    pub(super) changed: BTreeSet<u32>,
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
            changed: BTreeSet::new(),
        }
    }

    /// A snapshot that cannot be read is left out: the journals still hold everything.
    pub(super) fn load_snapshots(&mut self) -> Result<(), OpenError> {
        for (shard, claim) in self.claims.iter().enumerate() {
            let Some(reference) = claim.manifest.snapshots.last() else {
                continue;
            };
            let journal = self.journals.iter().position(|inc| *inc == reference.inc());
            let read = read_snapshot(self.store, &reference.name);
            match (journal, read) {
                (Some(journal), Ok(snapshot)) => {
                    self.covered[shard] = (journal, reference.next_seq);
                    self.recovery.load(snapshot.state);
                }
                (None, Ok(_)) => {
                    let name = &reference.name;
                    tracing::error!(
                        "{name} belongs to no journal, the log is read from its beginning"
                    );
                }
                (_, Err(error)) => {
                    tracing::error!("The log is read from its beginning: {error}");
                }
            }
        }
        Ok(())
    }

    pub(super) fn read_journals(&mut self) -> Result<(), OpenError> {
        for at in 0..self.journals.len() {
            let inc = self.journals[at];
            registers::move_head(&*self.store.registers, inc, None)?;
            let wanted = self.scan(at)?;
            for (entry, place) in wanted {
                self.read_internal(&entry, place)?;
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
        let end = slots.scan(inc, 0, &mut |scanned| {
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
        let covered = (at, place.seq) < self.covered[entry.shard as usize];
        if !covered {
            self.changed.insert(entry.shard);
        }
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
        let bytes = self
            .store
            .slots
            .get(slot, first..first + u64::from(place.len))?;
        let damaged = |error: batch::BatchError| {
            OpenError::Inconsistent(format!("Internal batch in {slot} cannot be read: {error}"))
        };
        let header = Header::parse_exact(&bytes).map_err(damaged)?;
        batch::check_crc(&bytes, &header).map_err(damaged)?;
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

/// One order of all journals, from the order that each shard knows. Only journals in which nothing
/// was ever written are unknown to some shards, so those may come in any order among themselves.
fn in_order(shards: impl Iterator<Item = impl Iterator<Item = Incarnation>>) -> Vec<Incarnation> {
    let mut journals: Vec<Incarnation> = Vec::new();
    for sources in shards {
        let mut next = 0;
        for inc in sources {
            next = 1 + match journals.iter().position(|known| *known == inc) {
                Some(at) => at,
                None => {
                    journals.insert(next, inc);
                    next
                }
            };
        }
    }
    journals
}

fn read_snapshot(store: &Store, name: &str) -> Result<Snapshot, StoreError> {
    let bytes = store.blobs.get(name, 0..u64::MAX)?;
    snapshot::decode(&bytes).map_err(|error| StoreError::format("Cannot read", name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_that_one_shard_forgot_keep_their_place() {
        let inc = |n: u8| Incarnation([n; 16]);
        let order = |shards: &[&[u8]]| {
            in_order(shards.iter().map(|sources| sources.iter().map(|n| inc(*n))))
        };
        assert_eq!(
            order(&[&[1, 3], &[1, 2, 3], &[1, 3, 4]]),
            [1, 2, 3, 4].map(inc)
        );
        assert_eq!(order(&[&[], &[1], &[2, 1]]), [2, 1].map(inc));
    }
}
