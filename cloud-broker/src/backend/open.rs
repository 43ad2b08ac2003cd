//! Opening the log: what is there is sealed, claimed, read back, and goes on in a new journal
//! (`cluster.md` 2.6, 2.7, 2.9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use headwater_broker_core::Entry;
use headwater_broker_core::journal::{Recovered, Recovery, Settings};
use headwater_broker_core::tail_index::Place;
use headwater_store::format::chunk::{Link, Reason, Tombstone, encode_tombstone};
use headwater_store::format::snapshot::{self, Snapshot};
use headwater_store::traits::{Registers, Slot};
use headwater_store::{Incarnation, Nonce, Scanned, Store, StoreError};
use headwater_wire::batch::{self, Header};
use tokio::sync::Semaphore;

use super::commit::Ring;
use super::devices::Devices;
use super::error::OpenError;
use super::ids::ProducerIds;
use super::options::Options;
use super::random;
use super::registers::{self, Claim};
use super::shared::Shared;
use super::snapshot::Snapshots;
use super::table::Cell;
use super::worker::{End, Worker};
use super::writer::{Writer, Written, put_frame};
use crate::validate::Validator;

/// Opens the log in `store`, and gives what doors share and what the journal's thread works with.
pub(super) fn open(store: Store, options: Options) -> Result<(Arc<Shared>, Worker), OpenError> {
    for spec in &options.streams {
        let error = |error| OpenError::Stream {
            name: spec.name.clone(),
            error,
        };
        spec.check().map_err(error)?;
    }
    let registers = &*store.registers;
    let cluster = registers::open_cluster(registers)?;
    let mut claims = Vec::new();
    for shard in 0..cluster.shards {
        claims.push(Claim::read(registers, shard)?);
    }
    let mut reading = Reading::new(&store, &claims);
    reading.load_snapshots()?;
    reading.read_journals()?;
    let Reading {
        recovery,
        mut journals,
        ends,
        changed,
        ..
    } = reading;
    for stray in registers::unsealed_journals(registers)? {
        end_journal(&store, stray)?;
    }
    let inc = Incarnation(random());
    journals.push(inc);
    claim_all(registers, &mut claims, inc, &ends)?;
    sweep_snapshots(&store, &claims);

    let declared = options
        .streams
        .iter()
        .map(|spec| spec.name.clone())
        .collect();
    let epochs = claims.iter().map(|claim| claim.manifest.epoch).collect();
    let settings = Settings {
        epochs,
        lanes_per_device: options.lanes_per_device,
    };
    let recovered = recovery
        .finish(declared, settings)
        .map_err(|error| OpenError::Inconsistent(error.to_string()))?;
    let journal = u32::try_from(journals.len() - 1).unwrap_or(u32::MAX);
    let writer = Writer::new(Arc::clone(&store.slots), inc, journal);
    let parts = Parts {
        store,
        options,
        cluster_id: cluster.id.0,
        journals,
    };
    Ok(assemble(
        parts,
        recovered,
        writer,
        Snapshots::new(claims, changed),
    ))
}

struct Parts {
    store: Store,
    options: Options,
    cluster_id: [u8; 16],
    journals: Vec<Incarnation>,
}

fn assemble(
    parts: Parts,
    recovered: Recovered,
    writer: Writer,
    snapshots: Snapshots,
) -> (Arc<Shared>, Worker) {
    let Parts {
        store,
        options,
        cluster_id,
        journals,
    } = parts;
    let Recovered {
        journal,
        indexes,
        lanes,
        statuses,
    } = recovered;
    let mut devices = Devices::default();
    devices.update(lanes, statuses);
    let cell = |(at, index)| {
        let id = headwater_broker_core::PartitionId(u32::try_from(at).unwrap_or(u32::MAX));
        Arc::new(Cell::new(index, journal.epoch(id)))
    };
    let table = indexes.into_iter().enumerate().map(cell).collect();
    let room = options.request_memory_bytes / 2;
    let shared = Arc::new(Shared {
        store,
        cluster_id,
        gate: Arc::default(),
        catalog: ArcSwap::new(Arc::clone(journal.catalog())),
        table: ArcSwap::new(Arc::new(table)),
        ring: Arc::new(Ring::new(options.recent_bytes)),
        incarnations: journals,
        inboxes: Mutex::default(),
        jobs: Mutex::default(),
        room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
        devices: Mutex::new(devices),
        producer_ids: ProducerIds::default(),
        options,
    });
    let end = Arc::new(End::default());
    let worker = Worker::new(Arc::clone(&shared), journal, writer, snapshots, end);
    (shared, worker)
}

