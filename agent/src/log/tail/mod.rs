//! The tail journal: what is not yet in a segment, in preallocated files that are synced by
//! overwriting.
//!
//! Frames form a chain: each has the sequence after that of the frame before it and names it by
//! its checksum, so that what an earlier use left in a recycled file is never taken for data. A
//! file begins with a checkpoint, which holds everything that is live; when a file is full, the
//! next checkpoint goes to the other. A file whose sync failed is never written again.

mod frame;
mod record;
mod scan;
mod section;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use self::frame::Kind;
pub(super) use self::frame::newest_log_id;
pub(super) use self::record::{Hole, LaneRecord, REMEMBERED_ALL_MAX, REMEMBERED_MAX};
pub(super) use self::scan::Damage;
pub(super) use self::section::{Section, crc_of, lost, range};
use super::device::LogId;
use super::disk::{Disk, DiskFile};
use super::space::{Meter, TAIL_FILE_BYTES};

/// Largest body of a frame: with less than half a file live, a switch gains room.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
const _: () = assert!((BODY_BYTES_MAX as u64) < TAIL_FILE_BYTES / 2 + 1);

const NAME_PREFIX: &str = "tail-";

/// The journal, open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    place: Place,
    log_id: LogId,
    meter: Meter,
    current: Option<Current>,
    /// Files whose content is needed until the next checkpoint, and not after it.
    replaced: BTreeSet<u32>,
    /// Files whose content is not needed and whose disk has not failed.
    spare: BTreeSet<u32>,
    /// Files to be removed once a checkpoint lies elsewhere.
    distrusted: BTreeSet<u32>,
    /// Of the last frame that was written, whether or not its sync came through.
    sequence: u64,
    previous: u32,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    slot: u32,
    file: Arc<dyn DiskFile>,
    /// Where the next frame goes.
    at: u64,
}

/// Where the journal's files are.
#[derive(Debug, Clone)]
struct Place {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The sections of each frame that counts, in order, from the last checkpoint on.
    pub(super) frames: Vec<Bytes>,
    /// What is wrong beyond a torn end.
    pub(super) damage: Vec<Damage>,
}

