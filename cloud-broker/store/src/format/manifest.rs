//! Manifest (`HWM1`): the register of a shard. It names the owner, the journal ranges that are its
//! log, its segments and its snapshots; one compare-and-swap changes them together.
//!
//! The messages are protobuf; `FORMAT.md` "Manifest" has their definition. Ids are bytes fields
//! of 16 bytes.

use prost::Message;

use super::FormatError;
use super::coding::Kind;
use super::envelope::Envelope;
use super::kept::{Kept, Known};
use crate::ids::{Incarnation, WriteId};

/// First bytes of every manifest.
pub const MAGIC: [u8; 4] = *b"HWM1";
/// Largest manifest before compression, bytes.
pub const RAW_BYTES_MAX: usize = 16 << 20;

/// A manifest as it is stored, with the fields of later versions.
pub type Manifest = Kept<Fields>;

/// The fields that this version knows.
#[derive(Clone, PartialEq, Message)]
pub struct Fields {
    /// Rises with every write, from 1.
    #[prost(uint64, tag = "1")]
    pub rev: u64,
    /// Which write this is: 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub write_id: Vec<u8>,
    /// Number of the shard.
    #[prost(uint32, tag = "3")]
    pub shard: u32,
    /// Rises with every change of owner.
    #[prost(uint32, tag = "4")]
    pub epoch: u32,
    /// The owner's incarnation: 16 bytes, or empty for none.
    #[prost(bytes = "vec", tag = "5")]
    pub owner: Vec<u8>,
    /// Who should claim it next: 16 bytes, or empty for anyone.
    #[prost(bytes = "vec", tag = "6")]
    pub wanted: Vec<u8>,
    /// The journal ranges that follow the segments, in order.
    #[prost(message, repeated, tag = "7")]
    pub sources: Vec<Kept<Source>>,
    /// Newest segments, in order: those that are in no page.
    #[prost(message, repeated, tag = "8")]
    pub segments: Vec<Kept<Segment>>,
    /// Pages of older segments, oldest first.
    #[prost(message, repeated, tag = "9")]
    pub pages: Vec<Kept<Page>>,
    /// State snapshots, oldest first.
    #[prost(message, repeated, tag = "10")]
    pub snapshots: Vec<Kept<SnapshotRef>>,
    /// Where each partition begins, if not at 0.
    #[prost(message, repeated, tag = "11")]
    pub log_starts: Vec<Kept<LogStart>>,
    /// Blobs to be deleted once the grace time is over.
    #[prost(string, repeated, tag = "12")]
    pub pending_delete: Vec<String>,
    /// Version of the program that wrote this.
    #[prost(string, tag = "13")]
    pub writer: String,
    /// How far partitions have been compacted by key.
    #[prost(message, repeated, tag = "14")]
    pub compacted: Vec<Kept<Compacted>>,
}

/// A range of a journal.
#[derive(Clone, PartialEq, Message)]
pub struct Source {
    /// Whose: 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub inc: Vec<u8>,
    /// First slot.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// First slot that no longer belongs to it; none while it is open.
    #[prost(uint64, optional, tag = "3")]
    pub to: Option<u64>,
}

/// A compacted run of batches.
#[derive(Clone, PartialEq, Message)]
pub struct Segment {
    /// Name of the blob.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its length.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
    /// What it holds; empty: see its directory.
    #[prost(message, repeated, tag = "3")]
    pub runs: Vec<Kept<Run>>,
    /// Largest record timestamp in this and all earlier segments, ms.
    #[prost(sint64, tag = "4")]
    pub max_timestamp_so_far: i64,
    /// Smallest arrival time, ms.
    #[prost(sint64, tag = "5")]
    pub arrival_ms_min: i64,
    /// Largest arrival time, ms.
    #[prost(sint64, tag = "6")]
    pub arrival_ms_max: i64,
    /// Bytes of batches in it that belong to no run any more: they were compacted by key.
    #[prost(uint64, tag = "7")]
    pub dead_bytes: u64,
}

/// One partition's part of a segment.
#[derive(Clone, PartialEq, Message)]
pub struct Run {
    /// Stream: 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub topic: Vec<u8>,
    /// Partition of the stream.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// First offset.
    #[prost(uint64, tag = "3")]
    pub from: u64,
    /// Offset after the last.
    #[prost(uint64, tag = "4")]
    pub to: u64,
    /// Bytes of its batches.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
    /// Largest timestamp of its records, ms.
    #[prost(sint64, tag = "6")]
    pub max_timestamp: i64,
    /// Arrival time of its newest batch, ms.
    #[prost(sint64, tag = "7")]
    pub arrival_ms: i64,
}

