//! Opening the log: what is there is sealed, claimed, read back, and goes on in a new journal
//! (`cluster.md` 2.6, 2.7, 2.9).

mod reading;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use headwater_broker_core::groups::Groups;
use headwater_broker_core::journal::{Recovered, Settings};
use headwater_store::format::chunk::{Link, Reason, Tombstone, encode_tombstone};
use headwater_store::traits::{Registers, Slot};
use headwater_store::{Incarnation, Nonce, Scanned, Store, StoreError};
use tokio::sync::Semaphore;

use super::commit::Ring;
use super::devices::Devices;
use super::error::OpenError;
use super::groups::{Coordinator, Desk};
use super::ids::ProducerIds;
use super::live::Live;
use super::options::Options;
use super::outline::Outlines;
use super::random;
use super::registers::{self, Claim};
use super::shared::Shared;
use super::snapshot::Snapshots;
use super::table::Cell;
use super::worker::{End, Worker};
use super::writer::{Writer, put_frame};
use reading::Reading;

/// What doors share, and what the journal's and the coordinator's threads work with.
type Opened = (Arc<Shared>, Worker, Groups, Desk);

/// Opens the log in `store`.
pub(super) fn open(store: Store, options: Options) -> Result<Opened, OpenError> {
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
    let records = recovered.journal.group_records();
    let groups = Groups::load(options.groups, records, (options.clock)())
        .map_err(|error| OpenError::Inconsistent(error.to_string()))?;
    let journal = u32::try_from(journals.len() - 1).unwrap_or(u32::MAX);
    let writer = Writer::new(Arc::clone(&store.slots), inc, journal);
    let parts = Parts {
        store,
        options,
        cluster_id: cluster.id.0,
        journals,
    };
    let snapshots = Snapshots::new(claims, changed);
    let (shared, worker, desk) = assemble(parts, recovered, writer, snapshots);
    Ok((shared, worker, groups, desk))
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
) -> (Arc<Shared>, Worker, Desk) {
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
    let (coordinator, desk) = Coordinator::new();
    let shared = Arc::new(Shared {
        store,
        cluster_id,
        gate: Arc::default(),
        catalog: ArcSwap::new(Arc::clone(journal.catalog())),
        table: ArcSwap::new(Arc::new(table)),
        gone: Arc::new(Cell::gone()),
        ring: Arc::new(Ring::new(options.recent_bytes)),
        outlines: Outlines::new(OUTLINE_BYTES),
        incarnations: journals,
        inboxes: Mutex::default(),
        live: Live::default(),
        jobs: Mutex::default(),
        room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
        devices: Mutex::new(devices),
        coordinator,
        producer_ids: ProducerIds::default(),
        options,
    });
    let end = Arc::new(End::default());
    let worker = Worker::new(Arc::clone(&shared), journal, writer, snapshots, end);
    (shared, worker, desk)
}

/// Memory for what is known of the newest batches without reading them.
const OUTLINE_BYTES: usize = 16 << 20;

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
