//! A disk in memory that can lose power, tear writes, fail a sync and fill up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Random, small};
use crate::log::disk::{Disk, DiskFile};
use crate::log::lock::{DirLock, LockError};

const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: u64 = 4096;

/// Clones share the disk.
#[derive(Clone)]
pub(in crate::log) struct FakeDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    files: BTreeMap<PathBuf, Content>,
    /// Removed, but a crash may bring them back: directories are not synced for that.
    removed: BTreeMap<PathBuf, Content>,
    /// Operations left until the power goes.
    power: Option<u64>,
    /// Syncs left until one fails.
    sync_failure: Option<u64>,
    /// Pages that may be allocated.
    pages_max: Option<u64>,
    syncs: u64,
}

/// What a file holds, and what a crash may leave of it.
#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
    pages: BTreeSet<u64>,
}

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    path: PathBuf,
}

impl FakeDisk {
    pub(in crate::log) fn new(seed: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            power: None,
            sync_failure: None,
            pages_max: None,
            syncs: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics with the disk in hand")
    }

    /// The power goes in the middle of the operation after `operations` more.
    pub(in crate::log) fn cut_power_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    /// The sync after `syncs` more fails, once.
    pub(in crate::log) fn fail_sync_after(&self, syncs: u64) {
        self.state().sync_failure = Some(syncs);
    }

    pub(in crate::log) fn limit_pages(&self, pages: Option<u64>) {
        self.state().pages_max = pages;
    }

    pub(in crate::log) fn has_power(&self) -> bool {
        self.state().power != Some(0)
    }

    pub(in crate::log) fn pages(&self) -> u64 {
        self.state()
            .files
            .values()
            .map(|file| file.pages.len() as u64)
            .sum()
    }

    pub(in crate::log) fn names(&self) -> Vec<PathBuf> {
        self.state().files.keys().cloned().collect()
    }

    /// Changes a file behind the log's back.
    pub(in crate::log) fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let content = state.files.get_mut(path).expect("the file is there");
        edit(&mut content.now);
        content.durable = content.now.clone();
    }

    /// Another disk with the same content, as after a copy.
    pub(in crate::log) fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        let mut files = self.state().files.clone();
        for content in files.values_mut() {
            content.durable.clone_from(&content.now);
            content.pending.clear();
        }
        copy.state().files = files;
        copy
    }

    /// What is left when the power comes back: of what was not synced, some, in pieces.
    pub(in crate::log) fn crash(&self) -> Self {
        let mut state = self.state();
        let mut random = state.random.clone();
        let removed = std::mem::take(&mut state.removed);
        let back: Vec<_> = removed.into_iter().filter(|_| random.one_in(2)).collect();
        let mut files = std::mem::take(&mut state.files);
        for (path, content) in back {
            files.entry(path).or_insert(content);
        }
        for content in files.values_mut() {
            content.crash(&mut random);
        }
        let crashed = Self::new(random.next());
        crashed.state().files = files;
        crashed
    }
}

