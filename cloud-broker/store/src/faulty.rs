//! A disk in memory that loses power, lies, tears, fails and fills up, as a plan says; and in
//! [`calls`], a store whose calls go wrong above any disk, with a [`history`] of them.
//!
//! The disk stands under the real local engine, so that what is tested is what runs. After a power
//! loss, of what was not synced any part may be there: whole, none, or single sectors of 512
//! bytes, in any order; the same for names in directories that were not synced. The seed decides.

pub mod calls;
mod file;
pub mod history;
mod names;
mod random;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::file::{Content, FakeFile};
use self::names::{Names, Node};
use self::random::Random;
use crate::disk::{DirEntry, Disk};
use crate::error::EIO;

/// What goes wrong, and when. Numbers count from 1; none means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// The power fails during this change (write, length, name or sync).
    pub power_off_at_change: Option<u64>,
    /// This sync of a file fails, and the system takes its pages for written all the same.
    pub fail_sync: Option<u64>,
    /// From this sync of a file on, syncs answer that all is well and do nothing.
    pub lie_from_sync: Option<u64>,
    /// Changes of a path in which this stands, or to one, fail.
    pub fail_changes_of: Option<&'static str>,
    /// No more bytes than this on the whole disk.
    pub bytes_max: Option<u64>,
    /// One bit of what this read of a journal or an object gives is another than on the disk; a
    /// register is read by a library that does not look.
    pub flip_read: Option<u64>,
    /// In files in whose path this stands the disk cannot give the bytes from here to there.
    pub unreadable: Option<(&'static str, u64, u64)>,
    /// Reads and writes end early, wherever the seed says.
    pub short: bool,
}

/// One call that changed the disk, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which file or directory.
    pub path: String,
    /// What was done.
    pub what: Did,
    /// False if it failed.
    pub done: bool,
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// A new, empty file.
    Create,
    /// Bytes at a position.
    Write {
        /// First byte.
        position: u64,
        /// Number of bytes.
        bytes: u64,
    },
    /// Another length.
    SetLen {
        /// In bytes.
        bytes: u64,
    },
    /// A file's bytes were made durable.
    Sync,
    /// A file got another name.
    Rename {
        /// The new one.
        to: String,
    },
    /// A file or an empty directory went away.
    Remove,
    /// A new directory.
    CreateDir,
    /// A directory's names were made durable.
    SyncDir,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FakeDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    plan: FaultPlan,
    random: Random,
    power: bool,
    /// Rises when the process or the power ends: files opened before are gone.
    life: u64,
    names: Names,
    contents: Vec<Content>,
    changes: u64,
    syncs: u64,
    reads: u64,
    history: Vec<Change>,
}

impl FakeDisk {
    /// An empty disk without faults.
    pub fn new(seed: u64) -> Self {
        let state = State {
            plan: FaultPlan::default(),
            random: Random::new(seed),
            power: true,
            life: 0,
            names: Names::default(),
            contents: Vec::new(),
            changes: 0,
            syncs: 0,
            reads: 0,
            history: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The disk for [`crate::local::open_on`], for one life of a process: after
    /// [`FakeDisk::crash`] or [`FakeDisk::kill`] it answers nothing but errors.
    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(Mounted {
            disk: self.clone(),
            life: self.lock().life,
        })
    }

    /// From now on these faults; counts begin anew.
    pub fn plan(&self, plan: FaultPlan) {
        let mut state = self.lock();
        state.plan = plan;
        state.changes = 0;
        state.syncs = 0;
        state.reads = 0;
    }

    /// Power loss and restart: what was not synced is lost or not, in parts, as the seed says.
    /// The plan ends.
    pub fn crash(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for content in &mut state.contents {
            content.lose_power(&mut state.random);
        }
        state.names.lose_power(&mut state.random);
        state.begin_life();
    }

    /// The process dies and is started again; the system goes on. The plan ends.
    pub fn kill(&self) {
        self.lock().begin_life();
    }

    /// True until a planned power loss has come.
    pub fn is_powered(&self) -> bool {
        self.lock().power
    }

    /// Changes since the plan was made.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Reads of journals and objects since the plan was made.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// All changes since the beginning, in order.
    pub fn history(&self) -> Vec<Change> {
        self.lock().history.clone()
    }

    /// Names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        self.lock().names.files()
    }

