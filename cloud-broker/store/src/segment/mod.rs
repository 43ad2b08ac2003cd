//! Segments as objects: written in one pass, found and read in parts.
//!
//! ```text
//! SegmentWriter::create -> push(entry, batch) … -> finish -> Written { bytes, directory }
//! Segments::open(name) -> Segment -> read(partition, offset) / first_at(partition, timestamp)
//!                                 -> index(partition) -> blocks -> read_block
//! ```
//!
//! Nothing here knows manifests or decides what belongs into a segment. Calls block.

mod cache;
mod reader;
mod recover;
mod writer;

pub use cache::Segments;
pub use reader::{Found, Lost, Segment};
pub use writer::{SegmentWriter, Written};

pub use crate::format::segment::block::SegmentBatch;
pub use crate::format::segment::{Block, Directory, Epoch, Run, RunId, RunIndex};
