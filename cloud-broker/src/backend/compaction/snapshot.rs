//! Snapshots of a shard's state.

use headwater_broker_core::state::ShardState;
use headwater_store::format::manifest::SnapshotRef;
use headwater_store::format::snapshot::{self, Snapshot};
use headwater_store::traits::Slot;
use headwater_store::{StoreError, names};

use super::Compactor;

impl Compactor {
    /// Writes a snapshot of what has changed.
    pub(super) fn write_state(
        &mut self,
        state: Option<ShardState>,
        next: Slot,
    ) -> Result<Vec<SnapshotRef>, StoreError> {
        let Some(mut state) = state else {
            return Ok(Vec::new());
        };
        self.add_epochs(&mut state);
        self.write_snapshot(state, next)
    }

    /// Writes a snapshot, twice: once its journal is gone, nothing else tells what it says.
    pub(super) fn write_snapshot(
        &mut self,
        state: ShardState,
        next: Slot,
    ) -> Result<Vec<SnapshotRef>, StoreError> {
        let shard = state.shard;
        let claim = self.claims.get(shard as usize);
        let epoch = claim.map_or(0, |claim| claim.manifest.epoch);
        let snapshot = Snapshot {
            inc: next.inc,
            next_seq: next.seq,
            epoch,
            state,
        };
        let bytes = snapshot::encode(&snapshot).map_err(|error| {
            StoreError::format("Cannot encode the snapshot of shard", shard, error)
        })?;
        let mut references = Vec::new();
        for _ in 0..COPIES {
            let name = names::snapshot(shard, epoch, self.inc, self.next_number());
            if let Err(error) = self.shared.store.blobs.put_new(&name, &bytes) {
                let written = references.into_iter().map(|kept: SnapshotRef| kept.name);
                self.discard(shard, written.chain(std::iter::once(name)));
                return Err(error);
            }
            references.push(SnapshotRef {
                name,
                bytes: bytes.len() as u64,
                inc: next.inc.0.to_vec(),
                next_seq: next.seq,
            });
        }
        Ok(references)
    }

    /// Replaces a shard's snapshot; its journal stays.
    pub(in crate::backend) fn snapshot(
        &mut self,
        state: ShardState,
        next: Slot,
    ) -> Result<(), StoreError> {
        let shard = state.shard;
        self.prepare(shard)?;
        let new = self.write_state(Some(state), next)?;
        self.replace_snapshots(shard, new)
    }
}

/// Each snapshot lies there so many times.
const COPIES: usize = 2;
