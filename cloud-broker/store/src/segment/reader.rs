//! Reads a segment in parts.

use std::sync::Arc;

use bytes::Bytes;
use headwater_wire::crc;

use super::cache::{IndexFound, Segments};
use super::recover;
use crate::error::{ErrorKind, READS_MAX, StoreError, insist};
use crate::format::FormatError;
use crate::format::segment::block::{self, SegmentBatch};
use crate::format::segment::{Block, Directory, FOOTER_BYTES, Footer, Run, RunId, RunIndex};
use crate::traits::Blobs;

/// Bytes at the object's end that opening reads.
const END_BYTES: u64 = 64 << 10;

/// An opened segment. Cheap to clone. [`Segments::open`] makes it.
#[derive(Clone, Debug)]
pub struct Segment {
    segments: Arc<Segments>,
    name: Arc<str>,
    bytes: u64,
    opened: Arc<Directories>,
}

/// What reading a range of offsets gave, in order of offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whole batches, verified; slices of the bytes that were read.
    pub batches: Vec<SegmentBatch>,
    /// What lay among them and is damaged. Readers go on behind it.
    pub lost: Vec<Lost>,
}

/// Offsets that are damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// First offset.
    pub from: i64,
    /// Offset behind the last.
    pub to: i64,
    /// Object and position of the block in bytes.
    pub place: String,
}

impl Segment {
    pub(super) fn new(
        segments: Arc<Segments>,
        name: Arc<str>,
        bytes: u64,
        opened: Arc<Directories>,
    ) -> Self {
        Self {
            segments,
            name,
            bytes,
            opened,
        }
    }

    /// Name of the object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the object.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it holds of each partition.
    pub fn directory(&self) -> &Directory {
        &self.opened.directory
    }