/// The journals that make up the log, being read.
struct Reading<'a> {
    store: &'a Store,
    claims: &'a [Claim],
    /// In the order in which they were written.
    journals: Vec<Incarnation>,
    /// For each shard, how far its snapshot reaches: place in `journals`, and slot.
    covered: Vec<(usize, u64)>,
    recovery: Recovery,
    /// Where each journal ends.
    ends: BTreeMap<Incarnation, u64>,
    /// Shards of which something lies behind their snapshots.
    changed: BTreeSet<u32>,
}

impl<'a> Reading<'a> {
    fn new(store: &'a Store, claims: &'a [Claim]) -> Self {
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
    fn load_snapshots(&mut self) -> Result<(), OpenError> {
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

    fn read_journals(&mut self) -> Result<(), OpenError> {
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

/// Ends a journal of an earlier life. Gives the tombstone's slot.
fn put_tombstone(
    store: &Store,
    inc: Incarnation,
    seq: u64,
    prev_nonce: Nonce,
) -> Result<u64, StoreError> {
    let link = Link {
        inc,
        seq,
        nonce: Nonce(random()),
        prev_nonce,
        low_water: 0,
    };
    let note = "restarted".to_owned();
    let tombstone = Tombstone {
        sealer: inc,
        reason: Reason::Restart,
        note,
    };
    put_frame(
        &*store.slots,
        Slot { inc, seq },
        &[&encode_tombstone(&link, &tombstone)],
    )?;
    Ok(seq)
}

/// Ends a journal that no shard names: its owner died before it could write.
fn end_journal(store: &Store, inc: Incarnation) -> Result<(), StoreError> {
    let registers = &*store.registers;
    registers::move_head(registers, inc, None)?;
    let mut tombstone = None;
    let end = store.slots.scan(inc, 0, &mut |scanned| {
        if let Scanned::Tombstone { header, .. } = scanned {
            tombstone = Some(header.link.seq);
        }
        Ok(())
    })?;
    let end = match tombstone {
        Some(slot) => slot,
        None => put_tombstone(store, inc, end.next, end.nonce)?,
    };
    registers::move_head(registers, inc, Some(end))
}

/// Begins the new journal, then makes every shard ours, in order.
fn claim_all(
    registers: &dyn Registers,
    claims: &mut [Claim],
    inc: Incarnation,
    ends: &BTreeMap<Incarnation, u64>,
) -> Result<(), StoreError> {
    registers::create_head(registers, inc)?;
    claims
        .iter_mut()
        .try_for_each(|claim| claim.take(registers, inc, |of| ends.get(&of).copied()))
}

/// Deletes snapshots that a crash has left behind. They only take space.
fn sweep_snapshots(store: &Store, claims: &[Claim]) {
    for claim in claims {
        let named = |name: &str| {
            claim
                .manifest
                .snapshots
                .iter()
                .any(|kept| kept.name == name)
        };
        let found = store
            .blobs
            .list(&format!("s/{:05x}/x/", claim.manifest.shard));
        for name in found.unwrap_or_default().iter().filter(|name| !named(name)) {
            if let Err(error) = store.blobs.delete(name) {
                tracing::warn!("A snapshot that nobody needs stays: {error}");
            }
        }
    }
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
