//! Files that are ready to become journal files: filled with zeros, or recycled.
//!
//! Syncing an overwrite of space that was written before costs half of syncing an append, and a
//! tenth at p99. The next file is prepared by a thread before it is needed, so no commit waits.

use std::io::IoSlice;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use super::LocalOptions;
use super::layout::{JOURNALS, PAGE_BYTES};
use crate::disk::{self, Disk, DiskFile};
use crate::error::StoreError;

/// Bytes written at once while a file is filled, and how many of these between two syncs: small
/// enough that a commit's own sync does not wait behind a flood.
const FILL_BYTES: usize = 1 << 20;
const FILLS_PER_SYNC: u64 = 4;

/// The spare files of a data directory.
#[derive(Debug)]
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    options: LocalOptions,
    state: Mutex<State>,
    /// Held while a file of the usual size is made, so that two are never made where one would do.
    making: Mutex<()>,
}

/// A whole file that nothing refers to.
#[derive(Clone, Debug)]
pub(super) struct Spare {
    pub(super) path: String,
    /// Its length.
    pub(super) bytes: u64,
}

/// The thread that prepares the next file. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Preparer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    ready: Vec<Spare>,
    next: u64,
    any_made: bool,
}

impl Spares {
    /// Takes over the spares that an earlier life left; half-made ones are removed.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        options: LocalOptions,
    ) -> Result<Arc<Self>, StoreError> {
        let directory = directory();
        let fail = |error| StoreError::io("Cannot open", disk.show(&directory), error);
        disk::create_dirs(&*disk, &directory).map_err(fail)?;
        let mut state = State::default();
        for entry in disk.list(&directory).map_err(fail)? {
            let path = format!("{directory}/{}", entry.name);
            let number: Option<u64> = entry
                .name
                .strip_suffix(".log")
                .and_then(|name| name.parse().ok());
            match number {
                Some(number) if state.ready.len() < options.spares_max => {
                    let bytes = disk.open(&path).and_then(|file| file.len()).map_err(fail)?;
                    state.ready.push(Spare { path, bytes });
                    state.next = state.next.max(number + 1);
                }
                Some(_) | None => disk.remove(&path).map_err(fail)?,
            }
        }
        Ok(Arc::new(Self {
            disk,
            options,
            state: Mutex::new(state),
            making: Mutex::default(),
        }))
    }

    /// A file of at least `bytes_min`: a ready one, or one made now.
    pub(super) fn take(&self, bytes_min: u64) -> Result<Spare, StoreError> {
        if let Some(spare) = self.ready(bytes_min) {
            return Ok(spare);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spare) = self.ready(bytes_min) {
            return Ok(spare);
        }
        let usual = match self.lock().any_made {
            true => self.options.file_bytes,
            false => self.options.first_file_bytes,
        };
        self.make(usual.max(bytes_min), || true)
    }

    /// A small file of exactly `bytes`, for what ends a journal.
    pub(super) fn take_small(&self, bytes: u64) -> Result<Spare, StoreError> {
        self.make(bytes, || true)
    }

    /// Keeps a file that is no longer needed for use again, or removes it.
    pub(super) fn give(&self, path: &str) -> Result<(), StoreError> {
        let fail = |error| StoreError::io("Cannot recycle", self.disk.show(path), error);
        let bytes = self
            .disk
            .open(path)
            .and_then(|file| file.len())
            .map_err(fail)?;
        let mut state = self.lock();
        if bytes != self.options.file_bytes || state.ready.len() >= self.options.spares_max {
            return self.disk.remove(path).map_err(fail);
        }
        let spare = Spare {
            path: self.next_path(&mut state),
            bytes,
        };
        self.disk.rename(path, &spare.path).map_err(fail)?;
        // Before anything else may use the file, its old name has to be gone for good.
        self.disk.sync_dir(disk::parent(path)).map_err(fail)?;
        state.ready.push(spare);
        Ok(())
    }

    fn ready(&self, bytes_min: u64) -> Option<Spare> {
        let ready = &mut self.lock().ready;
        let fits = ready.iter().position(|spare| spare.bytes >= bytes_min)?;
        Some(ready.swap_remove(fits))
    }

    /// Makes one more file if none of the usual size is ready. `go_on` is asked between steps.
    fn prepare(&self, go_on: impl Fn() -> bool) -> Result<(), StoreError> {
        let usual = self.options.file_bytes;
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock().ready.iter().any(|spare| spare.bytes >= usual) {
            return Ok(());
        }
        let spare = self.make(usual, go_on)?;
        self.lock().ready.push(spare);
        Ok(())
    }

    /// Fills a new file with zeros, durable before it gets the name of a spare.
    fn make(&self, bytes: u64, go_on: impl Fn() -> bool) -> Result<Spare, StoreError> {
        let bytes = bytes.next_multiple_of(PAGE_BYTES);
        let path = self.next_path(&mut self.lock());
        let unfinished = path.replace(".log", ".tmp");
        // Zeros that went through the cache cost as much processor time as the log's own writes,
        // and drove what readers want out of it.
        let made =
            (self.disk.create_uncached(&unfinished)).and_then(|file| fill(&*file, bytes, &go_on));
        if let Err(error) = made.and_then(|()| self.disk.rename(&unfinished, &path)) {
            // On a full disk the space is needed; if it cannot be given back, the next start does.
            let _ = self.disk.remove(&unfinished);
            return Err(StoreError::io("Cannot make", self.disk.show(&path), error));
        }
        self.lock().any_made = true;
        Ok(Spare { path, bytes })
    }

    fn next_path(&self, state: &mut State) -> String {
        let number = state.next;
        state.next += 1;
        format!("{}/{number:08}.log", directory())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in there is ever half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Preparer {
    /// Starts the thread, unless the options say otherwise.
    pub(super) fn start(spares: &Arc<Spares>) -> Result<Self, StoreError> {
        if !spares.options.prepare {
            return Ok(Self {
                wake: None,
                thread: None,
            });
        }
        let (wake, woken) = sync_channel(1);
        let weak = Arc::downgrade(spares);
        let thread = thread::Builder::new()
            .name("journal-files".into())
            .spawn(move || run(&woken, &weak))
            .map_err(|error| StoreError::io("Cannot start", "the journal-files thread", error))?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Asks for one more file to be ready soon.
    pub(super) fn want(&self) {
        if let Some(wake) = &self.wake {
            match wake.try_send(()) {
                // Asked already, or the thread has ended: then files are made when needed.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and costs only that files are made when needed.
            let _ = thread.join();
        }
    }
}

/// Failures are left to the commit that needs the file, which tries by itself and reports.
fn run(woken: &Receiver<()>, spares: &Weak<Spares>) {
    while woken.recv().is_ok() {
        let Some(spares) = spares.upgrade() else {
            return;
        };
        let _ = spares.prepare(|| !disconnected(woken));
    }
}

/// Takes a wish along; one more is not needed while a file is being made.
fn disconnected(woken: &Receiver<()>) -> bool {
    matches!(
        woken.try_recv(),
        Err(std::sync::mpsc::TryRecvError::Disconnected)
    )
}

fn fill(file: &dyn DiskFile, bytes: u64, go_on: &impl Fn() -> bool) -> std::io::Result<()> {
    let length = FILL_BYTES.min(usize::try_from(bytes).unwrap_or(FILL_BYTES));
    let zeros = vec![0; length];
    for (step, position) in (0..bytes).step_by(zeros.len().max(1)).enumerate() {
        if !go_on() {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let rest = usize::try_from(bytes - position).unwrap_or(usize::MAX);
        let zeros = &zeros[..zeros.len().min(rest)];
        disk::write_all_at(file, &mut [IoSlice::new(zeros)], position)?;
        if (step as u64 + 1).is_multiple_of(FILLS_PER_SYNC) {
            file.sync_data()?;
        }
    }
    file.sync_data()
}

fn directory() -> String {
    format!("{JOURNALS}/spare")
}