    /// What it holds of one partition.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        let at = self.directory().find(id)?;
        self.directory().runs.get(at)
    }

    /// Whether footer, directory or index was damaged, and the blocks were found without them:
    /// then blocks may be missing, and [`Segment::read`] counts gaps between them as lost.
    pub fn is_repaired(&self) -> bool {
        self.opened.indexes.is_some()
    }

    /// The blocks of one partition with their topic filters; none if there is no such partition.
    ///
    /// # Errors
    /// As [`Segments::open`].
    pub fn index(&self, id: RunId) -> Result<Option<Arc<RunIndex>>, StoreError> {
        Ok(self.look(id)?.map(|(_, index)| index))
    }

    /// Whole batches from the one that holds `offset`, or else the next, on: at least one if any
    /// can be read, then as long as all together are at most `bytes_max`. Blocks that follow one
    /// another are one read. Where all in reach is damaged there are no batches, and the last
    /// [`Lost`] says where to go on; nothing at all is the end of the partition here.
    ///
    /// # Errors
    /// As [`Segments::open`]; damage is no error.
    pub fn read(&self, id: RunId, offset: i64, bytes_max: usize) -> Result<Found, StoreError> {
        let Some((segment, index)) = self.look(id)? else {
            return Ok(Found::default());
        };
        let mut found = Found::default();
        let blocks = together(index.from_offset(offset), bytes_max);
        segment.read_blocks(id, blocks, &mut found)?;
        found.lost.retain(|lost| lost.to > offset);
        found.batches.retain(|batch| batch.end_offset() > offset);
        if segment.is_repaired() {
            let from = offset.max(segment.run(id).map_or(offset, |run| run.from));
            found.lose_gaps(from, &segment.name);
        }
        found.cut(bytes_max);
        Ok(found)
    }

    /// Everything of one block of [`Segment::index`].
    ///
    /// # Errors
    /// As [`Segments::open`]; damage is no error.
    pub fn read_block(&self, id: RunId, block: &Block) -> Result<Found, StoreError> {
        let mut found = Found::default();
        self.read_blocks(id, std::slice::from_ref(block), &mut found)?;
        Ok(found)
    }

    /// The batch that holds the first record with at least this timestamp, ms. Reads one block,
    /// or more where it is damaged.
    ///
    /// # Errors
    /// As [`Segments::open`]; damage is no error.
    pub fn first_at(&self, id: RunId, timestamp: i64) -> Result<Option<SegmentBatch>, StoreError> {
        let Some((segment, index)) = self.look(id)? else {
            return Ok(None);
        };
        for block in index.from_time(timestamp) {
            let mut found = segment.read_block(id, block)?.batches.into_iter();
            let first = found.find(|batch| batch.header.max_timestamp >= timestamp);
            if first.is_some() {
                return Ok(first);
            }
        }
        Ok(None)
    }

    pub(super) fn opened(&self) -> &Directories {
        &self.opened
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// The partition's index, with the segment that it belongs to: another than this one if the
    /// index was damaged.
    fn look(&self, id: RunId) -> Result<Option<(Self, Arc<RunIndex>)>, StoreError> {
        let mut segment = self.clone();
        // A repaired segment has its indexes, so this ends.
        loop {
            let Some(at) = segment.directory().find(id) else {
                return Ok(None);
            };
            match self.segments.index(&segment, at)? {
                IndexFound::Index(index) => return Ok(Some((segment, index))),
                IndexFound::Repaired(opened) => segment.opened = opened,
            }
        }
    }

    /// Reads blocks that lie end to end.
    fn read_blocks(
        &self,
        id: RunId,
        blocks: &[Block],
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let ([first, ..], [.., last]) = (blocks, blocks) else {
            return Ok(());
        };
        let Some(run) = self.run(id) else {
            return Ok(());
        };
        let blobs = self.segments.blobs();
        // What the disk cannot give at once it may give in part.
        let get = |range| match blobs.get(&self.name, range) {
            Err(error) if error.kind == ErrorKind::Damaged => Ok(Bytes::new()),
            got => got,
        };
        let mut rest = get(first.pos..last.end())?;
        for block in blocks {
            let bytes = rest.split_to((block.len as usize).min(rest.len()));
            let mut opened = block::open(&bytes, run, block);
            for _ in 1..READS_MAX {
                if opened.lost.is_empty() {
                    break;
                }
                blobs.forget(&self.name);
                let bytes = get(block.pos..block.end())?;
                let again = block::open(&bytes, run, block);
                if again.batches.len() > opened.batches.len() {
                    opened = again;
                }
            }
            found.batches.extend(opened.batches);
            found
                .lost
                .extend(opened.lost.into_iter().map(|offsets| Lost {
                    from: offsets.start,
                    to: offsets.end,
                    place: format!("{}:{}", self.name, block.pos),
                }));
        }
        Ok(())
    }
}

impl Found {
    /// Ends before the batch that passes `bytes_max`, but not before the first.
    fn cut(&mut self, bytes_max: usize) {
        let mut bytes = 0_usize;
        let fits = |batch: &SegmentBatch| {
            bytes = bytes.saturating_add(batch.bytes.len());
            bytes <= bytes_max
        };
        let count = self
            .batches
            .iter()
            .map(fits)
            .take_while(|fits| *fits)
            .count();
        let count = count.max(1);
        if let Some(next) = self.batches.get(count) {
            let end = next.base_offset();
            self.lost.retain(|lost| lost.from < end);
        }
        self.batches.truncate(count);
    }

    /// Offsets between batches, from `from` on, that are in no range yet.
    fn lose_gaps(&mut self, from: i64, name: &str) {
        let there = self
            .batches
            .iter()
            .map(|batch| (batch.base_offset(), batch.end_offset()));
        let mut ranges: Vec<_> = there
            .chain(self.lost.iter().map(|lost| (lost.from, lost.to)))
            .collect();
        ranges.sort_unstable();
        let mut next = from;
        for (begin, end) in ranges {
            if begin > next {
                self.lost.push(Lost {
                    from: next,
                    to: begin,
                    place: name.to_owned(),
                });
            }
            next = next.max(end);
        }
        self.lost.sort_by_key(|lost| lost.from);
    }
}

