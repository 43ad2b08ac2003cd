//! What doors, readers and the journal's thread share.

use std::fmt::Display;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use headwater_broker_core::groups::Record;
use headwater_broker_core::{Catalog, PartitionId, Stream, StreamId, StreamSpec};
use headwater_store::segment::Segments;
use headwater_store::{Incarnation, Store};
use headwater_wire::time::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::clock::GuardedClock;
use super::commit::Ring;
use super::devices::Devices;
use super::gate::Gate;
use super::groups::{Coordinator, Receipt};
use super::ids::ProducerIds;
use super::inbox::Inbox;
use super::live::Live;
use super::options::Options;
use super::outline::Outlines;
use super::table::Cell;
use super::{AppendError, Appended, CreateError, DeleteError, Unavailable};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) store: Store,
    /// Directories and indexes of the segments that were read last.
    pub(super) segments: Arc<Segments>,
    pub(super) cluster_id: [u8; 16],
    /// Whether ages can be trusted.
    pub(super) clock: GuardedClock,
    pub(super) gate: Arc<Gate>,
    pub(super) catalog: ArcSwap<Catalog>,
    /// By partition.
    pub(super) table: ArcSwap<Vec<Arc<Cell>>>,
    /// What stands there in the place of every partition whose stream was deleted.
    pub(super) gone: Arc<Cell>,
    pub(super) ring: Arc<Ring>,
    pub(super) outlines: Outlines,
    /// Whose journals the places in the table speak of; the last is this one.
    pub(super) incarnations: Vec<Incarnation>,
    pub(super) inboxes: Mutex<Vec<Arc<Inbox>>>,
    pub(super) live: Live,
    pub(super) jobs: Mutex<Vec<Job>>,
    /// Bytes that [`Job::Append`] may still take.
    pub(super) room: Arc<Semaphore>,
    pub(super) devices: Mutex<Devices>,
    pub(super) coordinator: Coordinator,
    pub(super) producer_ids: ProducerIds,
}

/// What the journal's thread is asked to do beside emptying inboxes.
#[derive(Debug)]
pub(super) enum Job {
    Append {
        partition: PartitionId,
        batch: Bytes,
        topics: Vec<u8>,
        reply: oneshot::Sender<Result<Appended, AppendError>>,
        /// Gives the room back when the job is done.
        _room: OwnedSemaphorePermit,
    },
    /// What a consumer group should remember.
    Keep {
        group: String,
        records: Vec<Record>,
        receipt: Receipt,
    },
    Create {
        spec: StreamSpec,
        reply: oneshot::Sender<Result<Arc<Stream>, CreateError>>,
    },
    Delete {
        id: StreamId,
        reply: oneshot::Sender<Result<(), DeleteError>>,
    },
}

impl Job {
    pub(super) fn is_append(&self) -> bool {
        matches!(self, Self::Append { .. })
    }
}

impl Shared {
    /// Puts a job behind those that are there, unless nothing is taken now.
    pub(super) fn submit(&self, job: Job) -> Result<(), Unavailable> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: what is put in before the log stops is still answered.
        if let Some(refusal) = self.gate.refusal() {
            return Err(refusal);
        }
        jobs.push(job);
        drop(jobs);
        self.gate.ring();
        Ok(())
    }

    /// The time at which something arrives now, and that ages are measured by.
    pub(super) fn now(&self) -> Millis {
        let options = &self.options;
        self.clock.time((options.clock)(), (options.monotonic)())
    }

    /// What a partition has at these offsets cannot be read. It is logged and counted once.
    pub(super) fn lose(&self, partition: PartitionId, lost: Range<i64>, place: &dyn Display) {
        let table = self.table.load();
        let is_new = table.get(partition.index());
        if !is_new.is_some_and(|cell| cell.lose(lost.start)) {
            return;
        }
        self.options.metrics.damaged_batches.add(1);
        let catalog = self.catalog.load();
        let owner = catalog.owner(partition);
        let stream = owner.and_then(|(id, _)| catalog.by_id(&id));
        tracing::error!(
            "Offsets {} to {} of {}/{} are damaged in {place}, and passed over",
            lost.start,
            lost.end - 1,
            stream.map_or("?", |stream| &stream.spec.name),
            owner.map_or(0, |(_, number)| number),
        );
    }

    pub(super) fn take_jobs(&self) -> Vec<Job> {
        std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
