//! State snapshot (`HWX1`): what a shard knew at a place in its log, so that opening it replays
//! only what came later.
//!
//! A stream of protobuf items, each behind its length: one head, then for each partition an item
//! of its own followed by its producers, lanes and records. `FORMAT.md` "Snapshot" has them.

mod items;

use headwater_broker_core::state::ShardState;

use super::FormatError;
use super::coding::Kind;
use super::envelope::Envelope;
use crate::ids::Incarnation;

/// First bytes of every snapshot.
pub const MAGIC: [u8; 4] = *b"HWX1";
/// Largest snapshot before compression, bytes.
pub const RAW_BYTES_MAX: usize = 256 << 20;

/// State and the place in the log that it reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The journal that it reaches into.
    pub inc: Incarnation,
    /// First slot that it does not cover. All earlier sources of the shard are covered.
    pub next_seq: u64,
    /// The shard's epoch when it was taken.
    pub epoch: u32,
    /// What was known.
    pub state: ShardState,
}

const ENVELOPE: Envelope = Envelope {
    magic: MAGIC,
    kind: Kind::Snapshot,
    what: "snapshot",
    raw_bytes_max: RAW_BYTES_MAX,
};

/// The bytes of the blob. Fails only above [`RAW_BYTES_MAX`].
pub fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, FormatError> {
    ENVELOPE.seal(&items::encode(snapshot))
}

/// Reads and checks what [`encode`] writes.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, FormatError> {
    items::decode(&ENVELOPE.open(bytes)?)
}

#[cfg(test)]
mod tests;
