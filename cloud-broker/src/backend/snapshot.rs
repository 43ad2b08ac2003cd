//! Snapshots of the state, so that a start need not replay the whole log, and the journal's end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use headwater_broker_core::Entry;
use headwater_broker_core::journal::Journal;
use headwater_broker_core::state::ShardState;
use headwater_store::format::manifest::SnapshotRef;
use headwater_store::format::snapshot::{self, Snapshot};
use headwater_store::traits::Slot;
use headwater_store::{Store, StoreError, names};

use super::registers::{self, Claim};
use super::shared::Shared;
use super::writer::Writer;

/// When snapshots are taken, and of what.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// By shard.
    claims: Arc<Mutex<Vec<Claim>>>,
    /// Shards that have changed since their last snapshot.
    changed: BTreeSet<u32>,
    chunks: u64,
    bytes_seen: u64,
    number: u32,
    running: Option<JoinHandle<()>>,
}

/// One round of snapshots.
struct Round {
    store: Store,
    claims: Arc<Mutex<Vec<Claim>>>,
    states: Vec<ShardState>,
    next: Slot,
    number: u32,
}

impl Snapshots {
    /// `changed`: shards that their snapshots do not cover to the end.
    pub(super) fn new(claims: Vec<Claim>, changed: BTreeSet<u32>) -> Self {
        Self {
            claims: Arc::new(Mutex::new(claims)),
            changed,
            chunks: 0,
            bytes_seen: 0,
            number: 0,
            running: None,
        }
    }

    /// A chunk with these entries was committed.
    pub(super) fn wrote(&mut self, entries: &[Entry]) {
        self.chunks += 1;
        let mut last = None;
        for entry in entries {
            if last.replace(entry.shard) != Some(entry.shard) {
                self.changed.insert(entry.shard);
            }
        }
    }

    /// Begins a round if enough was written since the last.
    pub(super) fn after_turn(&mut self, shared: &Shared, journal: &mut Journal, writer: &Writer) {
        let options = &shared.options;
        let due = writer.bytes() - self.bytes_seen >= options.snapshot_bytes
            || self.chunks >= options.snapshot_chunks;
        let idle = self.running.as_ref().is_none_or(JoinHandle::is_finished);
        if !due || !idle {
            return;
        }
        self.join();
        let round = self.round(shared, journal, writer);
        if !options.snapshot_thread {
            return round.run();
        }
        let thread = std::thread::Builder::new().name("headwater-snapshot".to_owned());
        match thread.spawn(move || round.run()) {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!("No thread for a snapshot: {error}"),
        }
    }

    /// Takes the last round.
    pub(super) fn finish(&mut self, shared: &Shared, journal: &mut Journal, writer: &Writer) {
        self.join();
        self.round(shared, journal, writer).run();
    }

    /// Ends the journal in order, so that the next start finds nothing to do.
    pub(super) fn seal(&self, shared: &Shared, writer: &mut Writer) -> Result<(), StoreError> {
        let inc = writer.next().inc;
        let end = writer.seal()?;
        registers::move_head(&*shared.store.registers, inc, Some(end))
    }

    fn round(&mut self, shared: &Shared, journal: &mut Journal, writer: &Writer) -> Round {
        journal.expire((shared.options.clock)());
        self.chunks = 0;
        self.bytes_seen = writer.bytes();
        self.number += 1;
        let changed = std::mem::take(&mut self.changed);
        Round {
            store: shared.store.clone(),
            claims: Arc::clone(&self.claims),
            states: changed
                .iter()
                .map(|shard| journal.snapshot(*shard))
                .collect(),
            next: writer.next(),
            number: self.number,
        }
    }

    fn join(&mut self) {
        if let Some(running) = self.running.take()
            && running.join().is_err()
        {
            tracing::error!("The snapshot thread has failed");
        }
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.join();
    }
}

impl Round {
    fn run(self) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        for state in self.states {
            let shard = state.shard;
            let Some(claim) = claims.get_mut(shard as usize) else {
                continue;
            };
            let done = write(&self.store, claim, state, self.next, self.number);
            if let Err(error) = done {
                // The log is complete without it; the next start only takes longer.
                tracing::warn!("No snapshot of shard {shard}: {error}");
            }
        }
    }
}

/// Writes the blob, then lets the manifest name it, then deletes what it named before.
fn write(
    store: &Store,
    claim: &mut Claim,
    state: ShardState,
    next: Slot,
    number: u32,
) -> Result<(), StoreError> {
    let (shard, epoch) = (state.shard, claim.manifest.epoch);
    let name = names::snapshot(shard, epoch, next.inc, number);
    let snapshot = Snapshot {
        inc: next.inc,
        next_seq: next.seq,
        epoch,
        state,
    };
    let bytes = snapshot::encode(&snapshot)
        .map_err(|error| StoreError::format("Cannot encode", &name, error))?;
    store.blobs.put_new(&name, &bytes)?;
    let reference = SnapshotRef {
        name,
        bytes: bytes.len() as u64,
        inc: next.inc.0.to_vec(),
        next_seq: next.seq,
    };
    let before: Vec<_> = claim
        .manifest
        .snapshots
        .iter()
        .map(|old| old.name.clone())
        .collect();
    claim.change(&*store.registers, |fields| {
        fields.snapshots = vec![reference.into()]
    })?;
    before.iter().try_for_each(|old| store.blobs.delete(old))
}
