//! A disk that reads a directory and keeps every change in memory: what opening a log would do is
//! seen, and nothing is done.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::real::{LOCK_FILE, holder, list};
use super::{DirEntry, Disk, DiskFile, parent};
use crate::error::{ErrorKind, StoreError};

/// Changes are kept in pages of this many bytes.
const PAGE_BYTES: usize = 4096;

/// A directory as it is, changed in memory alone.
#[derive(Debug)]
pub struct CopyDisk {
    root: PathBuf,
    state: Arc<Mutex<State>>,
    /// Shared with others who only read.
    _lock: Option<File>,
}

impl CopyDisk {
    /// Looks at a data directory that nobody uses; as long as this lives, no broker can.
    ///
    /// # Errors
    /// `NotFound`, `InUse`, or what the disk says.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let mut disk = Self::look_at(root)?;
        let path = root.join(LOCK_FILE);
        let mut lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(disk),
            Err(error) => return Err(StoreError::io("Cannot open", path.display(), error)),
        };
        match lock.try_lock_shared() {
            Ok(()) => disk._lock = Some(lock),
            Err(TryLockError::WouldBlock) => {
                let pid = holder(&mut lock);
                let kind = ErrorKind::InUse { pid };
                return Err(StoreError::new(kind, "Cannot lock", root.display()));
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::io("Cannot lock", path.display(), error));
            }
        }
        Ok(disk)
    }

    /// Looks at a data directory whoever uses it: what is read may be half written.
    ///
    /// # Errors
    /// `NotFound` if there is no such directory, or what the disk says.
    pub fn look_at(root: &Path) -> Result<Self, StoreError> {
        fs::read_dir(root).map_err(|error| StoreError::io("Cannot open", root.display(), error))?;
        Ok(Self {
            root: root.to_owned(),
            state: Arc::default(),
            _lock: None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: no panic leaves half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, path: &str, content: usize) -> CopyFile {
        CopyFile {
            state: Arc::clone(&self.state),
            content,
            // Reads below the part that is still the file's fail if it cannot be opened.
            file: File::open(self.root.join(path)).ok(),
        }
    }

    fn exists(&self, state: &State, path: &str) -> bool {
        match state.names.get(path) {
            Some(node) => !matches!(node, Node::Removed),
            None => path.is_empty() || self.root.join(path).exists(),
        }
    }
}

/// What differs from the directory.
#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, Node>,
    contents: Vec<Content>,
}

#[derive(Clone, Debug)]
enum Node {
    /// Place in the contents, and the path of the file below them.
    File(usize, String),
    Directory,
    Removed,
}

