//! A shard between two chunks.

use headwater_broker_core::state::ShardState;
use headwater_store::traits::Slot;

/// All of a shard's journal before a slot.
#[derive(Debug)]
pub(in crate::backend) struct CutState {
    pub(super) shard: u32,
    /// The first slot that comes behind it, in our own journal.
    pub(super) next: Slot,
    /// That journal's place in the table of incarnations.
    pub(super) journal: u32,
    /// What is known at that place, if anything has changed since the last snapshot.
    pub(super) state: Option<ShardState>,
}
