//! Deleting what nothing needs any more, after the manifest that says so is durable.

use std::collections::{BTreeMap, BTreeSet};

use headwater_broker_core::segments::{is_orphan, low_water};
use headwater_store::{Incarnation, Store, StoreError};

use super::Compactor;
use crate::backend::registers::{self, Claim};

impl Compactor {
    /// Gives up the parts of journals that no shard needs: first the mark, then the slots.
    pub(super) fn give_up_journals(&mut self) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let low = low_water(&self.inc, self.ranges()).unwrap_or(0);
        if low > self.low {
            registers::raise_low(&*store.registers, self.inc, low)?;
            store.slots.delete_below(self.inc, low)?;
            self.low = low;
        }
        for inc in self.ended.keys() {
            let low = low_water(inc, self.ranges()).unwrap_or(0);
            let freed = self.freed.get(inc).copied().unwrap_or(0);
            if low > freed {
                // It is sealed: no manifest will ever name what lies before this again.
                store.slots.delete_below(*inc, low)?;
                self.freed.insert(*inc, low);
            }
        }
        let unneeded = |inc: &&Incarnation| low_water(*inc, self.ranges()).is_none();
        let unneeded: Vec<_> = self.ended.keys().filter(unneeded).copied().collect();
        for inc in unneeded {
            // Never the tombstone, which lies at the end.
            let end = self.ended.get(&inc).copied().unwrap_or(0);
            store.slots.delete_below(inc, end)?;
            self.ended.remove(&inc);
        }
        Ok(())
    }

    /// Deletes objects of which no manifest was ever told.
    pub(super) fn discard(&mut self, shard: u32, names: impl Iterator<Item = String>) {
        for name in names {
            if let Err(error) = self.shared.store.blobs.delete(&name) {
                tracing::debug!("An object that nobody needs stays: {error}");
                self.abandoned.push((shard, name));
            }
        }
    }

    /// Deletes objects that were written for nothing. The manifest has been changed, or read, since:
    /// one that it names after all stays.
    pub(super) fn delete_abandoned(&mut self, shard: u32) {
        let blobs = &self.shared.store.blobs;
        if let Some(claim) = self.claims.get(shard as usize) {
            let named = named(claim);
            self.abandoned
                .retain(|(of, name)| *of != shard || !named.contains(name));
        }
        self.abandoned.retain(|(of, name)| {
            if *of != shard {
                return true;
            }
            let deleted = blobs.delete(name);
            if let Err(error) = &deleted {
                tracing::debug!("An object that nobody needs stays: {error}");
            }
            deleted.is_err()
        });
    }

    fn ranges(&self) -> impl Iterator<Item = (Incarnation, u64)> + '_ {
        let sources = self.claims.iter().flat_map(|claim| &claim.manifest.sources);
        sources.map(|source| (source.inc(), source.from))
    }
}

/// Journals of earlier lives that may hold more than a tombstone, and where they end.
pub(in crate::backend) fn ended_journals(
    store: &Store,
    inc: Incarnation,
) -> Result<BTreeMap<Incarnation, u64>, StoreError> {
    let mut ended = BTreeMap::new();
    for found in store.slots.incarnations()? {
        if found == inc {
            continue;
        }
        if let Some(end) = registers::end_of(&*store.registers, found)? {
            ended.insert(found, end);
        }
    }
    Ok(ended)
}

/// Deletes objects that earlier lives wrote and no manifest names. The epoch in a name tells that
/// whoever made it can never name it any more; how old it is says nothing.
pub(in crate::backend) fn sweep_orphans(store: &Store, claims: &[Claim]) {
    for claim in claims {
        let manifest = &claim.manifest;
        let named = named(claim);
        let found = store.blobs.list(&format!("s/{:05x}/", manifest.shard));
        let orphans = found.unwrap_or_default();
        let orphans = orphans
            .iter()
            .filter(|name| !named.contains(name) && is_orphan(name, manifest.epoch));
        for name in orphans {
            if let Err(error) = store.blobs.delete(name) {
                tracing::warn!("An object that nobody needs stays: {error}");
            }
        }
    }
}

/// All objects that a manifest names.
fn named(claim: &Claim) -> BTreeSet<&String> {
    let manifest = &claim.manifest;
    let segments = manifest.segments.iter().map(|kept| &kept.name);
    let snapshots = manifest.snapshots.iter().map(|kept| &kept.name);
    let pages = manifest.pages.iter();
    let pages = pages.flat_map(|kept| [&kept.name, &kept.copy]);
    let deleted = manifest.pending_delete.iter();
    segments
        .chain(snapshots)
        .chain(pages)
        .chain(deleted)
        .collect()
}
