//! Reading past the system's cache what is read once.
//!
//! Whoever reads a log from end to end would fill the cache with what nobody asks for again, and
//! the copy out of pages that were never used before costs more than all else. So a long read goes
//! past the cache the first time; what is asked for again soon is worth its place there.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::pages::PAGE_LEN;
use super::uncached::DIRECT;

/// A shorter read is not worth a way of its own to the disk.
pub(super) const LONG_BYTES: u64 = 128 << 10;
/// What is remembered of a file as read or not read.
const GRAIN_BYTES: u64 = 64 << 10;
/// Grains that are remembered: the last 2 GiB.
const GRAINS: usize = 32 << 10;

/// What was read of late.
#[derive(Debug)]
pub(super) struct Lately(Box<[AtomicU64]>);

impl Default for Lately {
    fn default() -> Self {
        Self((0..GRAINS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Lately {
    /// Remembers that this part of a file is read; true if some of it was before. Neighbours may
    /// share a grain, so only what is read whole counts.
    pub(super) fn note(&self, path: &Path, range: &Range<u64>) -> bool {
        let mut known = false;
        for grain in range.start.div_ceil(GRAIN_BYTES)..range.end / GRAIN_BYTES {
            let mut hasher = DefaultHasher::new();
            (path, grain).hash(&mut hasher);
            let hash = hasher.finish();
            let place = &self.0[usize::try_from(hash % GRAINS as u64).unwrap_or(0)];
            known |= place.swap(hash, Ordering::Relaxed) == hash;
        }
        known
    }
}

/// Opens a file for [`read`], if its file system lets it be read so.
pub(super) fn open(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(DIRECT);
    options.open(path).ok().filter(|_| DIRECT != 0)
}

/// Reads a part of a file that was opened with [`open`]; `None` if that does not work here.
pub(super) fn read(file: &File, range: &Range<u64>) -> io::Result<Option<Bytes>> {
    let page = PAGE_LEN as u64;
    let start = range.start / page * page;
    let front = usize_of(range.start - start)?;
    let len = usize_of(range.end - range.start)?;
    let whole = (front + len).next_multiple_of(PAGE_LEN);
    let mut memory = vec![0; whole + PAGE_LEN];
    let first = memory.as_ptr().align_offset(PAGE_LEN).min(PAGE_LEN);
    let pages = &mut memory[first..first + whole];
    let mut filled = 0;
    while filled < front + len {
        match file.read_at(&mut pages[filled..], start + filled as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let first = first + front;
    Ok(Some(Bytes::from(memory).slice(first..first + len)))
}

fn usize_of(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, RealDisk};

    #[test]
    fn only_what_is_read_again_was_read_before() {
        let lately = Lately::default();
        let [one, other] = [Path::new("one"), Path::new("other")];
        for start in (100_000..10_000_000).step_by(150_000) {
            assert!(!lately.note(one, &(start..start + 150_000)));
        }
        assert!(!lately.note(other, &(150_000..300_000)));
        assert!(lately.note(one, &(300_000..450_000)));
    }

    /// Whether or not the file system lets a file be read past the cache.
    #[test]
    fn any_part_can_be_read_twice() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(directory.path()).unwrap();
        let bytes: Vec<u8> = (0..900_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(directory.path().join("file"), &bytes).unwrap();
        let file = disk.open("file").unwrap();
        for range in [0..1, 4095..4097, 5..200_000, 8192..900_000, 5..200_000] {
            let found = file.read_range(range.clone()).unwrap();
            let [first, last] = [range.start, range.end].map(|place| usize_of(place).unwrap());
            assert!(found == bytes[first..last], "{range:?}");
        }
        for behind in [899_999..900_001, 500_001..900_001] {
            let error = file.read_range(behind).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
