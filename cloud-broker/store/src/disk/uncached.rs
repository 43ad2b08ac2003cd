//! Files that are written past the system's cache.
//!
//! Through the cache each byte is copied into a page that the system has to find first; where
//! memory is virtual that is half of all that the log costs. Here it is copied into memory that is
//! used again and again, and the disk fetches it from there.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::DiskFile;
use super::pages::{PAGE_LEN, Pages};

/// 0 where the system has no such flag.
#[cfg(target_os = "linux")]
pub(super) const DIRECT: i32 = rustix::fs::OFlags::DIRECT.bits().cast_signed();
#[cfg(not(target_os = "linux"))]
pub(super) const DIRECT: i32 = 0;
/// Pages written at once.
const STEP_PAGES: usize = 256;

/// Whole pages are written past the cache; where the file system refuses that, and whatever else
/// is written, through it.
#[derive(Debug)]
pub(super) struct UncachedFile {
    file: File,
    staged: Mutex<Option<Staged>>,
}

/// What writing past the cache needs, until it turns out that it does not work here.
#[derive(Debug)]
struct Staged {
    file: File,
    pages: Pages,
}

impl UncachedFile {
    /// The file that `options` open at `path`.
    pub(super) fn open(mut options: OpenOptions, path: &Path) -> io::Result<Self> {
        let file = options.open(path)?;
        options.create_new(false).custom_flags(DIRECT);
        let staged = match options.open(path) {
            Ok(_) if DIRECT == 0 => None,
            Ok(file) => Some(Staged {
                file,
                pages: Pages::new(STEP_PAGES),
            }),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            file,
            staged: Mutex::new(staged),
        })
    }

    fn staged(&self) -> MutexGuard<'_, Option<Staged>> {
        // It holds nothing between two writes.
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for UncachedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut staged = self.staged();
        if let Some(direct) = &mut *staged {
            match direct.write_at(pieces, position) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => *staged = None,
                Ok(0) => {}
                done => return done,
            }
        }
        super::real::write_pieces(&self.file, pieces, position)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Staged {
    /// Writes the whole pages that `pieces` begin with, as many as are written at once: 0 if there
    /// are none.
    fn write_at(&mut self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        if !position.is_multiple_of(PAGE_LEN as u64) {
            return Ok(0);
        }
        if let [piece] = pieces
            && piece.len().is_multiple_of(PAGE_LEN)
            && piece.as_ptr().align_offset(PAGE_LEN) == 0
        {
            return self.file.write_at(piece, position);
        }
        self.pages.clear();
        for piece in pieces {
            if self.pages.push(piece) < piece.len() {
                break;
            }
        }
        let whole = self.pages.filled().len() / PAGE_LEN * PAGE_LEN;
        match whole {
            0 => Ok(0),
            _ => self.file.write_at(&self.pages.filled()[..whole], position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;

    fn write(file: &UncachedFile, pieces: &[&[u8]], position: u64) {
        let mut pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        disk::write_all_at(file, &mut pieces, position).unwrap();
        file.sync_data().unwrap();
    }

    #[test]
    fn whatever_is_written_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = UncachedFile::open(options, &path).unwrap();
        let long = vec![7; STEP_PAGES * PAGE_LEN + 1];
        write(&file, &[b"head", &long, &[0; PAGE_LEN - 5]], 0);
        write(&file, &[b"odd", b"ends"], 5);
        write(&file, &[&long[..PAGE_LEN], b"tail"], 2 * PAGE_LEN as u64);
        let mut expected = [b"head".as_slice(), &long, &[0; PAGE_LEN - 5]].concat();
        expected[5..12].copy_from_slice(b"oddends");
        expected[3 * PAGE_LEN..3 * PAGE_LEN + 4].copy_from_slice(b"tail");
        assert_eq!(file.len().unwrap(), expected.len() as u64);
        let mut found = vec![0; expected.len()];
        disk::read_exact_at(&file, &mut found, 0).unwrap();
        assert!(found == expected && std::fs::read(&path).unwrap() == expected);
    }
}
