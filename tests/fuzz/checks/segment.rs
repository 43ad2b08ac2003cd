//! Segments: any bytes as an object, and as each of its parts.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use headwater_store::format::segment::{Block, Directory, FOOTER_BYTES, Footer, HEADER_BYTES};
use headwater_store::format::segment::{Header, Run, RunId, RunIndex, block, encode_block};
use headwater_store::segment::{Segment, Segments};
use headwater_store::traits::BlobWriter;
use headwater_store::{Blobs, ErrorKind, StoreError};
use headwater_wire::batch::check_crc;
use headwater_wire::crc::crc32c;

use super::Check;

/// Reading gets on, what is read is in order and whole, and parts are the same after they were
/// written and read again.
pub const SEGMENT: Check = Check {
    name: "segment",
    run,
    memory_fixed: 8 << 20,
    memory_per_byte: 512,
};

fn run(bytes: &[u8]) {
    object(bytes);
    object(&sealed(bytes));
    directory(bytes);
    index(bytes);
    one_block(&sealed_block(bytes));
}

fn object(bytes: &[u8]) {
    let segments = Segments::new(Arc::new(One(Bytes::copy_from_slice(bytes))), 1 << 20);
    match segments.open("segment", bytes.len() as u64) {
        Ok(segment) => {
            let ids: Vec<RunId> = segment.directory().runs.iter().map(|run| run.id).collect();
            ids.into_iter().for_each(|id| read_all(&segment, id));
        }
        Err(error) => assert!([ErrorKind::Damaged, ErrorKind::UnknownFormat].contains(&error.kind)),
    }
}

fn read_all(segment: &Segment, id: RunId) {
    // An index that is damaged and beyond repair is an error.
    if segment.index(id).is_err() {
        return;
    }
    let mut offset = 0;
    while let Ok(found) = segment.read(id, offset, 4096) {
        let mut next = offset;
        for batch in &found.batches {
            assert!(batch.end_offset() > next && batch.base_offset() >= 0);
            next = batch.end_offset();
        }
        let lost = found.lost.iter().map(|lost| lost.to);
        next = lost.fold(next, i64::max);
        if next == offset {
            break;
        }
        offset = next;
    }
    let first = segment.first_at(id, 0).expect("it has an index");
    assert!(first.is_none_or(|batch| batch.header.max_timestamp >= 0));
}

fn directory(bytes: &[u8]) {
    for runs in [1, 2, 40] {
        for blocks in 1..4 {
            let footer = footer(runs, blocks);
            if let Ok(directory) = Directory::decode(bytes, &footer) {
                assert_eq!(
                    Directory::decode(&directory.encode(), &footer),
                    Ok(directory)
                );
            }
        }
    }
}

fn index(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    for blocks in 1..4 {
        for (from, to) in [(0, 100), (1000, 1002), (1 << 40, (1 << 40) + 8)] {
            let mut run = any_run(&bytes, blocks);
            (run.from, run.to) = (from, to);
            let Ok(index) = RunIndex::decode(&bytes, &run, &footer(1, blocks)) else {
                continue;
            };
            let mut written = Vec::new();
            let mut before: Option<&Block> = None;
            for block in &index.blocks {
                encode_block(&mut written, before, block);
                before = Some(block);
            }
            let written = Bytes::from(written);
            let run = Run {
                from,
                to,
                ..any_run(&written, blocks)
            };
            assert_eq!(
                RunIndex::decode(&written, &run, &footer(1, blocks)),
                Ok(index)
            );
        }
    }
}

/// What is whole alone is whole by its index, and nothing else comes out where a byte is missing.
fn one_block(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok((index, batches)) = block::alone(&bytes, HEADER_BYTES as u64) else {
        return;
    };
    let head = block::Head::decode(&bytes).expect("it was decoded");
    let run = Run {
        id: head.id,
        ..any_run(&bytes, 1)
    };
    assert_eq!(block::open(&bytes, &run, &index).batches, batches);
    for batch in block::open(&bytes.slice(..bytes.len() - 1), &run, &index).batches {
        assert_eq!(check_crc(&batch.bytes, &batch.header), Ok(()));
        assert!(batches.iter().any(|whole| whole.bytes == batch.bytes));
    }
}

fn any_run(index: &[u8], blocks: u32) -> Run {
    Run {
        id: RunId {
            topic: [0; 16],
            partition: 0,
        },
        from: 0,
        to: 1,
        batches: 1,
        records: 1,
        bytes: 1,
        max_timestamp: 0,
        arrival_ms_min: 0,
        arrival_ms_max: 0,
        epochs: Vec::new(),
        blocks,
        index_pos: 0,
        index_len: u32::try_from(index.len()).expect("short"),
        index_crc: crc32c(index),
    }
}

fn footer(runs: u32, blocks: u32) -> Footer {
    Footer {
        header: Header { shard: 0, epoch: 0 },
        directory_pos: 1 << 30,
        directory_crc: 0,
        directory_len: 0,
        blocks_end: 1 << 29,
        blocks,
        runs,
    }
}

/// The same with the checksums of header, directory and footer right.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(footer) = bytes
        .len()
        .checked_sub(FOOTER_BYTES)
        .filter(|at| *at >= HEADER_BYTES)
    else {
        return bytes;
    };
    seal(&mut bytes[..HEADER_BYTES]);
    let pos = bytes[footer + 16..footer + 24]
        .first_chunk()
        .map(|pos| u64::from_le_bytes(*pos));
    let pos = pos
        .and_then(|pos| usize::try_from(pos).ok())
        .unwrap_or(0)
        .min(footer);
    let checksum = crc32c(&bytes[pos..footer]);
    let len = u32::try_from(footer - pos).expect("short");
    bytes[footer + 24..footer + 28].copy_from_slice(&len.to_le_bytes());
    bytes[footer + 28..footer + 32].copy_from_slice(&checksum.to_le_bytes());
    seal(&mut bytes[footer..]);
    bytes
}

/// The same as a block whose checksums are right, and whose batches take what the table leaves.
fn sealed_block(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(body_bytes) = bytes.len().checked_sub(block::HEAD_BYTES) else {
        return bytes;
    };
    bytes[..4].copy_from_slice(&block::MAGIC);
    let table_len = usize::from(bytes[36]).min(body_bytes);
    let (table, data) = bytes[block::HEAD_BYTES..].split_at(table_len);
    let checksums = [crc32c(table), crc32c(data)];
    let lengths = [table.len(), data.len()].map(|len| u32::try_from(len).expect("short"));
    for (at, number) in [
        (36, lengths[0]),
        (40, checksums[0]),
        (44, lengths[1]),
        (48, checksums[1]),
    ] {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    seal(&mut bytes[..block::HEAD_BYTES]);
    bytes
}

/// Puts the checksum of what comes before into the last 4 bytes.
fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    let checksum = crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
}

/// A store of one object.
#[derive(Debug)]
struct One(Bytes);

impl One {
    fn refuse(name: &str) -> StoreError {
        StoreError::new(ErrorKind::Invalid, "Cannot change", name)
    }
}

impl Blobs for One {
    fn put_new(&self, name: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(Self::refuse(name))
    }

    fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>, StoreError> {
        Err(Self::refuse(name))
    }

    fn len(&self, _: &str) -> Result<u64, StoreError> {
        Ok(self.0.len() as u64)
    }

    fn get(&self, _: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let at = |pos: u64| usize::try_from(pos).unwrap_or(usize::MAX).min(self.0.len());
        let end = at(range.end);
        Ok(self.0.slice(at(range.start).min(end)..end))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        Err(Self::refuse(name))
    }

    fn list(&self, _: &str) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
