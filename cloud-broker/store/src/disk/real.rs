//! The disk that there is: files below one data directory, which this process alone uses.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::once::{self, Lately};
use super::uncached::UncachedFile;
use super::{DirEntry, Disk, DiskFile};
use crate::error::{ErrorKind, StoreError};

/// Name of the file that is locked; it holds the process id.
pub(super) const LOCK_FILE: &str = "LOCK";
/// Pieces that the system takes in one call.
const PIECES_MAX: usize = 1024;
/// How often the holder's process id is looked for: it is written just after the lock is taken.
const PID_LOOKS: u32 = 20;

/// Files below a directory, locked for as long as this lives.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    lately: Arc<Lately>,
    _lock: File,
}

impl RealDisk {
    /// Makes the directory if it is missing and takes its lock. Fails with `InUse` and the
    /// holder's process id if another process has it.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let place = root.display();
        make_root(root)
            .map_err(|error| StoreError::io("Cannot make the data directory", &place, error))?;
        let path = root.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| StoreError::io("Cannot open", path.display(), error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = holder(&mut lock);
                return Err(StoreError::new(
                    ErrorKind::InUse { pid },
                    "Cannot lock",
                    place,
                ));
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::io("Cannot lock", path.display(), error));
            }
        }
        write_pid(&mut lock)
            .map_err(|error| StoreError::io("Cannot write", path.display(), error))?;
        Ok(Self {
            root: root.to_owned(),
            lately: Arc::default(),
            _lock: lock,
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn open_with(&self, options: &OpenOptions, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.at(path);
        Ok(Arc::new(RealFile {
            file: options.open(&path)?,
            path,
            uncached: OnceLock::new(),
            lately: Arc::clone(&self.lately),
        }))
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open_with(OpenOptions::new().read(true).write(true), path)
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        self.open_with(&options, path)
    }

    fn open_uncached(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        Ok(Arc::new(UncachedFile::open(options, &self.at(path))?))
    }

    fn create_uncached(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        Ok(Arc::new(UncachedFile::open(options, &self.at(path))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    fn create_dir(&self, path: &str) -> io::Result<bool> {
        match fs::create_dir(self.at(path)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        fs::remove_dir(self.at(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        list(&self.at(path))
    }

    fn show(&self, path: &str) -> String {
        self.at(path).display().to_string()
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    path: PathBuf,
    /// For what is read once, if it can be opened so.
    uncached: OnceLock<Option<File>>,
    lately: Arc<Lately>,
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let is_long = range.end.saturating_sub(range.start) >= once::LONG_BYTES;
        if is_long
            && !self.lately.note(&self.path, &range)
            && let Some(file) = self.uncached.get_or_init(|| once::open(&self.path))
            && let Some(bytes) = once::read(file, &range)?
        {
            return Ok(bytes);
        }
        super::read_into_memory(self, range)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        write_pieces(&self.file, pieces, position)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn forget(&self) {
        // Only a wish: what cannot be forgotten is read as before.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }
}

/// What is in a directory, sorted; nothing if there is none.
pub(super) fn list(path: &Path) -> io::Result<Vec<DirEntry>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_dir = entry.file_type()?.is_dir();
        // Names that are not UTF-8 are none of ours.
        if let Ok(name) = entry.file_name().into_string() {
            found.push(DirEntry { name, is_dir });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// One call of the system, which may write less.
pub(super) fn write_pieces(
    file: &File,
    pieces: &[IoSlice<'_>],
    position: u64,
) -> io::Result<usize> {
    if let [piece] = pieces {
        return file.write_at(piece, position);
    }
    let pieces = &pieces[..pieces.len().min(PIECES_MAX)];
    Ok(rustix::io::pwritev(file, pieces, position)?)
}

/// A directory that was made is also made durable in the one that it lies in.
fn make_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(root)?;
    let parent = root
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

/// The number in the lock file of someone else, 0 if there is none.
pub(super) fn holder(lock: &mut File) -> u32 {
    for _ in 0..PID_LOOKS {
        let mut text = String::new();
        let read = lock
            .rewind()
            .and_then(|()| lock.take(32).read_to_string(&mut text));
        if let Some(Ok(pid)) = read.ok().map(|_| text.trim().parse()) {
            return pid;
        }
        thread::sleep(Duration::from_millis(5));
    }
    0
}