/// An immutable object that lists older segments.
#[derive(Clone, PartialEq, Message)]
pub struct Page {
    /// Name of the blob.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its length.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
    /// Segments that it lists.
    #[prost(uint32, tag = "3")]
    pub segments: u32,
    /// Name of a blob with the same bytes, or empty for none.
    #[prost(string, tag = "4")]
    pub copy: String,
}

/// A state snapshot, and how far into the sources it reaches.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotRef {
    /// Name of the blob.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its length.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
    /// The source that it reaches into: 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub inc: Vec<u8>,
    /// First slot of that source that it does not cover.
    #[prost(uint64, tag = "4")]
    pub next_seq: u64,
}

/// Where a partition begins.
#[derive(Clone, PartialEq, Message)]
pub struct LogStart {
    /// Stream: 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub topic: Vec<u8>,
    /// Partition of the stream.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// First offset that can be read.
    #[prost(uint64, tag = "3")]
    pub offset: u64,
}

/// How far a partition has been compacted by key.
#[derive(Clone, PartialEq, Message)]
pub struct Compacted {
    /// Stream: 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub topic: Vec<u8>,
    /// Partition of the stream.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// Bytes of the compacted part, when the last compaction left it.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Since when, oldest first.
    #[prost(message, repeated, tag = "4")]
    pub marks: Vec<Kept<Mark>>,
}

/// Offsets below one have been compacted since some time.
#[derive(Clone, PartialEq, Message)]
pub struct Mark {
    /// The offset.
    #[prost(uint64, tag = "1")]
    pub to: u64,
    /// Wall-clock time, ms.
    #[prost(sint64, tag = "2")]
    pub ms: i64,
}

const ENVELOPE: Envelope = Envelope {
    magic: MAGIC,
    kind: Kind::Manifest,
    what: "manifest",
    raw_bytes_max: RAW_BYTES_MAX,
};

/// The bytes of the register. Fails only above [`RAW_BYTES_MAX`].
pub fn encode(manifest: &Manifest) -> Result<Vec<u8>, FormatError> {
    ENVELOPE.seal(&manifest.encode_to_vec())
}

/// Reads and checks what [`encode`] writes: ids have 16 bytes, only the last source is open.
pub fn decode(bytes: &[u8]) -> Result<Manifest, FormatError> {
    let raw = ENVELOPE.open(bytes)?;
    let manifest =
        Manifest::decode(&raw[..]).map_err(|_| FormatError::Value { what: "manifest" })?;
    manifest.check()?;
    Ok(manifest)
}

impl Fields {
    /// The owner, if there is one.
    pub fn owner(&self) -> Option<Incarnation> {
        Incarnation::from_bytes(&self.owner)
    }

    /// Which write this is.
    pub fn write_id(&self) -> WriteId {
        self.write_id
            .as_slice()
            .try_into()
            .map(WriteId)
            .unwrap_or_default()
    }

    fn check(&self) -> Result<(), FormatError> {
        let id = |bytes: &[u8]| bytes.len() == 16;
        let id_or_none = |bytes: &[u8]| bytes.is_empty() || id(bytes);
        let topics = self
            .segments
            .iter()
            .flat_map(|segment| &segment.runs)
            .map(|run| &run.topic);
        let topics_fit = topics.chain(self.log_starts.iter().map(|start| &start.topic));
        let ids_fit = id(&self.write_id)
            && id_or_none(&self.owner)
            && id_or_none(&self.wanted)
            && self.snapshots.iter().all(|snapshot| id(&snapshot.inc))
            && { topics_fit }.all(|topic| id(topic));
        let closed = self.sources.len().saturating_sub(1);
        let sources_fit = self
            .sources
            .iter()
            .enumerate()
            .all(|(at, source)| match source.to {
                Some(to) => id(&source.inc) && to >= source.from,
                None => id(&source.inc) && at == closed,
            });
        match ids_fit && sources_fit {
            true => Ok(()),
            false => Err(FormatError::Value { what: "manifest" }),
        }
    }
}

impl Source {
    /// Whose range it is; zero if the field was never set.
    pub fn inc(&self) -> Incarnation {
        Incarnation::from_bytes(&self.inc).unwrap_or_default()
    }
}

impl SnapshotRef {
    /// The source that it reaches into; zero if the field was never set.
    pub fn inc(&self) -> Incarnation {
        Incarnation::from_bytes(&self.inc).unwrap_or_default()
    }
}

macro_rules! known {
    ($($message:ident: $($tag:literal)*;)*) => {$(
        impl Known for $message {
            const TAGS: &'static [u32] = &[$($tag),*];
        }
    )*};
}
known! {
    Fields: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
    Source: 1 2 3;
    Segment: 1 2 3 4 5 6 7;
    Run: 1 2 3 4 5 6 7;
    Page: 1 2 3 4;
    SnapshotRef: 1 2 3 4;
    LogStart: 1 2 3;
    Compacted: 1 2 3 4;
    Mark: 1 2;
}

#[cfg(test)]
mod tests;