impl State {
    /// One operation; an error if there is no power. `true` if the power goes within it.
    fn step(&mut self) -> io::Result<bool> {
        match &mut self.power {
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                *left -= 1;
                Ok(*left == 0)
            }
            None => Ok(false),
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut Content> {
        self.files
            .get_mut(path)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn allocate(&mut self, path: &Path, offset: usize, bytes: usize) -> io::Result<()> {
        let used: u64 = self
            .files
            .values()
            .map(|file| file.pages.len() as u64)
            .sum();
        let max = self.pages_max.unwrap_or(u64::MAX);
        let file = self.file(path)?;
        let pages = offset as u64 / PAGE_BYTES..(offset + bytes) as u64 / PAGE_BYTES + 1;
        let new: Vec<u64> = pages.filter(|page| !file.pages.contains(page)).collect();
        if used + new.len() as u64 > max {
            return Err(io::Error::from_raw_os_error(28));
        }
        file.pages.extend(new);
        Ok(())
    }
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[offset..end].copy_from_slice(bytes);
        self.pending.push((offset, bytes.to_vec()));
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for (offset, bytes) in self.pending.drain(..) {
            let end = (offset + bytes.len()).min(self.durable.len());
            if offset < end {
                self.durable[offset..end].copy_from_slice(&bytes[..end - offset]);
            }
        }
    }

    /// The pages are clean now, and what they held need not be on the disk.
    fn fail_sync(&mut self, random: &mut Random) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            self.land(offset, &bytes, random);
        }
    }

    fn land(&mut self, offset: usize, bytes: &[u8], random: &mut Random) {
        let chance = random.below(3);
        for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
            if chance == 0 || (chance == 1 && random.one_in(2)) {
                continue;
            }
            let at = offset + index * SECTOR_BYTES;
            if self.durable.len() < at + sector.len() {
                self.durable.resize(at + sector.len(), 0);
            }
            self.durable[at..at + sector.len()].copy_from_slice(sector);
        }
    }

    fn crash(&mut self, random: &mut Random) {
        let length = if random.one_in(2) {
            self.now.len()
        } else {
            self.durable.len()
        };
        self.fail_sync(random);
        let length = length.max(self.durable.len());
        self.durable.resize(length, 0);
        self.now.clone_from(&self.durable);
    }
}

impl fmt::Debug for FakeDisk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("FakeDisk")
    }
}

impl Disk for FakeDisk {
    fn lock(&self, _dir: &Path) -> Result<DirLock, LockError> {
        Ok(DirLock::none())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.state().step().map(drop)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        let is_last = state.step()?;
        let bytes = small(bytes);
        state.files.insert(path.to_owned(), Content::default());
        let made = if is_last {
            state.random.index(bytes + 1)
        } else {
            bytes
        };
        if made > 0 {
            state.allocate(path, 0, made - 1)?;
        }
        let content = state.file(path)?;
        content.now = vec![0; made];
        content.durable = vec![0; made];
        if is_last {
            return Err(io::Error::other("power went"));
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.state().file(path)?;
        Ok(Arc::new(FakeFile {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok());
        let names: BTreeSet<String> = inside
            .filter_map(|path| path.iter().next())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        Ok(names.into_iter().collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let content = state.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.removed.insert(path.to_owned(), content);
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self
            .state()
            .files
            .get(path)
            .map(|content| content.now.clone()))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.step()? {
            return Err(io::Error::other("power went"));
        }
        let (now, durable) = (content.to_vec(), content.to_vec());
        let file = Content {
            now,
            durable,
            ..Content::default()
        };
        state.files.insert(path.to_owned(), file);
        Ok(())
    }

    fn allocated(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state
            .files
            .get(path)
            .map_or(0, |file| file.pages.len() as u64 * PAGE_BYTES))
    }
}

impl DiskFile for FakeFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().file(&self.path)?.now.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let file = state.file(&self.path)?;
        let offset = small(offset);
        let bytes = file.now.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let is_last = state.step()?;
        let offset = small(offset);
        state.allocate(&self.path, offset, bytes.len().saturating_sub(1))?;
        state.file(&self.path)?.write(offset, bytes);
        if is_last {
            Err(io::Error::other("power went"))
        } else {
            Ok(())
        }
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let bytes = small(bytes);
        state.file(&self.path)?.now.resize(bytes, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.step()? {
            return Err(io::Error::other("power went"));
        }
        state.syncs += 1;
        let fails = match &mut state.sync_failure {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        let mut random = state.random.clone();
        let content = state.file(&self.path)?;
        if fails {
            content.fail_sync(&mut random);
            state.sync_failure = None;
            state.random = random;
            return Err(io::Error::from_raw_os_error(5));
        }
        content.sync();
        Ok(())
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self.disk.state().file(&self.path)?.pages.len() as u64 * PAGE_BYTES)
    }
}
