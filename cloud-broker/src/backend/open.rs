//! Opening the log: what is there is sealed, claimed, read back, and goes on in a new journal
//! (`cluster.md` 2.6, 2.7, 2.9).

mod reading;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use headwater_broker_core::groups::Groups;
use headwater_broker_core::journal::{Journal, Recovered, Settings};
use headwater_broker_core::segments::{Backlogs, Runs};
use headwater_store::format::chunk::{Link, Reason, Tombstone, encode_tombstone};
use headwater_store::format::manifest::Source;
use headwater_store::segment::{RunId, Segments};
use headwater_store::traits::Slot;
use headwater_store::{Incarnation, Nonce, Scanned, Store, StoreError};
use headwater_wire::time::Millis;
use tokio::sync::Semaphore;

use super::clock::GuardedClock;
use super::commit::Ring;
use super::compaction::{Compaction, Compactor, ended_journals, sweep_orphans};
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
use super::table::Cell;
use super::worker::Worker;
use super::writer::{Writer, put_frame};
use reading::{Found, Reading};

/// What doors share, and what the journal's and the coordinator's threads work with.
type Opened = (Arc<Shared>, Worker, Groups, Desk);

/// Opens the log in `store`.
pub(super) fn open(store: Store, options: Options) -> Result<Opened, OpenError> {
    check_streams(&options)?;
    let registers = &*store.registers;
    let cluster = registers::open_cluster(&store)?;
    let mut claims = Vec::new();
    for shard in 0..cluster.shards {
        claims.push(Claim::read(&store, shard)?);
    }
    let mut reading = Reading::new(&store, &claims);
    reading.load_snapshots()?;
    let runs = reading.load_segments();
    reading.read_journals()?;
    let clock = GuardedClock::open(registers, &options, reading.newest_ms())?;
    let Reading {
        recovery,
        mut journals,
        ends,
        found,
        damaged,
        ..
    } = reading;
    for stray in registers::unsealed_journals(registers)? {
        end_journal(&store, stray)?;
    }
    let inc = Incarnation(random());
    journals.push(inc);
    // What was lost to damage is noted with the next snapshot, and seen again until then.
    let needed = |shard: u32, of: Incarnation| {
        damaged || { found.get(shard as usize) }.is_some_and(|found| found.journals.contains(&of))
    };
    claim_all(&store, &mut claims, inc, &ends, needed)?;
    sweep_orphans(&store, &claims);
    let ended = ended_journals(&store, inc)?;

    let names = options.streams.iter().map(|spec| spec.name.clone());
    let declared = names.collect();
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
        clock,
        journals,
        runs,
    };
    let (shared, journal, desk) = assemble(parts, recovered);
    let backlogs = backlogs(&shared.options, &found, damaged);
    let changed = found.iter().map(|found| found.changed || damaged).collect();
    let compactor = Compactor::new(Arc::clone(&shared), claims, inc, ended, damaged);
    let compaction = Compaction::new(Arc::clone(&shared), compactor, backlogs, changed);
    let worker = Worker::new(
        Arc::clone(&shared),
        journal,
        writer,
        compaction,
        Arc::default(),
    );
    Ok((shared, worker, groups, desk))
}

fn check_streams(options: &Options) -> Result<(), OpenError> {
    for spec in &options.streams {
        let error = |error| OpenError::Stream {
            name: spec.name.clone(),
            error,
        };
        spec.check().map_err(error)?;
    }
    Ok(())
}

/// What lies in the journals and in no segment, as old as it is.
fn backlogs(options: &Options, found: &[Found], damaged: bool) -> Backlogs {
    let mut backlogs = Backlogs::new(found.len());
    let (now, wall) = ((options.monotonic)(), (options.clock)());
    for (shard, found) in (0..).zip(found) {
        if damaged {
            // Its journals were not given up, though it may have nothing there.
            backlogs.wrote(shard, 0, now);
        }
        for (bytes, arrival_ms) in &found.batches {
            let age = wall.0.saturating_sub(*arrival_ms).max(0);
            let since = Millis(now.0.saturating_sub(age));
            backlogs.wrote(shard, u64::from(*bytes), since);
        }
    }
    backlogs
}

struct Parts {
    store: Store,
    options: Options,
    cluster_id: [u8; 16],
    clock: GuardedClock,
    journals: Vec<Incarnation>,
    runs: BTreeMap<RunId, Runs>,
}

fn assemble(parts: Parts, recovered: Recovered) -> (Arc<Shared>, Journal, Desk) {
    let Parts {
        store,
        options,
        cluster_id,
        clock,
        journals,
        mut runs,
    } = parts;
    let Recovered {
        journal,
        indexes,
        lanes,
        statuses,
        adopted,
    } = recovered;
    for name in adopted {
        tracing::error!(
            "The declaration of a stream is lost to damage, or it was deleted: what it holds is in {name}"
        );
    }
    let mut devices = Devices::default();
    devices.update(lanes, statuses);
    let mut cell = |(at, index)| {
        let id = headwater_broker_core::PartitionId(u32::try_from(at).unwrap_or(u32::MAX));
        let owner = journal.catalog().owner(id);
        let runs = owner.and_then(|(topic, partition)| runs.remove(&RunId { topic, partition }));
        Arc::new(Cell::new(
            runs.unwrap_or_default(),
            index,
            journal.epoch(id),
        ))
    };
    let table = indexes.into_iter().enumerate().map(&mut cell).collect();
    let room = options.request_memory_bytes / 2;
    let (coordinator, desk) = Coordinator::new();
    let segments = Segments::new(Arc::clone(&store.blobs), options.index_memory_bytes);
    let shared = Arc::new(Shared {
        store,
        segments,
        cluster_id,
        clock,
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
    (shared, journal, desk)
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

/// Begins the new journal, then makes every shard ours, in order. Journals in which a shard needs
/// nothing are given up for it.
fn claim_all(
    store: &Store,
    claims: &mut [Claim],
    inc: Incarnation,
    ends: &BTreeMap<Incarnation, u64>,
    needed: impl Fn(u32, Incarnation) -> bool,
) -> Result<(), StoreError> {
    registers::create_head(&*store.registers, inc)?;
    for (shard, claim) in (0..).zip(claims) {
        let needed = |source: &Source| needed(shard, source.inc());
        claim.take(store, inc, |of| ends.get(&of).copied(), needed)?;
    }
    Ok(())
}
