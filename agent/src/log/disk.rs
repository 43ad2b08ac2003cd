//! The narrowest waist between the log and a disk, so that a test can be the disk.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use super::direct::DirectFile;
use super::lock::{DirLock, LockError};

/// Files in directories. What returns without an error is durable where it says so.
pub trait Disk: Debug + Send + Sync {
    /// Creates the directory if it is not there, and takes it for this process.
    fn lock(&self, dir: &Path) -> Result<DirLock, LockError>;

    /// Creates a directory if it is not there, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates a file, or empties the one that is there, and fills it with `bytes` zeros. Content
    /// and directory entry are durable.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that is there to be overwritten by whole pages: past the page cache, where the
    /// file system can. The cache may hold 64 KiB as one, and would write it for one page.
    fn open_for_pages(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    /// Names in a directory, in order; none if it is not there.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// A small file's content; `None` if it is not there.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Replaces a small file at once, durably.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Bytes that a file or directory allocates; 0 if it is not there.
    fn allocated(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Its length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Fills `out` from `offset` on.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`; durable only after [`Self::sync`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts or grows, new bytes being zero.
    fn set_bytes(&self, bytes: u64) -> io::Result<()>;
    /// Makes everything written so far durable. After an error nothing that was written since the
    /// last success may be trusted, whatever a later sync says.
    fn sync(&self) -> io::Result<()>;
    /// Bytes that it allocates.
    fn allocated(&self) -> io::Result<u64>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileDisk;

impl Disk for FileDisk {
    fn lock(&self, dir: &Path) -> Result<DirLock, LockError> {
        DirLock::take(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if !dir.is_dir() {
            std::fs::create_dir_all(dir)?;
            sync_parent(dir)?;
        }
        Ok(())
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        fill(&file, bytes)?;
        file.sync_all()?;
        sync_parent(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(
            OpenOptions::new().read(true).write(true).open(path)?,
        ))
    }

    fn open_for_pages(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(DirectFile::open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let mut file = File::create(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        sync_parent(path)
    }

    fn allocated(&self, path: &Path) -> io::Result<u64> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(metadata.blocks() * STAT_BLOCK_BYTES),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// What `st_blocks` counts, whatever the file system's block is.
const STAT_BLOCK_BYTES: u64 = 512;
const FILL_BYTES: usize = 64 << 10;

impl DiskFile for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self.metadata()?.blocks() * STAT_BLOCK_BYTES)
    }
}

/// Zeros that are really written: syncing an overwrite costs half of syncing an append.
fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).map_or(FILL_BYTES, |left| left.min(FILL_BYTES));
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    Ok(())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
