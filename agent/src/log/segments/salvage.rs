//! What a damaged segment still holds, found without redb: it reads what a damaged page names, as
//! much as that may be.
//!
//! A batch lies in one piece in the file and tells its own length, checksum and positions. One that
//! was replaced may still lie there; so where two that differ overlap, neither counts.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::SealedBatch;
use headwater_wire::uplink::{BATCH_BYTES_MAX, BatchRange, Position};

use crate::log::disk::DiskFile;
use crate::log::tail::{crc_of, range};

/// No segment is nearly as long.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Read at once.
const CHUNK_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4096;
/// Behind offset and length a batch that was not sent yet has these: leader epoch and magic.
const MARK: usize = 12;
const MARK_BYTES: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 2];
/// Of what looks like batches, no more is read than so many times the file.
const READ_TIMES_MAX: u64 = 16;

/// Where the batches lie, in order.
#[derive(Debug)]
pub(super) struct Salvage {
    file: Arc<dyn DiskFile>,
    found: Vec<Found>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    first: Position,
    next: Position,
    crc: u32,
    at: u64,
    bytes: usize,
}

impl Salvage {
    /// Looks for batches in a whole file.
    pub(super) fn search(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let end = file.bytes()?.min(FILE_BYTES_MAX);
        let mut read_max = end.saturating_mul(READ_TIMES_MAX);
        let mut found = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES + MARK + MARK_BYTES.len() - 1];
        let (mut at, mut behind) = (0, 0);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let length = left.min(chunk.len());
            read_what_can_be(&*file, at, &mut chunk[..length]);
            let marks = chunk[..length].windows(MARK + MARK_BYTES.len());
            for (offset, window) in marks.enumerate() {
                let start = at + offset as u64;
                if window.ends_with(&MARK_BYTES) && start >= behind && read_max > 0 {
                    let batch = batch_at(&*file, start, &mut read_max);
                    behind = batch.as_ref().map_or(behind, |b| b.at + b.bytes as u64);
                    found.extend(batch);
                }
            }
            at += CHUNK_BYTES as u64;
        }
        let found = unambiguous(found);
        Ok(Self { file, found })
    }

    /// The batch that begins at `first`.
    pub(super) fn batch(&self, first: Position) -> io::Result<Option<Bytes>> {
        let found = self.found.iter().find(|found| found.first == first);
        found.map(|found| self.read(found)).transpose()
    }

    /// The last batch that begins below `end`.
    pub(super) fn last_below(&self, end: Position) -> io::Result<Option<SealedBatch>> {
        let below = self.found.iter().take_while(|found| found.first < end);
        let last = below.last();
        last.map(|found| {
            Ok(SealedBatch {
                first: found.first,
                next: found.next,
                bytes: self.read(found)?,
            })
        })
        .transpose()
    }

    /// Where the batch begins that is the `nth` of those at or behind `from`.
    pub(super) fn nth_from(&self, from: Position, nth: usize) -> Option<Position> {
        let mut behind = self.found.iter().filter(|found| found.first >= from);
        behind.nth(nth).map(|found| found.first)
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn read(&self, found: &Found) -> io::Result<Bytes> {
        let mut bytes = vec![0; found.bytes];
        self.file.read_at(found.at, &mut bytes)?;
        Ok(bytes.into())
    }
}

/// What the disk cannot read is zero.
fn read_what_can_be(file: &dyn DiskFile, at: u64, out: &mut [u8]) {
    if file.read_at(at, out).is_ok() {
        return;
    }
    for (page, out) in (0_u64..).zip(out.chunks_mut(PAGE_BYTES)) {
        if file.read_at(at + page * PAGE_BYTES as u64, out).is_err() {
            out.fill(0);
        }
    }
}

/// The batch that begins there, if one does and is sound.
fn batch_at(file: &dyn DiskFile, at: u64, read_max: &mut u64) -> Option<Found> {
    let mut head = [0; MARK];
    file.read_at(at, &mut head).ok()?;
    let (offset, length) = head.split_last_chunk::<4>()?;
    let bytes = usize::try_from(u32::from_be_bytes(*length)).ok()? + MARK;
    if offset != [0; 8] || bytes > BATCH_BYTES_MAX {
        return None;
    }
    *read_max = read_max.saturating_sub(bytes as u64);
    let mut batch = vec![0; bytes];
    file.read_at(at, &mut batch).ok()?;
    let BatchRange { first, next } = range(&batch)?;
    Some(Found {
        first,
        next,
        crc: crc_of(&batch),
        at,
        bytes,
    })
}

/// In order, without copies, and without any that overlaps another.
fn unambiguous(mut found: Vec<Found>) -> Vec<Found> {
    found.sort();
    found.dedup_by_key(|found| (found.first, found.next, found.crc));
    let firsts: Vec<_> = found.iter().map(|found| found.first).collect();
    let mut followers = firsts.into_iter().skip(1);
    let mut reached = Position(0);
    found.retain(|found| {
        let follower = followers.next().unwrap_or(Position::END);
        let is_alone = reached <= found.first && found.next <= follower;
        reached = reached.max(found.next);
        is_alone
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(first: u64, next: u64, crc: u32) -> Found {
        Found {
            first: Position(first),
            next: Position(next),
            crc,
            at: u64::from(crc) * 1000 + first,
            bytes: 100,
        }
    }

    #[test]
    fn of_batches_that_overlap_none_counts() {
        let all = [
            found(20, 30, 3),
            found(0, 10, 1),
            found(10, 20, 2),
            found(10, 20, 2),
            found(40, 60, 4),
            found(50, 55, 5),
            found(60, 70, 6),
            found(70, 80, 7),
            found(70, 80, 8),
        ];
        let sound = unambiguous(Vec::from(all));
        let firsts: Vec<_> = sound.iter().map(|found| found.first.0).collect();
        assert_eq!(firsts, [0, 10, 20, 60]);
    }
}