/// What opening a segment tells.
#[derive(Debug)]
pub(super) struct Directories {
    pub(super) directory: Directory,
    pub(super) footer: Footer,
    /// Those that were found by reading the whole object.
    pub(super) indexes: Option<Vec<Arc<RunIndex>>>,
}

impl Directories {
    pub(super) fn index(&self, run: usize) -> Option<Arc<RunIndex>> {
        self.indexes.as_ref()?.get(run).cloned()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let epochs = |run: &Run| run.epochs.capacity() * size_of::<super::Epoch>();
        let runs = &self.directory.runs;
        let indexes = self.indexes.iter().flatten();
        runs.capacity() * size_of::<Run>()
            + runs.iter().map(epochs).sum::<usize>()
            + indexes.map(|index| index.memory_bytes()).sum::<usize>()
    }
}

/// Reads footer and directory; what is damaged is recovered from the blocks.
pub(super) fn open(blobs: &dyn Blobs, name: &str, bytes: u64) -> Result<Directories, StoreError> {
    let end_pos = bytes.saturating_sub(END_BYTES);
    let read = || {
        let end = blobs.get(name, end_pos..bytes)?;
        read_directory(blobs, name, bytes, &end)
    };
    match insist(read, || blobs.forget(name)) {
        Ok((footer, directory)) => Ok(Directories {
            directory,
            footer,
            indexes: None,
        }),
        Err(error) if error.kind == ErrorKind::Damaged => recover::open(blobs, name, bytes),
        Err(error) => Err(error),
    }
}

/// Reads one index; `Damaged` if it is.
pub(super) fn load_index(
    blobs: &dyn Blobs,
    segment: &Segment,
    run: usize,
) -> Result<RunIndex, StoreError> {
    let opened = segment.opened();
    let Some(run) = opened.directory.runs.get(run) else {
        let what = "Cannot find the partition in";
        return Err(StoreError::new(ErrorKind::NotFound, what, segment.name()));
    };
    let end = run.index_pos.saturating_add(run.index_len.into());
    let read = || {
        let bytes = blobs.get(segment.name(), run.index_pos..end)?;
        RunIndex::decode(&bytes, run, &opened.footer)
            .map_err(|error| StoreError::format("Cannot open", segment.name(), error))
    };
    insist(read, || blobs.forget(segment.name()))
}

fn read_directory(
    blobs: &dyn Blobs,
    name: &str,
    bytes: u64,
    end: &Bytes,
) -> Result<(Footer, Directory), StoreError> {
    let fail = |error| StoreError::format("Cannot open", name, error);
    let footer_at = end.len().saturating_sub(FOOTER_BYTES);
    let footer = Footer::decode(&end[footer_at..], bytes).map_err(fail)?;
    let len = footer.directory_len as usize;
    let directory = match footer_at.checked_sub(len) {
        Some(at) => end.slice(at..footer_at),
        None => {
            let end = footer.directory_pos + u64::from(footer.directory_len);
            blobs.get(name, footer.directory_pos..end)?
        }
    };
    if crc::crc32c(&directory) != footer.directory_crc {
        return Err(fail(FormatError::Checksum {
            what: "segment directory",
        }));
    }
    let directory = Directory::decode(&directory, &footer).map_err(fail)?;
    Ok((footer, directory))
}

/// The first blocks, end to end, of about `bytes_max` bytes together; at least one.
fn together(blocks: &[Block], bytes_max: usize) -> &[Block] {
    let mut bytes = 0_usize;
    let mut end = None;
    let fits = |block: &&Block| {
        let follows = end.is_none_or(|end| end == block.pos) && bytes < bytes_max.max(1);
        bytes = bytes.saturating_add(block.len as usize);
        end = Some(block.end());
        follows
    };
    &blocks[..blocks.iter().take_while(fits).count()]
}
