//! The durable log: what a source handed over is here, synced, before it is acknowledged, and
//! stays until the broker has it.
//!
//! One thread owns the files and every decision; [`Log`] is a cheap handle to it. The thread
//! takes all appends that wait, makes them durable with one sync, and only then resolves them.
//! The open tail of each lane lives in a small journal (`tail`) that is synced by overwriting;
//! full batches lie in `segments`, small redb databases that are deleted whole. `FORMAT.md`
//! beside this crate says every byte.

mod append;
mod clock;
mod copy;
mod device;
mod direct;
mod disk;
mod engine;
mod error;
pub(crate) mod fuzz;
mod inspect;
mod lock;
mod options;
mod reader;
mod rebuild;
mod room;
mod segments;
mod space;
mod status;
mod step;
mod sync_times;
mod tail;
mod thread;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::handshake::{Handshake, ResumeAnswer};
use headwater_agent_core::lane::{LaneName, LaneState, SealedBatch};
use headwater_wire::uplink::{Position, RepairReason};

pub use self::append::{Append, Event};
pub use self::clock::{Clock, SystemClock};
pub use self::device::device_of;
pub use self::disk::{Disk, DiskFile, FileDisk};
pub use self::error::{AppendError, OpenError, ReadError};
pub use self::inspect::{InspectedLane, Inspection, files_of, inspect, repair};
pub use self::lock::{DirLock, LockError, holder};
pub use self::options::{LogOptions, MAX_BYTES_MIN};
pub use self::reader::{StoredRecord, read_records};
pub use self::rebuild::{LostIdentity, has_lost_identity};
pub(crate) use self::room::{EVENT_MEMORY_BYTES, Held, Room, Use};
pub use self::status::{Alarm, LaneStatus, LogStatus};
pub use self::step::{CURSOR_BYTES_MAX, EVENT_OVERHEAD_BYTES, STEP_BYTES_MAX, Step};
pub use self::sync_times::SyncCounts;
pub use self::watch::Watch;

/// Takes the data directory `dir`, so that what is done in several steps is done alone: for
/// [`LogOptions::lock`].
///
/// # Errors
/// Another process has it, or the file system fails.
pub fn hold(dir: &std::path::Path) -> Result<Arc<DirLock>, OpenError> {
    lock::hold(&FileDisk, dir).map(Arc::new)
}

/// A handle to the open log. Clones share it; the log stops when it is told to, or when the last
/// handle is dropped.
#[derive(Debug, Clone)]
pub struct Log {
    inner: Arc<thread::Handle>,
    room: Room,
}

impl Log {
    /// Opens the log in `options.dir`, creating it if there is none. Recovery is over when this
    /// returns.
    pub fn open(options: LogOptions) -> Result<Self, OpenError> {
        Ok(Self {
            inner: Arc::new(thread::Handle::start(options)?),
            room: Room::default(),
        })
    }

    /// Appends `events`, in this order, to the stream's lane. The future resolves once they are
    /// durable; with an error none of them is. The call itself puts them in line: the order of
    /// calls is the order in the log, and dropping the future takes nothing back.
    pub fn append(&self, stream: &str, events: Vec<Event>) -> Append {
        self.inner.append(LaneName::main(stream), events)
    }

    /// Appends the events of `step` and makes its cursor durable with them: after a crash both
    /// are there, or neither is. A source has one step in line at a time.
    pub fn append_step(&self, step: Step) -> Append {
        self.inner.append_step(step)
    }

    /// The cursor of the last step of `source` that is durable.
    pub async fn cursor(&self, source: &str) -> Option<Bytes> {
        self.inner.cursor(source.to_owned()).await
    }

    /// What all sources of this log together may hold in memory.
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// The device name that the log was made with.
    pub fn device(&self) -> &str {
        self.inner.device()
    }

    /// The lanes, in order of their names, as of the last commit.
    pub fn lanes(&self) -> Vec<LaneState> {
        self.inner.lanes()
    }

    /// Tells of changes to what [`Self::lanes`] and [`Self::status`] say.
    pub fn watch(&self) -> Watch {
        self.inner.watch()
    }

    /// The sealed, durable batch that begins at `from`; `None` if nothing is sealed there yet.
    pub async fn next_batch(
        &self,
        lane: &LaneName,
        from: Position,
    ) -> Result<Option<SealedBatch>, ReadError> {
        self.inner.next_batch(lane.clone(), from).await
    }

    /// Says whether batches can leave: only then are they closed by age.
    pub fn set_link(&self, up: bool) {
        self.inner.set_link(up);
    }

    /// The broker holds everything of `lane` below `up_to`. Costs no sync of its own.
    pub fn acknowledge(&self, lane: &LaneName, up_to: Position) {
        self.inner.acknowledge(lane.clone(), up_to);
    }

    /// Compares the broker's answer to `resume` with what the log holds, and makes durable what
    /// follows from it (a declared loss, the stream's topic id).
    pub async fn handshake(
        &self,
        lane: &LaneName,
        answer: ResumeAnswer,
    ) -> Result<Handshake, ReadError> {
        self.inner.handshake(lane.clone(), answer).await
    }

    /// The broker refused the batch at `first` for good: it is declared lost, reason `refused`,
    /// and [`Self::next_batch`] gives the declaration in its place.
    pub async fn set_aside(&self, lane: &LaneName, first: Position) -> Result<(), ReadError> {
        self.inner.set_aside(lane.clone(), first).await
    }

    /// The lane's stream does not exist, and what it holds is not to wait for it: it is given up,
    /// and declared lost, reason `refused`, if the stream comes to be.
    pub async fn give_up(&self, lane: &LaneName) -> Result<(), ReadError> {
        self.inner.give_up(lane.clone()).await
    }

    /// Goes on with the lane under the generation that the broker reserved, durably: what is not
    /// acknowledged gets its producer id, and positions from 0 on. Gives the lane as it is then.
    pub async fn repair(
        &self,
        lane: &LaneName,
        generation: u32,
        reason: RepairReason,
    ) -> Result<LaneState, ReadError> {
        self.inner.repair(lane.clone(), generation, reason).await
    }

    /// The lane cannot be sent: `error` is shown, and it may fill half of `max_bytes` at most.
    pub fn hold(&self, lane: &LaneName, error: String) {
        self.inner.hold(lane.clone(), Some(error));
    }

    /// The lane can be sent again.
    pub fn release(&self, lane: &LaneName) {
        self.inner.hold(lane.clone(), None);
    }

    /// Figures for `status`, as of now.
    pub async fn status(&self) -> LogStatus {
        self.inner.status().await
    }

    /// Finishes what waits, closes the files and frees the directory. Later calls fail with
    /// `Stopped`.
    pub async fn stop(&self) {
        self.inner.stop().await;
    }
}

#[cfg(test)]
mod tests;