impl Journal {
    /// Reads what the files in `dir` hold. Nothing is written: the first commit has to be a
    /// [`Self::checkpoint`].
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        dir: PathBuf,
        log_id: LogId,
        meter: Meter,
    ) -> Result<(Self, Found), super::error::OpenError> {
        let place = Place {
            disk: disk.clone(),
            dir,
        };
        let scan = scan::scan(&place, &log_id)?;
        let journal = Self {
            place,
            log_id,
            meter,
            current: None,
            replaced: scan.used,
            spare: scan.spare,
            distrusted: scan.short,
            sequence: scan.sequence,
            previous: scan.previous,
            scratch: Vec::new(),
        };
        Ok((journal, scan.found))
    }

    /// Whether a frame with a body of `body_bytes` needs a file of its own.
    pub(super) fn is_full(&self, body_bytes: usize) -> bool {
        let frame_bytes = frame::frame_bytes(body_bytes);
        self.current
            .as_ref()
            .is_none_or(|current| current.at + frame_bytes > TAIL_FILE_BYTES)
    }

    /// Appends a frame and syncs it. After an error the next one has to be a
    /// [`Self::checkpoint`].
    pub(super) fn commit(&mut self, body: &[u8]) -> io::Result<()> {
        let Some(current) = self.current.take() else {
            return Err(io::Error::other("the journal needs a checkpoint first"));
        };
        let slot = current.slot;
        let written = self.write(Kind::Commit, current, body);
        if written.is_err() {
            self.distrusted.insert(slot);
        }
        written
    }

    /// Begins another file with `body`, which holds everything that is live, and syncs it.
    pub(super) fn checkpoint(&mut self, body: &[u8]) -> io::Result<()> {
        let (slot, file) = self.other_file()?;
        let before = self.current.take();
        if let Err(error) = self.write(Kind::Checkpoint, Current { slot, file, at: 0 }, body) {
            self.distrusted.insert(slot);
            // Whatever was current still holds what was acknowledged, but is not appended to:
            // a frame there would be older than this one, which may yet turn up.
            self.replaced.extend(before.map(|current| current.slot));
            return Err(error);
        }
        self.spare.append(&mut self.replaced);
        self.spare.extend(before.map(|current| current.slot));
        while self.spare.len() > 1 {
            self.distrusted.extend(self.spare.pop_last());
        }
        self.remove_distrusted();
        Ok(())
    }

    /// Makes the file that the next checkpoint goes to, while there is room for it: a disk that is
    /// full later must not stop the journal. Without it the checkpoint tries again.
    pub(super) fn prepare(&mut self) {
        if self.spare.is_empty()
            && let Ok(slot) = self.create()
        {
            self.spare.insert(slot);
        }
    }

    fn write(&mut self, kind: Kind, mut current: Current, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let header = (kind, self.sequence, self.previous, TAIL_FILE_BYTES);
        self.previous = frame::encode_into(&mut self.scratch, &self.log_id, header, body);
        self.meter.add(self.scratch.len());
        current.file.write_at(current.at, &self.scratch)?;
        if !cfg!(hw_fault = "no_sync") {
            self.meter.sync(&*current.file)?;
        }
        current.at += self.scratch.len() as u64;
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
        self.current = Some(current);
        Ok(())
    }

    /// A file that may be overwritten: a spare one, or a new one.
    fn other_file(&mut self) -> io::Result<(u32, Arc<dyn DiskFile>)> {
        if let Some(slot) = self.spare.pop_first() {
            match self.place.open_for_pages(slot) {
                Ok(file) => return Ok((slot, file)),
                Err(_) => {
                    self.distrusted.insert(slot);
                }
            }
        }
        let slot = self.create()?;
        Ok((slot, self.place.open_for_pages(slot)?))
    }

    /// A new file; gives its number.
    fn create(&mut self) -> io::Result<u32> {
        let current = self.current.as_ref().map(|current| current.slot);
        let is_taken = |slot: &u32| {
            current == Some(*slot)
                || [&self.distrusted, &self.replaced, &self.spare]
                    .iter()
                    .any(|slots| slots.contains(slot))
        };
        let slot = (0..).find(|slot| !is_taken(slot)).unwrap_or(u32::MAX);
        self.meter.add_bytes(TAIL_FILE_BYTES);
        let path = self.place.path(slot);
        self.place.disk.create(&path, TAIL_FILE_BYTES)?;
        Ok(slot)
    }

    fn remove_distrusted(&mut self) {
        let current = self.current.as_ref().map(|current| current.slot);
        let place = &self.place;
        self.distrusted.retain(|slot| {
            current != Some(*slot) && place.disk.remove(&place.path(*slot)).is_err()
        });
    }
}

/// Enough for the frames of a slow stream; a large one gives its memory back.
const SCRATCH_BYTES_KEPT: usize = 64 << 10;

impl Place {
    fn path(&self, slot: u32) -> PathBuf {
        self.dir.join(format!("{NAME_PREFIX}{slot}"))
    }

    fn open(&self, slot: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(slot))
    }

    fn open_for_pages(&self, slot: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open_for_pages(&self.path(slot))
    }

    /// The files that are there, by number.
    fn slots(&self) -> io::Result<Vec<u32>> {
        let names = self.disk.list(&self.dir)?;
        let number = |name: &String| name.strip_prefix(NAME_PREFIX)?.parse().ok();
        Ok(names.iter().filter_map(number).collect())
    }
}

/// Whether a file of the data directory is one of the journal's.
pub(super) fn is_journal_file(name: &str) -> bool {
    name.strip_prefix(NAME_PREFIX)
        .is_some_and(|rest| rest.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests;
