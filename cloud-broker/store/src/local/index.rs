//! Which slot lies where, in memory: 8 bytes a slot, for the files that have been read.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::format::chunk::Header;

/// The files of one journal.
#[derive(Debug, Default)]
pub(super) struct JournalIndex {
    /// By first slot.
    pub(super) files: BTreeMap<u64, FileIndex>,
}

/// One file: none of its slots are known before it is read.
#[derive(Debug)]
pub(super) struct FileIndex {
    /// Never used again in this process, so an open file is never taken for another.
    pub(super) id: u64,
    /// None until the file has been read.
    pub(super) slots: Option<Slots>,
}

/// Places of a file's frames: runs without a gap; between them slots are damaged.
#[derive(Debug, Default)]
pub(super) struct Slots {
    runs: Vec<Run>,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// First byte of its header.
    pub(super) position: u64,
    /// Bytes of the frame.
    pub(super) bytes: u32,
}

impl Place {
    /// Of a frame at `position`.
    pub(super) fn of(position: u64, header: &Header) -> Self {
        // Headers are only made and read with less than 64 MiB of frame.
        Self {
            position,
            bytes: u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX),
        }
    }

    /// Where bytes `range` of the frame lie, cut at its end; none if they begin behind it.
    pub(super) fn part(&self, range: &Range<u64>) -> Option<Self> {
        let end = u32::try_from(range.end).unwrap_or(u32::MAX).min(self.bytes);
        let start = u32::try_from(range.start).ok()?;
        let bytes = end.checked_sub(start)?;
        Some(Self {
            position: self.position + u64::from(start),
            bytes,
        })
    }
}

#[derive(Debug)]
struct Run {
    first: u64,
    /// Page number and length in bytes.
    frames: Vec<(u32, u32)>,
}

/// Positions are kept as page numbers; files are far below 2^32 pages.
const PAGE_BYTES: u64 = super::layout::PAGE_BYTES;

impl Slots {
    /// Adds slot `seq`, higher than all before.
    pub(super) fn push(&mut self, seq: u64, place: Place) {
        let page = u32::try_from(place.position / PAGE_BYTES)
            .expect("a journal file has less than 2^32 pages");
        let frame = (page, place.bytes);
        match self.runs.last_mut() {
            Some(run) if run.first + run.frames.len() as u64 == seq => run.frames.push(frame),
            Some(_) | None => self.runs.push(Run {
                first: seq,
                frames: vec![frame],
            }),
        }
    }

    /// Where slot `seq` lies, or none if it is not in this file or damaged.
    pub(super) fn place(&self, seq: u64) -> Option<Place> {
        let after = self.runs.partition_point(|run| run.first <= seq);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let at = usize::try_from(seq - run.first).ok()?;
        let (page, bytes) = *run.frames.get(at)?;
        Some(Place {
            position: u64::from(page) * PAGE_BYTES,
            bytes,
        })
    }

    /// The slot after the last one.
    pub(super) fn end(&self) -> Option<u64> {
        self.runs
            .last()
            .map(|run| run.first + run.frames.len() as u64)
    }
}

impl JournalIndex {
    /// The file that slot `seq` would lie in, and the first slot of the next file.
    pub(super) fn file_of(&self, seq: u64) -> Option<(u64, &FileIndex, Option<u64>)> {
        let (first, file) = self.files.range(..=seq).next_back()?;
        Some((*first, file, self.after(*first)))
    }

    /// First slot of the file after the one that begins with `first`.
    pub(super) fn after(&self, first: u64) -> Option<u64> {
        let later = first.checked_add(1)?;
        self.files.range(later..).next().map(|(first, _)| *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_takes_eight_bytes_and_gaps_take_none() {
        assert_eq!(size_of::<(u32, u32)>(), 8);
        let mut slots = Slots::default();
        let place = |page: u64| Place {
            position: page * PAGE_BYTES,
            bytes: 100,
        };
        for seq in [5, 6, u64::MAX / 2] {
            slots.push(seq, place(seq % 7));
        }
        assert_eq!(slots.place(4), None);
        assert_eq!(slots.place(5), Some(place(5)));
        assert_eq!(slots.place(6), Some(place(6)));
        assert_eq!(slots.place(7), None);
        assert_eq!(slots.place(u64::MAX / 2), Some(place(u64::MAX / 2 % 7)));
        assert_eq!(slots.place(u64::MAX), None);
        assert_eq!(slots.end(), Some(u64::MAX / 2 + 1));
    }
}