    /// Bytes of a file, or none.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let at = state.names.file(path).ok()?;
        Some(state.contents[at].bytes_mut().clone())
    }

    /// Puts these bytes in place of a file's, durably, behind everyone's back. Makes the file,
    /// and its directories, if there is none.
    pub fn replace(&self, path: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let at = match state.names.file(path) {
            Ok(at) => at,
            Err(_) => {
                let at = state.contents.len();
                state.contents.push(Content::default());
                state.names.insert_durable(path, at);
                at
            }
        };
        state.contents[at] = Content::durable(bytes);
    }

    /// Takes a file away, durably, behind everyone's back.
    pub fn lose(&self, path: &str) {
        self.lock().names.lose(path);
    }

    /// Turns one bit of a file round, durably, behind everyone's back.
    pub fn flip_bit(&self, path: &str, bit: u64) {
        let mut bytes = self.contents(path).unwrap_or_default();
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << (bit % 8);
        }
        self.replace(path, bytes);
    }

    /// Cuts a file, durably, behind everyone's back.
    pub fn cut(&self, path: &str, bytes: usize) {
        let mut kept = self.contents(path).unwrap_or_default();
        kept.truncate(bytes);
        self.replace(path, kept);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The disk as one life of a process sees it.
#[derive(Debug)]
struct Mounted {
    disk: FakeDisk,
    life: u64,
}

impl Mounted {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        state.check(self.life)?;
        Ok(state)
    }
}

impl Disk for Mounted {
    fn open(&self, path: &str) -> io::Result<Arc<dyn crate::disk::DiskFile>> {
        let at = self.state()?.names.file(path)?;
        Ok(Arc::new(FakeFile::new(
            self.disk.clone(),
            self.life,
            at,
            path,
        )))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn crate::disk::DiskFile>> {
        let mut state = self.state()?;
        let at = state.contents.len();
        state.contents.push(Content::default());
        state.change(path, Did::Create, |state| {
            state.names.put(path, Node::File(at))
        })?;
        Ok(Arc::new(FakeFile::new(
            self.disk.clone(),
            self.life,
            at,
            path,
        )))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let what = Did::Rename { to: to.to_owned() };
        self.state()?
            .change(from, what, |state| state.names.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.state()?.change(path, Did::Remove, |state| {
            state.names.file(path)?;
            state.names.remove(path)
        })
    }

    fn create_dir(&self, path: &str) -> io::Result<bool> {
        let mut state = self.state()?;
        if state.names.is_dir(path) {
            return Ok(false);
        }
        state.change(path, Did::CreateDir, |state| {
            state.names.put(path, Node::Directory)
        })?;
        Ok(true)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.state()?
            .change(path, Did::Remove, |state| state.names.remove(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.state()?
            .change(path, Did::SyncDir, |state| state.names.sync(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        Ok(self.state()?.names.list(path))
    }

    fn show(&self, path: &str) -> String {
        path.to_owned()
    }
}

impl State {
    fn check(&self, life: u64) -> io::Result<()> {
        match self.power && life == self.life {
            true => Ok(()),
            false => Err(io::Error::other("The power is off")),
        }
    }

    /// Counts, does and notes one change. A power loss in the middle of it leaves it done but
    /// not durable, which the crash then settles; a sync it leaves undone.
    fn change<T>(
        &mut self,
        path: &str,
        what: Did,
        work: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        self.changes += 1;
        let dies = self.plan.power_off_at_change == Some(self.changes);
        let syncs = matches!(what, Did::Sync | Did::SyncDir);
        let fails = self.plan.fail_changes_of.is_some_and(|part| {
            let is_to = |what: &Did| matches!(what, Did::Rename { to } if to.contains(part));
            path.contains(part) || is_to(&what)
        });
        let result = match (dies && syncs, fails) {
            (true, _) => Err(io::Error::other("The power is off")),
            (false, true) => Err(io::Error::from_raw_os_error(EIO)),
            (false, false) => work(self),
        };
        self.power &= !dies;
        let result = result.and_then(|value| match dies {
            true => Err(io::Error::other("The power is off")),
            false => Ok(value),
        });
        self.history.push(Change {
            path: path.to_owned(),
            what,
            done: result.is_ok(),
        });
        result
    }

    fn begin_life(&mut self) {
        self.life += 1;
        self.power = true;
        self.plan = FaultPlan::default();
        self.changes = 0;
        self.syncs = 0;
        self.reads = 0;
    }
}
