//! The waist under the local engine: as much of a file system as it uses, so that a test can be
//! the disk and the power.
//!
//! Paths are relative to the data directory, with `/`. Nothing is durable before it is synced: a
//! file's bytes and length by [`DiskFile::sync_data`], the names in a directory by
//! [`Disk::sync_dir`].

mod copy;
mod once;
pub(crate) mod pages;
mod real;
mod uncached;

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use copy::CopyDisk;
pub use real::RealDisk;

/// A directory tree.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file for reading and writing; it must be there.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file; nothing may be there.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// As [`Disk::open`], for what is written in whole pages and seldom read: they go past the
    /// system's cache if they can.
    fn open_uncached(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    /// As [`Disk::create`], written as by [`Disk::open_uncached`].
    fn create_uncached(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.create(path)
    }

    /// Gives a file another name, in place of what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes a directory in one that is there; true if it is new.
    fn create_dir(&self, path: &str) -> io::Result<bool>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;

    /// What is in a directory, sorted by name; nothing if there is no such directory.
    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>>;

    /// Where `path` lies, for messages to people.
    fn show(&self, path: &str) -> String;
}

/// An open file. Reads and writes may be short, as those of the system are.
pub trait DiskFile: Debug + Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// True if it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at a position; 0 bytes is the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Reads a part, or fails with `UnexpectedEof`.
    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        read_into_memory(self, range)
    }

    /// Writes pieces, one after the other, at a position, in one call of the system if it can.
    fn write_at(&self, pieces: &[io::IoSlice<'_>], position: u64) -> io::Result<usize>;

    /// Cuts or grows the file; what is new is zero.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Makes bytes and length durable.
    fn sync_data(&self) -> io::Result<()>;

    /// The next reads ask the disk itself, where the system lets one say so: what its cache got
    /// may not be what lies there.
    fn forget(&self) {}
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Without the directory.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
}

fn read_into_memory(file: &(impl DiskFile + ?Sized), range: Range<u64>) -> io::Result<Bytes> {
    let count = range.end.saturating_sub(range.start);
    let count = usize::try_from(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; count];
    read_exact_at(file, &mut bytes, range.start)?;
    Ok(bytes.into())
}

/// Fills `buffer` from `position` on, or fails with `UnexpectedEof`.
pub(crate) fn read_exact_at(
    file: &(impl DiskFile + ?Sized),
    mut buffer: &mut [u8],
    mut position: u64,
) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, position) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                position += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `pieces` from `position` on.
pub(crate) fn write_all_at(
    file: &dyn DiskFile,
    mut pieces: &mut [io::IoSlice<'_>],
    mut position: u64,
) -> io::Result<()> {
    io::IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match file.write_at(pieces, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                io::IoSlice::advance_slices(&mut pieces, count);
                position += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes every directory of `path` that is missing, each durable in its parent.
pub(crate) fn create_dirs(disk: &dyn Disk, path: &str) -> io::Result<()> {
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        let directory = &path[..end];
        if disk.create_dir(directory)?
            && let Err(error) = disk.sync_dir(parent(directory))
        {
            // The next attempt must not take it for durable.
            let _ = disk.remove_dir(directory);
            return Err(error);
        }
    }
    Ok(())
}

/// The directory that a path lies in; the data directory itself is the empty path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}
