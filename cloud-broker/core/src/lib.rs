//! What the broker decides: streams and their partitions, offsets, duplicates, lanes of agents,
//! topic filters, and the open chunk of the journal. No I/O, no clock, no randomness.
//!
//! One [`journal::Journal`] holds the state of all partitions that this process owns. Whatever
//! enters it is decided and placed in one order, lies in the open chunk until the shell says that
//! the chunk is durable ([`journal::Journal::commit`]), and is undone as a whole if it never will
//! be ([`journal::Journal::fail`]).

pub mod bloom;
pub mod catalog;
pub mod entry;
pub mod groups;
pub mod interest;
pub mod journal;
pub mod keyed;
pub mod lanes;
pub mod producers;
pub mod replay;
mod ring;
pub mod segments;
pub mod share;
pub mod state;
pub mod submit;
pub mod tail_index;
pub mod uuid;

pub use catalog::{Catalog, Stream, StreamSpec};
pub use entry::Entry;
pub use lanes::{LaneName, LaneOutcome, Refusal};
pub use submit::{Answer, PlainRecord};

/// A partition of this process: index into the partitions' table, dense, not stable over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

impl PartitionId {
    /// The place in a table that is indexed by partition.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Identity of a stream for as long as it lives (a UUID, never zero). A stream that is deleted and
/// made again under the same name has another.
pub type StreamId = [u8; 16];
