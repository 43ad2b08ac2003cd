//! The three traits that everything above stands on, and what they answer.
//!
//! There is no "already exists" above this line: a slot or register that is taken answers
//! [`Outcome::Mine`] or [`Outcome::Theirs`], decided by nonce or write id.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use headwater_broker_core::Entry;

use crate::error::StoreError;
use crate::format::chunk::{Header, Tombstone};
use crate::ids::{Incarnation, Nonce};

/// The three parts of one home of the log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// Large immutable objects.
    pub blobs: Arc<dyn Blobs>,
    /// Small values that change by compare-and-swap.
    pub registers: Arc<dyn Registers>,
    /// The journals.
    pub slots: Arc<dyn Slots>,
}

/// Immutable objects under names that are never used again (`names` makes them).
pub trait Blobs: Debug + Send + Sync {
    /// Stores `bytes`, durable when it returns. Fails with `Exists` if the name is taken.
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Begins an object that is too large for one piece. Nothing is visible under the name before
    /// [`BlobWriter::finish`], and nothing ever if the writer is dropped or the process ends.
    fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>, StoreError>;

    /// Length of the object in bytes. Fails with `NotFound`.
    fn len(&self, name: &str) -> Result<u64, StoreError>;

    /// The bytes of `range`, cut at the object's end. Fails with `NotFound`.
    fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// What reads gave is not what was written: the next ones ask the disk itself, if they can.
    fn forget(&self, name: &str) {
        let _ = name;
    }

    /// Removes the object; a missing one is no error.
    fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// Names that begin with `prefix`, sorted. For garbage sweeps and discovery only.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
}

/// An object that is being written. After an error only dropping it is of use.
pub trait BlobWriter: Debug + Send {
    /// Appends bytes; what is written is made durable in steps, so that no single sync is long.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Gives the object its name, durable when it returns. Fails with `Exists` if that is taken.
    fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// Linearizable small values.
///
/// Every value carries its own fresh `write_id` and a rising `rev` (the formats `head`,
/// `cluster`, `member` and `manifest` do), so no two writes are ever equal.
pub trait Registers: Debug + Send + Sync {
    /// Stores the first value, durable at `Mine`. `Theirs` tells what is there.
    fn create(&self, name: &str, value: &[u8]) -> Result<Outcome<Registered>, StoreError>;

    /// The value and its version, or none.
    fn read(&self, name: &str) -> Result<Option<Registered>, StoreError>;

    /// Replaces the value if its version is still `expected`, durable at `Mine`.
    /// `Theirs` tells what is there; fails with `NotFound` where nothing is.
    fn cas(
        &self,
        name: &str,
        expected: &Version,
        value: &[u8],
    ) -> Result<Outcome<Registered>, StoreError>;

    /// Names that begin with `prefix`, sorted. For discovery only.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
}

/// Journals: for each incarnation, slots 0, 1, 2, … that hold a chunk or a tombstone.
pub trait Slots: Debug + Send + Sync {
    /// Puts one frame (a chunk or tombstone, in pieces, as `format::chunk` encodes it) where
    /// nothing is, durable at `Mine`.
    ///
    /// The frame's own header must name `slot`, and continue the chain: `prev_nonce` is the
    /// nonce of the slot before, zero at the journal's start. On one machine the slot before
    /// must be there, else `Invalid`.
    ///
    /// An error means: not stored as far as this process goes. The slot stays free, for the
    /// same or for another frame, and whatever is left of this one is void from the next put
    /// on. (If the process dies first, a restart may still find it whole, as with every answer
    /// that was lost.) Only [`Outcome::Unknown`] binds the caller to the same bytes.
    fn put_absent(&self, slot: Slot, frame: &[&[u8]]) -> Result<Outcome<Header>, StoreError>;

    /// Bytes `range` of the frame in `slot` (its header at 0), cut at the frame's end. The
    /// bytes are as the disk gave them: check the batch CRC of what is cold. Fails with
    /// `NotFound` where nothing is, with `Damaged` where a frame cannot be read.
    fn get(&self, slot: Slot, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// As [`Blobs::forget`], for what [`Slots::get`] gives.
    fn forget(&self, slot: Slot) {
        let _ = slot;
    }

    /// Reads a journal in order from `from` to its end: headers and indexes, and the payload of
    /// the last frame alone, which is the only one that can be torn. Where it returns, all it
    /// told is durable. An unknown incarnation is an empty journal. `each` may call anything;
    /// an error of it ends the scan.
    fn scan(
        &self,
        inc: Incarnation,
        from: u64,
        each: &mut dyn FnMut(Scanned) -> Result<(), StoreError>,
    ) -> Result<ScanEnd, StoreError>;

    /// Every incarnation of which something is stored, in no meaningful order.
    fn incarnations(&self) -> Result<Vec<Incarnation>, StoreError>;

    /// Gives up slots below `seq`: their space may be used again, reading them is `NotFound`
    /// sooner or later. A journal's tombstone is never given up.
    fn delete_below(&self, inc: Incarnation, seq: u64) -> Result<(), StoreError>;
}

/// What a conditional write came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// Stored and durable: this value, by this write or by an earlier attempt at it.
    Mine,
    /// Something else is there.
    Theirs(T),
    /// Nobody knows yet; the write may land later. Ask again, with the same bytes only.
    Unknown,
}

/// A place in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Whose journal.
    pub inc: Incarnation,
    /// Which place in it, from 0.
    pub seq: u64,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{:016x}", self.inc, self.seq)
    }
}

/// A register's value and the version to give to [`Registers::cas`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The value as it was stored.
    pub value: Bytes,
    /// Which write it is.
    pub version: Version,
}

/// Which write of a register; only the store that made it reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub Box<[u8]>);

/// One finding of [`Slots::scan`], in the order of slots.
#[derive(Clone, Debug, PartialEq)]
pub enum Scanned {
    /// A chunk: its header and what its index says. The payload was not read.
    Chunk {
        /// Decoded and verified.
        header: Header,
        /// Entries as the index has them, sorted by shard, topic, partition, offset.
        entries: Vec<Entry>,
    },
    /// The journal's end, put there by its owner or a taker. Nothing comes after it.
    Tombstone {
        /// Decoded and verified.
        header: Header,
        /// Who ended it and why.
        tombstone: Tombstone,
    },
    /// Something that was stored cannot be read. What follows is kept.
    Damage(Damage),
}

/// Slots that were acknowledged, or may have been, and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// First slot lost.
    pub from: u64,
    /// First slot that is there again; equal to `from` if no slot is lost (a file's header
    /// alone), none if nobody can tell how many are (the end of the journal is cut off).
    pub to: Option<u64>,
    /// File and position in bytes.
    pub place: String,
    /// What is wrong there.
    pub what: &'static str,
}

/// Where a journal ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanEnd {
    /// The first slot that is kept: those below were given up.
    pub first: u64,
    /// The first slot with nothing in it: the next put or tombstone goes there.
    pub next: u64,
    /// Nonce of the slot before, which the next frame repeats as `prev_nonce`.
    pub nonce: Nonce,
    /// True if the journal ends with a tombstone.
    pub sealed: bool,
    /// Where a torn tail was cut: file and position. It was never acknowledged.
    pub torn: Option<String>,
}
