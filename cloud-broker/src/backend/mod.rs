//! The log behind the doors: one journal, one commit point, many readers.
//!
//! Doors put publishes and agents' requests into an [`Inbox`], or call [`Backend::append`]. One
//! thread takes everything that waits, lets the core decide and place it, writes one chunk, and
//! only when that is durable moves the commit point: then answers are given, reads see the
//! records, [`Watch`] and [`Tail`] tell readers. No linger: while a sync runs, the next chunk
//! gathers.

mod clock;
mod commit;
mod compaction;
mod devices;
mod error;
mod gate;
mod groups;
mod ids;
mod inbox;
mod live;
mod open;
mod options;
mod outline;
mod read;
mod registers;
mod shared;
mod table;
mod watch;
mod worker;
mod writer;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use headwater_broker_core::journal::BATCH_BYTES_MAX;
use headwater_broker_core::segments::{Doubt, Suspicion};
use headwater_broker_core::{Catalog, PartitionId, Stream, StreamId, StreamSpec};
use headwater_store::Store;
use headwater_wire::time::Millis;
use tokio::sync::oneshot;

use shared::{Job, Shared};
use worker::End;

pub use commit::{Commit, CommittedBatch, Tail, TailStep};
pub use devices::{DeviceView, LaneView};
pub use error::{AppendError, CreateError, DeleteError, OpenError, ReadError, Unavailable};
pub use groups::Coordinator;
pub use inbox::{Busy, Inbox, Progress, Submit};
pub use options::{Clock, Options, Space};
pub use outline::Piece;
pub use read::{Bounds, StoredBatch};
pub use watch::Watch;

/// The broker's log. Behind an `Arc`; every method may be called from any thread. Dropping it
/// without [`Backend::stop`] is like a crash: the next start recovers.
#[derive(Debug)]
pub struct Backend {
    shared: Arc<Shared>,
    end: Arc<End>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where a batch came to lie, known once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; for a duplicate, the original's.
    pub base_offset: i64,
    /// First offset of the partition that can be read.
    pub log_start: i64,
    /// Whether the batch lay there already and nothing was written.
    pub duplicate: bool,
}

