//! Retention: what is old leaves with the next manifest, and the disk some time later.

use std::collections::{BTreeMap, BTreeSet};

use headwater_broker_core::catalog::Cleanup;
use headwater_broker_core::segments::Retention;
use headwater_store::StoreError;
use headwater_store::format::manifest::{Fields, LogStart};
use headwater_store::segment::RunId;
use headwater_wire::time::Millis;

use super::Compactor;
use super::publish::run_id;

impl Compactor {
    /// Raises the start of partitions that have something too old, and deletes what has waited
    /// long enough.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        let options = &self.shared.options;
        let (wall, monotonic) = ((options.clock)(), (options.monotonic)());
        let registers = &*self.shared.store.registers;
        self.is_clock_right = self.shared.clock.look(registers, wall, monotonic);
        let mut done = Ok(());
        for shard in 0..u32::try_from(self.claims.len()).unwrap_or(u32::MAX) {
            if self.is_stopping() {
                return Ok(());
            }
            // What is wrong with one shard is no reason to keep what another need not.
            if let Err(error) = self.tidy_and_merge(shard) {
                done = Err(error);
            }
        }
        let given_up = self.give_up_journals();
        done.and(given_up)
    }

    fn tidy_and_merge(&mut self, shard: u32) -> Result<(), StoreError> {
        self.prepare(shard)?;
        self.tidy_shard(shard)?;
        if self.shared.gate.trouble().is_some() {
            return Ok(());
        }
        self.compact_keys_or_warn(shard);
        // It may have failed with nobody knowing whether the manifest was changed.
        self.prepare(shard)?;
        self.merge(shard)
    }

    fn tidy_shard(&mut self, shard: u32) -> Result<(), StoreError> {
        let now = (self.shared.options.monotonic)();
        let deleted = self.delete_due(shard, now);
        let Some(claim) = self.claims.get(shard as usize) else {
            return Ok(());
        };
        let starts = self.wanted_starts(shard);
        let fields = &claim.manifest;
        let raised = { starts.iter() }.any(|(id, start)| *start > start_in(fields, *id));
        let dropped = dropped(fields, &starts, self.doubtful);
        if raised || !dropped.is_empty() || !deleted.is_empty() {
            let doubtful = self.doubtful;
            self.change(shard, |fields| {
                fields.pending_delete.retain(|name| !deleted.contains(name));
                fields.pending_delete.extend(dropped.iter().cloned());
                fields.segments.retain(|kept| !dropped.contains(&kept.name));
                fields.log_starts = log_starts(fields, &starts, doubtful);
            })?;
        }
        self.show_starts(shard, now);
        Ok(())
    }

    /// Readers see where partitions begin now, and from now on objects wait for their deletion.
    fn show_starts(&mut self, shard: u32, now: Millis) {
        let Some(claim) = self.claims.get(shard as usize) else {
            return;
        };
        let fields = &claim.manifest;
        let starts: BTreeMap<_, _> = { fields.log_starts.iter() }
            .map(|kept| (id_of(kept), i64::try_from(kept.offset).unwrap_or(i64::MAX)))
            .collect();
        if let Some(pending) = self.pending.get_mut(shard as usize) {
            pending.listed(&fields.pending_delete, now);
        }
        if starts.is_empty() {
            return;
        }
        for (_, id, cell) in self.cells(shard) {
            if let Some(start) = starts.get(&id) {
                cell.raise_start(*start);
            }
        }
    }

    /// Deletes objects whose time of grace is over, and gives their names.
    fn delete_due(&self, shard: u32, now: Millis) -> BTreeSet<String> {
        let Some(pending) = self.pending.get(shard as usize) else {
            return BTreeSet::new();
        };
        let blobs = &self.shared.store.blobs;
        let due = pending.due(now).filter(|name| match blobs.delete(name) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("{name} stays for now: {error}");
                false
            }
        });
        due.cloned().collect()
    }

    /// Where each living partition of a shard should begin.
    fn wanted_starts(&self, shard: u32) -> BTreeMap<RunId, i64> {
        let now = self.shared.now();
        let catalog = self.shared.catalog.load();
        let mut starts = BTreeMap::new();
        for (_, id, cell) in self.cells(shard) {
            let Some(stream) = catalog.by_id(&id.topic) else {
                continue;
            };
            let spec = &stream.spec;
            let is_deleted = spec.cleanup != Cleanup::Compact;
            let kept_bytes = match stream.internal {
                true => Some(INTERNAL_BYTES),
                false => spec.retention_bytes.filter(|_| is_deleted),
            };
            let may_age = is_deleted && self.is_clock_right;
            let retention = Retention {
                ms: spec.retention_ms.filter(|_| may_age),
                bytes: kept_bytes,
            };
            starts.insert(id, cell.wanted_start(&retention, now));
        }
        starts
    }
}

/// Segments of which nothing is left: every partition in them begins behind them, or is gone.
fn dropped(fields: &Fields, starts: &BTreeMap<RunId, i64>, doubtful: bool) -> BTreeSet<String> {
    let is_gone = |run: &headwater_store::format::manifest::Run| {
        let topic = run.topic.as_slice().try_into().unwrap_or_default();
        match starts.get(&run_id(topic, run.partition)) {
            Some(start) => run.to <= start.unsigned_abs(),
            None => !doubtful,
        }
    };
    let gone = fields
        .segments
        .iter()
        .filter(|kept| !kept.runs.is_empty() && kept.runs.iter().all(|run| is_gone(run)));
    gone.map(|kept| kept.name.clone()).collect()
}

/// The partitions that do not begin at 0.
fn log_starts(
    fields: &Fields,
    starts: &BTreeMap<RunId, i64>,
    doubtful: bool,
) -> Vec<headwater_store::format::Kept<LogStart>> {
    let mut kept: Vec<_> = { fields.log_starts.iter() }
        .filter(|kept| doubtful && !starts.contains_key(&id_of(kept)))
        .cloned()
        .collect();
    for (id, start) in starts.iter().filter(|(_, start)| **start > 0) {
        let start = LogStart {
            topic: id.topic.to_vec(),
            partition: id.partition,
            offset: start.unsigned_abs(),
        };
        kept.push(start.into());
    }
    kept
}

fn start_in(fields: &Fields, id: RunId) -> i64 {
    let known = fields.log_starts.iter().find(|kept| id_of(kept) == id);
    known.map_or(0, |kept| i64::try_from(kept.offset).unwrap_or(i64::MAX))
}

fn id_of(start: &LogStart) -> RunId {
    let topic = start.topic.as_slice().try_into().unwrap_or_default();
    run_id(topic, start.partition)
}

/// What a partition of an internal stream keeps of its history in segments, where it would keep
/// other partitions' bytes on the disk: the newest record of each key lies in the snapshot that the
/// same manifest names, and nothing else is read at a start.
const INTERNAL_BYTES: u64 = 0;
