//! A disk in memory that does as it is told.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use headwater_agent::log::{DirLock, Disk, DiskFile, LockError};

/// Clones share the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

/// Where something was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Write {
    pub(super) path: PathBuf,
    pub(super) at: u64,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    last: Write,
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
}

impl MemoryDisk {
    /// The last write of any file.
    pub(super) fn last_write(&self) -> Write {
        self.state().last.clone()
    }

    /// Makes a file.
    pub(super) fn put(&self, path: &Path, content: &[u8]) {
        self.state().files.insert(path.to_owned(), content.to_vec());
    }

    /// What is in a file.
    pub(super) fn content(&self, path: &Path) -> Vec<u8> {
        self.state().files.get(path).cloned().unwrap_or_default()
    }

    /// Flips bits of one byte, if it is there.
    pub(super) fn change(&self, path: &Path, at: usize, bits: u8) {
        let mut state = self.state();
        let content = state.files.get_mut(path);
        if let Some(byte) = content.and_then(|content| content.get_mut(at)) {
            *byte ^= bits;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics with the disk in hand")
    }
}

impl MemoryFile {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> Option<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        let content = state
            .files
            .get_mut(&self.path)
            .ok_or(io::ErrorKind::NotFound)?;
        work(content).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Disk for MemoryDisk {
    fn lock(&self, _: &Path) -> Result<DirLock, LockError> {
        Ok(DirLock::none())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.state().files.insert(path.to_owned(), vec![0; bytes]);
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = MemoryFile {
            disk: self.clone(),
            path: path.to_owned(),
        };
        file.with(|_| Some(()))?;
        Ok(Arc::new(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let names = state
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok());
        Ok(names
            .filter_map(|name| name.to_str().map(str::to_owned))
            .collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().files.remove(path);
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().files.get(path).cloned())
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.put(path, content);
        Ok(())
    }

    fn allocated(&self, path: &Path) -> io::Result<u64> {
        Ok(self
            .state()
            .files
            .get(path)
            .map_or(0, |content| content.len() as u64))
    }
}

impl DiskFile for MemoryFile {
    fn bytes(&self) -> io::Result<u64> {
        self.with(|content| Some(content.len() as u64))
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|content| {
            let from = content.get(start..start.checked_add(out.len())?)?;
            out.copy_from_slice(from);
            Some(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.disk.state().last = Write {
            path: self.path.clone(),
            at: offset,
        };
        self.with(|content| {
            let end = start.checked_add(bytes.len())?;
            content.resize(content.len().max(end), 0);
            content[start..end].copy_from_slice(bytes);
            Some(())
        })
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.with(|content| {
            content.resize(bytes, 0);
            Some(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocated(&self) -> io::Result<u64> {
        self.bytes()
    }
}
