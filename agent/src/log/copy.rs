//! A disk that reads another and keeps every change in memory: what opening a log would do to its
//! files is seen, and nothing is done.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, FileDisk};
use super::lock::{DirLock, LockError};

/// The machine's file system, changed in memory alone. A file that is written to is held whole:
/// the log writes to a journal file of 2 MiB, and to the last segment of a lane, which has some 3.
#[derive(Debug, Clone, Default)]
pub(super) struct CopyDisk {
    changed: Arc<Mutex<BTreeMap<PathBuf, Changed>>>,
}

#[derive(Debug)]
enum Changed {
    Removed,
    Content(Vec<u8>),
}

#[derive(Debug)]
struct CopyFile {
    disk: CopyDisk,
    path: PathBuf,
    /// As it is on the disk; `None` for one that is new.
    file: Option<std::fs::File>,
}

impl CopyDisk {
    fn changed(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Changed>> {
        // A change is one assignment: no panic leaves half of it.
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, path: &Path, content: Vec<u8>) {
        let content = Changed::Content(content);
        self.changed().insert(path.to_owned(), content);
    }
}

impl Disk for CopyDisk {
    fn lock(&self, dir: &Path) -> Result<DirLock, LockError> {
        FileDisk.lock(dir)
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.put(path, vec![0; bytes]);
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = match self.changed().get(path) {
            Some(Changed::Removed) => return Err(io::ErrorKind::NotFound.into()),
            Some(Changed::Content(_)) => None,
            None => Some(std::fs::File::open(path)?),
        };
        let (disk, path) = (self.clone(), path.to_owned());
        Ok(Arc::new(CopyFile { disk, path, file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = FileDisk.list(dir)?;
        for (path, changed) in &*self.changed() {
            if path.parent() != Some(dir) {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            names.retain(|there| *there != name);
            if matches!(changed, Changed::Content(_)) {
                names.push(name.into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.changed().insert(path.to_owned(), Changed::Removed);
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.changed().get(path) {
            Some(Changed::Removed) => Ok(None),
            Some(Changed::Content(content)) => Ok(Some(content.clone())),
            None => FileDisk.read(path),
        }
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.put(path, content.to_owned());
        Ok(())
    }

    fn allocated(&self, path: &Path) -> io::Result<u64> {
        match self.changed().get(path) {
            Some(Changed::Removed) => Ok(0),
            Some(Changed::Content(content)) => Ok(content.len() as u64),
            None => FileDisk.allocated(path),
        }
    }
}

impl CopyFile {
    /// Looks at its content if that was changed, at the file else.
    fn with<T>(
        &self,
        changed: impl FnOnce(&[u8]) -> io::Result<T>,
        unchanged: impl FnOnce(&std::fs::File) -> io::Result<T>,
    ) -> io::Result<T> {
        match (self.disk.changed().get(&self.path), &self.file) {
            (Some(Changed::Content(content)), _) => changed(content),
            (_, Some(file)) => unchanged(file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut all = self.disk.changed();
        if !matches!(all.get(&self.path), Some(Changed::Content(_))) {
            let content = std::fs::read(&self.path)?;
            all.insert(self.path.clone(), Changed::Content(content));
        }
        if let Some(Changed::Content(content)) = all.get_mut(&self.path) {
            change(content);
        }
        Ok(())
    }
}

impl DiskFile for CopyFile {
    fn bytes(&self) -> io::Result<u64> {
        self.with(|content| Ok(content.len() as u64), DiskFile::bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        match (self.disk.changed().get(&self.path), &self.file) {
            (Some(Changed::Content(content)), _) => {
                let part = content.get(start..start.saturating_add(out.len()));
                out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            (_, Some(file)) => DiskFile::read_at(file, offset, out),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(bytes.len());
        let end = end.ok_or(io::ErrorKind::InvalidInput)?;
        self.change(|content| {
            if content.len() < end {
                content.resize(end, 0);
            }
            content[start..end].copy_from_slice(bytes);
        })
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.change(|content| content.resize(bytes, 0))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocated(&self) -> io::Result<u64> {
        self.with(|content| Ok(content.len() as u64), DiskFile::allocated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_is_seen_and_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a"), b"abc").unwrap();
        std::fs::write(path("b"), b"b").unwrap();
        let disk = CopyDisk::default();
        let before = disk.open(&path("a")).unwrap();
        let file = disk.open(&path("a")).unwrap();
        file.write_at(2, b"xyz").unwrap();
        let mut read = [0; 5];
        before.read_at(0, &mut read).unwrap();
        assert_eq!(&read, b"abxyz");
        assert!(before.read_at(1, &mut read).is_err(), "behind its end");
        disk.remove(&path("b")).unwrap();
        disk.create(&path("c"), 2).unwrap();
        assert_eq!(disk.list(dir.path()).unwrap(), ["a", "c"]);
        assert!(disk.open(&path("b")).is_err());
        assert_eq!(disk.read(&path("c")).unwrap().unwrap(), [0, 0]);
        assert_eq!(std::fs::read(path("a")).unwrap(), b"abc");
        assert!(path("b").exists() && !path("c").exists());
    }
}
