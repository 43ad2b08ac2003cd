//! The journal becomes segments (`cluster.md` 2.10): the part of it that the journal's thread does.
//!
//! That thread knows the state at the end of the log, and nobody else does. So it decides when a
//! shard is due, takes the shard's state between two chunks (a **cut**), and hands both to the
//! compactor's thread, which writes everything up to the cut into segments, and then what replaces
//! the journal: the manifest. One cut is under way at a time.

mod clean;
mod compactor;
mod cut;
mod gather;
mod keyed;
mod merge;
mod publish;
mod retain;
mod snapshot;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use headwater_broker_core::Entry;
use headwater_broker_core::journal::Journal;
use headwater_broker_core::segments::{Backlogs, Cut};
use headwater_store::StoreError;
use headwater_wire::time::Millis;

use super::Unavailable;
use super::registers;
use super::shared::Shared;
use super::writer::Writer;

pub(super) use clean::{ended_journals, sweep_orphans};
pub(super) use compactor::Compactor;
use cut::CutState;

/// When cuts are made, and what has become of the last.
#[derive(Debug)]
pub(super) struct Compaction {
    shared: Arc<Shared>,
    backlogs: Backlogs,
    /// Shards that have changed since their last snapshot.
    changed: Vec<bool>,
    compactor: Arc<Mutex<Compactor>>,
    thread: Option<Thread>,
    /// The cut that is being worked on.
    open: Option<(u32, Cut)>,
    tidied: Option<Millis>,
    /// By shard: how often in a row its cut has failed.
    failures: BTreeMap<u32, u32>,
}

/// The compactor's thread, and how to speak to it.
#[derive(Debug)]
struct Thread {
    tasks: Option<Sender<Task>>,
    done: Receiver<Ended>,
    busy: bool,
    stop: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

/// What the compactor is asked to do.
#[derive(Debug)]
enum Task {
    /// Put a shard's journal up to a cut into segments.
    Compact(CutState),
    /// Delete what is old and what nothing names.
    Tidy,
}

/// What became of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done,
    /// What lies before this place, journal and slot, is done; the shard has more.
    Partly((u32, u64)),
    Failed,
}

impl Compaction {
    /// `backlogs`: what was found in the journals; `changed`: by shard, whether its snapshot does
    /// not cover all of that.
    pub(super) fn new(
        shared: Arc<Shared>,
        compactor: Compactor,
        backlogs: Backlogs,
        changed: Vec<bool>,
    ) -> Self {
        Self {
            shared,
            backlogs,
            changed,
            compactor: Arc::new(Mutex::new(compactor)),
            thread: None,
            open: None,
            tidied: None,
            failures: BTreeMap::new(),
        }
    }

    /// A chunk with these entries was committed.
    pub(super) fn wrote(&mut self, entries: &[Entry]) {
        let now = (self.shared.options.monotonic)();
        for entry in entries {
            self.backlogs.wrote(entry.shard, entry.len.into(), now);
            if let Some(changed) = self.changed.get_mut(entry.shard as usize) {
                *changed = true;
            }
        }
    }

    /// Called between two chunks, and at least twice a second: begins what is due.
    pub(super) fn tend(&mut self, journal: &mut Journal, writer: &Writer) {
        if !self.is_idle() {
            return;
        }
        let now = (self.shared.options.monotonic)();
        let due = self.due(writer.bytes(), now);
        if let Some(shard) = due.filter(|shard| self.has_room(*shard)) {
            let state = self.cut(shard, journal, writer);
            self.begin(Task::Compact(state));
        } else {
            self.tidy();
        }
    }

    /// Deletes what may be deleted, from time to time. Needs hardly any room on the disk.
    pub(super) fn tidy(&mut self) {
        let now = (self.shared.options.monotonic)();
        let interval_ms = self.shared.options.tidy_ms;
        let is_due = |last: Millis| now.0.saturating_sub(last.0) >= interval_ms;
        if self.is_idle() && self.tidied.is_none_or(is_due) {
            self.tidied = Some(now);
            self.begin(Task::Tidy);
        }
    }