impl Backend {
    /// Opens or creates the log in `options.data_dir` and recovers it; blocks until that is done.
    ///
    /// # Errors
    /// [`OpenError`]: the directory is in use, cannot be read, or is of a newer format.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        let store = options.open_store()?;
        Self::open_on(store, options)
    }

    /// As [`Backend::open`], on any store.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_on(store: Store, options: Options) -> Result<Arc<Self>, OpenError> {
        let (shared, mut worker, groups, desk) = open::open(store, options)?;
        worker.declare().map_err(OpenError::Unavailable)?;
        let end = Arc::clone(&worker.end);
        let thread = std::thread::Builder::new().name("headwater-journal".to_owned());
        let thread = thread
            .spawn(move || worker.run())
            .map_err(OpenError::Thread)?;
        let backend = Arc::new(Self {
            shared: Arc::clone(&shared),
            end,
            thread: Mutex::new(Some(thread)),
        });
        let coordinator = &shared.coordinator;
        coordinator
            .start(desk, Arc::clone(&shared), groups)
            .map_err(OpenError::Thread)?;
        Ok(backend)
    }

    /// Flushes, writes a snapshot and ends the journal; blocks. What comes later is refused.
    pub fn stop(&self) {
        self.end.orderly.store(true, Ordering::Release);
        self.join();
    }

    /// All streams. Cheap.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.shared.catalog.load_full()
    }

    /// Creates a stream; durable when it returns.
    ///
    /// # Errors
    /// [`CreateError`]: the name is taken, the declaration is wrong, there are too many partitions,
    /// or the log is unavailable.
    pub async fn create_stream(&self, spec: StreamSpec) -> Result<Arc<Stream>, CreateError> {
        spec.check()?;
        let (reply, answer) = oneshot::channel();
        self.shared.submit(Job::Create { spec, reply })?;
        answer
            .await
            .unwrap_or(Err(CreateError::Unavailable(Unavailable::Stopped)))
    }

    /// Deletes a stream with all that it holds; durable when it returns. From then on it takes
    /// nothing, who reads it or waits for it is told that it is not there, and a stream that is
    /// made again under its name is another.
    ///
    /// # Errors
    /// [`DeleteError`]: there is none of this identity, it is internal, or the log is unavailable.
    pub async fn delete_stream(&self, id: StreamId) -> Result<(), DeleteError> {
        let (reply, answer) = oneshot::channel();
        self.shared.submit(Job::Delete { id, reply })?;
        answer
            .await
            .unwrap_or(Err(DeleteError::Unavailable(Unavailable::Stopped)))
    }

    /// The coordinator of consumer groups: whoever lists, describes, joins or deletes groups, at
    /// whatever door, asks it.
    pub fn coordinator(&self) -> &Coordinator {
        &self.shared.coordinator
    }

    /// Identity of the cluster, made with its first start.
    pub fn cluster_id(&self) -> [u8; 16] {
        self.shared.cluster_id
    }

    /// A producer id below 2^52 that was never given before, also not before a restart.
    ///
    /// # Errors
    /// [`Unavailable`] if a block of ids cannot be reserved durably.
    pub async fn producer_id(&self) -> Result<i64, Unavailable> {
        if let Some(id) = self.shared.producer_ids.next() {
            return Ok(id);
        }
        let shared = Arc::clone(&self.shared);
        let reserve = move || shared.producer_ids.reserve(&*shared.store.registers);
        match tokio::task::spawn_blocking(reserve).await {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(error)) => {
                tracing::warn!("No producer ids can be reserved: {error}");
                Err(Unavailable::Failed)
            }
            Err(_) => Err(Unavailable::Stopped),
        }
    }

    /// A place for one MQTT core to put what it receives; lives as long as the backend.
    pub fn inbox(&self) -> Arc<Inbox> {
        let options = &self.shared.options;
        let bytes_max = options.request_memory_bytes / INBOXES_SHARE;
        let gate = Arc::clone(&self.shared.gate);
        let inbox = Arc::new(Inbox::new(gate, bytes_max, options.retry_ms));
        let mut inboxes = self
            .shared
            .inboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        inboxes.push(Arc::clone(&inbox));
        inbox
    }

    /// For how long nobody has written but those who bring much at once, as agents do that return.
    pub fn quiet_for(&self) -> Duration {
        self.shared.live.quiet_for()
    }

    /// Appends a batch of a Kafka or HTTP producer that the door has validated, and returns when
    /// it is durable. As [`Backend::submit`] and then waiting.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended then, as far as anybody was told.
    pub async fn append(
        &self,
        partition: PartitionId,
        batch: Bytes,
    ) -> Result<Appended, AppendError> {
        self.submit(partition, batch, Vec::new()).await?.await
    }

    /// As [`Backend::append`] in two steps: returns when there was room and the batch has its
    /// place in line (those who submit one after the other are appended in that order); the
    /// future that it gives resolves when the batch is durable. `topics`: Bloom filter of the keys
    /// ([`headwater_broker_core::bloom::Topics`]), empty = not known, then MQTT fan-out must open
    /// the batch to see whether anybody wants it.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] if the log takes nothing now (disk full, stopped).
    pub async fn submit(
        &self,
        partition: PartitionId,
        batch: Bytes,
        topics: Vec<u8>,
    ) -> Result<Pending, AppendError> {
        if batch.len() > BATCH_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let room = Arc::clone(&self.shared.room);
        // What is larger than all the room there is waits until it is alone.
        let all = self.shared.options.request_memory_bytes / 2;
        let bytes = u32::try_from(batch.len().min(all)).unwrap_or(u32::MAX);
        let permit = room
            .acquire_many_owned(bytes)
            .await
            .map_err(|_| Unavailable::Stopped)?;
        let (reply, answer) = oneshot::channel();
        self.shared.submit(Job::Append {
            partition,
            batch,
            topics,
            reply,
            _room: permit,
        })?;
        Ok(Pending { answer })
    }

    /// Tells of commits to any of these partitions. Make it first, then read, then await
    /// [`Watch::changed`]: nothing is missed.
    pub fn watch(&self, partitions: &[PartitionId]) -> Watch {
        let table = self.shared.table.load();
        let cells = partitions
            .iter()
            .filter_map(|partition| table.get(partition.index()));
        Watch::new(cells.map(|cell| Arc::clone(&cell.watchers)).collect())
    }

    /// A place at the end of the ring of recent commits.
    pub fn tail(&self) -> Tail {
        self.shared.ring.tail()
    }

    /// Every agent that was ever heard of, by name.
    pub fn devices(&self) -> Vec<DeviceView> {
        self.shared
            .devices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .view()
    }

    /// Why the broker should get no traffic now, for `/readyz`: empty, or of `disk-full`,
    /// `store-failed`, `stopping`, `clock`.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let reason = |trouble| match trouble {
            Unavailable::DiskFull => "disk-full",
            Unavailable::Failed => "store-failed",
            Unavailable::Stopped => "stopping",
        };
        let trouble = self.shared.gate.trouble().map(reason);
        let has_jumped = |found: &Suspicion| found.doubt == Doubt::Ahead;
        let clock = self.shared.clock.suspicion().filter(has_jumped);
        let clock = clock.map(|_| "clock");
        trouble.into_iter().chain(clock).collect()
    }

    /// The wall clock, and what is wrong with it: while something is, nothing is deleted for its
    /// age.
    pub fn clock(&self) -> (Millis, Option<Suspicion>) {
        let now = (self.shared.options.clock)();
        (now, self.shared.clock.suspicion())
    }

    /// Takes the wall clock for right as it is; durable when it returns.
    ///
    /// # Errors
    /// [`Unavailable`] if that cannot be noted.
    pub async fn accept_clock(&self) -> Result<(), Unavailable> {
        let shared = Arc::clone(&self.shared);
        let accept = move || {
            let (wall, monotonic) = {
                let options = &shared.options;
                ((options.clock)(), (options.monotonic)())
            };
            let registers = &*shared.store.registers;
            shared.clock.accept(registers, wall, monotonic)
        };
        match tokio::task::spawn_blocking(accept).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!("The clock cannot be accepted: {error}");
                Err(Unavailable::Failed)
            }
            Err(_) => Err(Unavailable::Stopped),
        }
    }

    fn join(&self) {
        self.shared.gate.ring();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("The journal thread has failed");
        }
        self.shared.coordinator.stop();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.end.abandoned.store(true, Ordering::Release);
        self.join();
    }
}

/// Each inbox may fill this part of the memory for requests; all inboxes together half of it, as
/// long as there are not more cores than this.
const INBOXES_SHARE: usize = 16;

/// Bytes that nobody can guess: ids, nonces.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A batch that waits to become durable; a future.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Result<Appended, AppendError>>,
}

impl Future for Pending {
    type Output = Result<Appended, AppendError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(AppendError::Unavailable(Unavailable::Stopped))))
    }
}

#[cfg(test)]
mod tests;