/// A file that was opened: what was written into it since.
#[derive(Debug, Default)]
struct Content {
    len: u64,
    /// Bytes below this are the file's, where no page has others.
    base_len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Disk for CopyDisk {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        match state.names.get(path).cloned() {
            Some(Node::File(content, base)) => return Ok(Arc::new(self.file(&base, content))),
            Some(Node::Removed) => return Err(io::ErrorKind::NotFound.into()),
            Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            None => {}
        }
        let len = fs::metadata(self.root.join(path))?.len();
        let content = state.contents.len();
        state.contents.push(Content {
            len,
            base_len: len,
            pages: BTreeMap::new(),
        });
        let node = Node::File(content, path.to_owned());
        state.names.insert(path.to_owned(), node);
        Ok(Arc::new(self.file(path, content)))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        if self.exists(&state, path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = state.contents.len();
        state.contents.push(Content::default());
        let node = Node::File(content, String::new());
        state.names.insert(path.to_owned(), node);
        Ok(Arc::new(CopyFile {
            state: Arc::clone(&self.state),
            content,
            file: None,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        drop(self.open(from)?);
        let mut state = self.lock();
        if let Some(node) = state.names.insert(from.to_owned(), Node::Removed) {
            state.names.insert(to.to_owned(), node);
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        if !self.exists(&state, path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.names.insert(path.to_owned(), Node::Removed);
        Ok(())
    }

    fn create_dir(&self, path: &str) -> io::Result<bool> {
        let mut state = self.lock();
        if self.exists(&state, path) {
            return Ok(false);
        }
        state.names.insert(path.to_owned(), Node::Directory);
        Ok(true)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        match self.list(path)?.is_empty() {
            true => self.remove(path),
            false => Err(io::ErrorKind::DirectoryNotEmpty.into()),
        }
    }

    fn sync_dir(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        let mut found = list(&self.root.join(path))?;
        let state = self.lock();
        for (name, node) in state.names.iter().filter(|(name, _)| parent(name) == path) {
            let name = name.rsplit('/').next().unwrap_or_default();
            found.retain(|entry| entry.name != name);
            if !matches!(node, Node::Removed) {
                found.push(DirEntry {
                    name: name.to_owned(),
                    is_dir: matches!(node, Node::Directory),
                });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn show(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }
}

#[derive(Debug)]
struct CopyFile {
    state: Arc<Mutex<State>>,
    content: usize,
    file: Option<File>,
}

impl CopyFile {
    fn with<T>(&self, look: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.contents.get_mut(self.content) {
            Some(content) => look(content),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// As the file below has it, zero where it has nothing.
    fn read_base(&self, buffer: &mut [u8], position: u64, base_len: u64) -> io::Result<()> {
        buffer.fill(0);
        let there = usize::try_from(base_len.saturating_sub(position)).unwrap_or(usize::MAX);
        let there = there.min(buffer.len());
        match (&self.file, there) {
            (_, 0) => Ok(()),
            (Some(file), _) => file.read_exact_at(&mut buffer[..there], position),
            (None, _) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl DiskFile for CopyFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|content| Ok(content.len))
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.with(|content| {
            let there = content.len.saturating_sub(position);
            let count = buffer
                .len()
                .min(usize::try_from(there).unwrap_or(usize::MAX));
            self.read_base(&mut buffer[..count], position, content.base_len)?;
            for (page, at, part) in pages(position, count) {
                if let Some(bytes) = content.pages.get(&page) {
                    let len = part.len();
                    buffer[part].copy_from_slice(&bytes[at..at + len]);
                }
            }
            Ok(count)
        })
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let bytes: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        self.with(|content| {
            for (page, at, part) in pages(position, bytes.len()) {
                if !content.pages.contains_key(&page) {
                    let mut before = Box::new([0; PAGE_BYTES]);
                    let start = page * PAGE_BYTES as u64;
                    self.read_base(&mut before[..], start, content.base_len)?;
                    content.pages.insert(page, before);
                }
                if let Some(there) = content.pages.get_mut(&page) {
                    there[at..at + part.len()].copy_from_slice(&bytes[part]);
                }
            }
            content.len = content.len.max(position + bytes.len() as u64);
            Ok(bytes.len())
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.with(|content| {
            content.len = bytes;
            content.base_len = content.base_len.min(bytes);
            content.pages.retain(|page, there| {
                let left = bytes.saturating_sub(page * PAGE_BYTES as u64);
                let left = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_BYTES);
                there[left..].fill(0);
                left > 0
            });
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The pages of a range: number, first byte within the page, and which part of the range.
fn pages(
    position: u64,
    count: usize,
) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let page_bytes = PAGE_BYTES as u64;
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = position + done as u64;
        let within = usize::try_from(at % page_bytes).unwrap_or(0);
        let len = (PAGE_BYTES - within).min(count - done);
        let part = done..done + len;
        done += len;
        (len > 0).then_some((at / page_bytes, within, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_exact_at, write_all_at};

    fn read(disk: &CopyDisk, path: &str) -> Vec<u8> {
        let file = disk.open(path).expect("it is there");
        let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("short")];
        read_exact_at(&*file, &mut bytes, 0).expect("readable");
        bytes
    }

    #[test]
    fn changes_are_seen_and_not_done() {
        let dir = tempfile::tempdir().expect("a directory");
        let before: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        fs::create_dir(dir.path().join("a")).expect("made");
        fs::write(dir.path().join("a/x"), &before).expect("written");
        let disk = CopyDisk::open(dir.path()).expect("opens");
        let file = disk.open("a/x").expect("opens");
        write_all_at(&*file, &mut [IoSlice::new(&[7; 100])], 4_050).expect("written");
        let mut changed = before.clone();
        changed[4_050..4_150].fill(7);
        assert_eq!(read(&disk, "a/x"), changed);
        file.set_len(4_100).expect("cut");
        file.set_len(4_200).expect("grown");
        changed.truncate(4_100);
        changed.resize(4_200, 0);
        disk.rename("a/x", "a/y").expect("renamed");
        assert_eq!(read(&disk, "a/y"), changed);
        assert!(disk.open("a/x").is_err());
        disk.create("a/z").expect("made");
        let names: Vec<String> = disk
            .list("a")
            .expect("listed")
            .into_iter()
            .map(|e| e.name)
            .collect();
        assert_eq!(names, ["y", "z"]);
        disk.remove("a/y").expect("removed");
        assert!(disk.create_dir("b").expect("made") && !disk.create_dir("a").expect("there"));
        assert_eq!(fs::read(dir.path().join("a/x")).expect("there"), before);
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
    }
}
