//! Finds the blocks of a segment without footer, directory and indexes: by reading all of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use headwater_wire::crc;

use super::reader::Directories;
use super::writer::RunBuilder;
use crate::error::{ErrorKind, StoreError, insist};
use crate::format::FormatError;
use crate::format::segment::block::{self, HEAD_BYTES, Head, SegmentBatch};
use crate::format::segment::{Block, Directory, Footer, HEADER_BYTES, Header, RunId, RunIndex};
use crate::traits::Blobs;

/// Bytes that are searched at once.
const WINDOW_BYTES: u64 = 1 << 20;
/// Bytes that a disk can give or not.
const PAGE_BYTES: u64 = 4096;
/// Longest block that is looked into.
const BLOCK_BYTES_MAX: u64 = 2 * crate::format::chunk::FRAME_BYTES_MAX;

/// Reads the whole object and takes every block whose head and table are right. Topics are not
/// known then.
///
/// # Errors
/// `UnknownFormat` if the object begins so, `Damaged` if no block is found, or what the store says.
pub(super) fn open(blobs: &dyn Blobs, name: &str, bytes: u64) -> Result<Directories, StoreError> {
    let fail = |error| StoreError::format("Cannot open", name, error);
    let start = blobs.get(name, 0..HEADER_BYTES as u64)?;
    let header = match Header::decode(&start) {
        Err(error @ FormatError::UnknownFormat { .. }) => return Err(fail(error)),
        Err(_) => Header { shard: 0, epoch: 0 },
        Ok(header) => header,
    };
    let mut found = Recovered::default();
    let mut pos = HEADER_BYTES as u64;
    while let Some(at) = next_head(blobs, name, pos..bytes)? {
        pos = at + 1;
        let read = || {
            let head = blobs.get(name, at..at + HEAD_BYTES as u64)?;
            Head::decode(&head).map_err(fail)
        };
        let head = match insist(read, || blobs.forget(name)) {
            Err(error) if error.kind == ErrorKind::Damaged => continue,
            head => head?,
        };
        let end = at.saturating_add(head.block_bytes());
        if head.block_bytes() <= BLOCK_BYTES_MAX && end <= bytes {
            let read = || block::alone(&blobs.get(name, at..end)?, at).map_err(fail);
            match insist(read, || blobs.forget(name)) {
                Ok((block, batches)) => found.add(head.id, block, &batches),
                Err(error) if error.kind == ErrorKind::Damaged => {}
                Err(error) => return Err(error),
            }
            pos = end;
        }
    }
    let footer = Footer {
        header,
        directory_pos: bytes,
        directory_crc: 0,
        directory_len: 0,
        blocks_end: bytes,
        blocks: 0,
        runs: 0,
    };
    match found.runs.is_empty() {
        true => Err(fail(FormatError::Value { what: "segment" })),
        false => Ok(found.finish(footer)),
    }
}

/// Where the next block begins, if its first bytes are right.
fn next_head(blobs: &dyn Blobs, name: &str, range: Range<u64>) -> Result<Option<u64>, StoreError> {
    let magic = block::MAGIC;
    // The usual case needs no search.
    let mut window_bytes = magic.len() as u64;
    let mut pos = range.start;
    while pos < range.end {
        let end = pos.saturating_add(window_bytes).min(range.end);
        let window = match blobs.get(name, pos..end) {
            // The disk cannot give all of it.
            Err(error) if error.kind == ErrorKind::Damaged => {
                match end - pos > PAGE_BYTES {
                    true => window_bytes = PAGE_BYTES,
                    false => pos = end,
                }
                continue;
            }
            window => window?,
        };
        let mut places = window.windows(magic.len());
        if let Some(at) = places.position(|bytes| bytes == magic) {
            return Ok(Some(pos + at as u64));
        }
        // A magic may lie across the end of the window.
        pos += (window.len().saturating_sub(magic.len() - 1)).max(1) as u64;
        window_bytes = WINDOW_BYTES;
    }
    Ok(None)
}

/// What was found so far.
#[derive(Default)]
struct Recovered {
    runs: BTreeMap<RunId, (RunBuilder, Vec<Block>)>,
}

impl Recovered {
    /// Takes a block if its batches follow what was found.
    fn add(&mut self, id: RunId, mut block: Block, batches: &[SegmentBatch]) {
        let (run, blocks) = self
            .runs
            .entry(id)
            .or_insert_with(|| (RunBuilder::new(id, 0), Vec::new()));
        let follows = |batch: &SegmentBatch| run.add(&batch.entry(0, id), &batch.header);
        if batches.iter().all(follows) {
            run.count_block(&mut block);
            blocks.push(block);
        }
    }

    fn finish(self, footer: Footer) -> Directories {
        let mut runs = Vec::new();
        let mut indexes = Vec::new();
        let whole = self
            .runs
            .into_values()
            .filter(|(_, blocks)| !blocks.is_empty());
        for (run, blocks) in whole {
            runs.push(run.finish(0, crc::crc32c(&[])));
            indexes.push(Arc::new(RunIndex { blocks }));
        }
        Directories {
            directory: Directory { runs },
            footer,
            indexes: Some(indexes),
        }
    }
}