    /// Nothing more is begun. What is under way ends where it can be left.
    pub(super) fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread);
        }
        self.open = None;
    }

    /// Ends, then writes a snapshot of every shard that has changed, so that the next start need
    /// not replay anything.
    pub(super) fn finish(&mut self, journal: &mut Journal, writer: &Writer) {
        self.end();
        let mut compactor = self.compactor();
        for shard in (0..).zip(&self.changed).filter(|(_, changed)| **changed) {
            let state = journal.snapshot(shard.0);
            if let Err(error) = compactor.snapshot(state, writer.next()) {
                // The log is complete without it; the next start only takes longer.
                tracing::warn!("No snapshot of shard {}: {error}", shard.0);
            }
        }
    }

    /// Ends the journal in order, so that the next start finds nothing to do.
    pub(super) fn seal(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let inc = writer.next().inc;
        let end = writer.seal()?;
        registers::move_head(&*self.shared.store.registers, inc, Some(end))
    }

    /// Whether the disk takes what a cut of a shard writes: what that frees is free only later. Where
    /// nobody can tell, it does unless it was full.
    fn has_room(&self, shard: u32) -> bool {
        let options = &self.shared.options;
        let bytes = self.backlogs.bytes(shard).min(options.thresholds.cut_bytes);
        let is_full = self.shared.gate.trouble() == Some(Unavailable::DiskFull);
        (options.space)().map_or(!is_full, |(free, _)| free / 2 >= bytes)
    }

    fn due(&self, journal_bytes: u64, now: Millis) -> Option<u32> {
        let catalog = self.shared.catalog.load();
        let streams = catalog.streams().filter(|stream| !stream.internal);
        let retention = streams.filter_map(|stream| stream.spec.retention_ms).min();
        let thresholds = &self.shared.options.thresholds;
        self.backlogs
            .next(thresholds, now, journal_bytes, retention)
    }

    fn cut(&mut self, shard: u32, journal: &mut Journal, writer: &Writer) -> CutState {
        journal.expire(self.shared.now());
        let changed = self.changed.get_mut(shard as usize);
        let changed = changed.is_some_and(std::mem::take);
        let cut = self.backlogs.cut(shard, writer.bytes());
        self.open = Some((shard, cut));
        CutState {
            shard,
            next: writer.next(),
            journal: writer.journal(),
            state: changed.then(|| journal.snapshot(shard)),
        }
    }

    /// Takes the result of the last task in; false while it is being worked on.
    fn is_idle(&mut self) -> bool {
        let Some(thread) = &mut self.thread else {
            return true;
        };
        if !thread.busy {
            return true;
        }
        match thread.done.try_recv() {
            Ok(done) => {
                thread.busy = false;
                self.ended(done);
                true
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => {
                // It says so when it is joined. The next task begins another.
                self.thread = None;
                self.ended(Ended::Failed);
                true
            }
        }
    }

    fn begin(&mut self, task: Task) {
        if !self.shared.options.compaction_thread {
            let done = self.compactor().work(task);
            return self.ended(done);
        }
        if self.thread.is_none() {
            self.thread = Thread::start(&self.compactor);
        }
        match &mut self.thread {
            Some(thread) => {
                let tasks = thread.tasks.as_ref();
                thread.busy = tasks.is_some_and(|tasks| tasks.send(task).is_ok());
            }
            None => self.ended(Ended::Failed),
        }
    }

    /// A task has ended; after a failure its cut is made again later.
    fn ended(&mut self, ended: Ended) {
        let Some((shard, cut)) = self.open.take() else {
            return;
        };
        if ended != Ended::Failed {
            self.failures.remove(&shard);
        }
        if let Ended::Partly(reached) = ended {
            self.backlogs.goes_on(shard, cut, reached);
        }
        if ended == Ended::Failed {
            let now = (self.shared.options.monotonic)();
            let failures = self.failures.entry(shard).or_default();
            let least = RETRY_MS.max(self.shared.options.retry_ms.into());
            let retry = now.plus(least.saturating_mul(1 << *failures));
            *failures = (*failures + 1).min(DOUBLINGS_MAX);
            self.backlogs.restore(shard, cut, retry);
            if let Some(changed) = self.changed.get_mut(shard as usize) {
                *changed = true;
            }
        }
    }

    fn compactor(&self) -> std::sync::MutexGuard<'_, Compactor> {
        self.compactor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Thread {
    fn start(compactor: &Arc<Mutex<Compactor>>) -> Option<Self> {
        let (tasks, inbox) = channel::<Task>();
        let (tell, done) = channel();
        let compactor = Arc::clone(compactor);
        let stop = {
            let compactor = compactor.lock().unwrap_or_else(PoisonError::into_inner);
            compactor.stop_switch()
        };
        // One before this one may have been stopped.
        stop.store(false, Ordering::Release);
        let work = move || {
            for task in inbox {
                let mut compactor = compactor.lock().unwrap_or_else(PoisonError::into_inner);
                if tell.send(compactor.work(task)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("headwater-compact".to_owned());
        match thread.spawn(work) {
            Ok(handle) => Some(Self {
                tasks: Some(tasks),
                done,
                busy: false,
                stop,
                handle: Some(handle),
            }),
            Err(error) => {
                tracing::warn!("No thread for compaction: {error}");
                None
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.tasks = None;
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            tracing::error!("The compaction thread has failed");
        }
    }
}

/// A cut that failed is tried again after so long; twice as long each time that it fails again.
const RETRY_MS: i64 = 1000;
/// So often at most: about a minute.
const DOUBLINGS_MAX: u32 = 6;
