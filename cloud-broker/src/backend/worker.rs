//! The journal's thread: takes everything that waits, lets the core decide, writes one chunk, and
//! when that is durable tells everybody. One write at a time, and no linger: while it runs, the
//! next chunk gathers.

mod streams;
mod tell;
mod trouble;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use headwater_broker_core::journal::{Draft, Journal};
use headwater_broker_core::submit::Buffer;
use headwater_broker_core::{Answer, PartitionId};

use super::Unavailable;
use super::commit::CommittedBatch;
use super::compaction::Compaction;
use super::gate::Gate;
use super::inbox::Inbox;
use super::read::StoredBatch;
use super::shared::{Job, Shared};
use super::writer::{Writer, Written};
use tell::Told;

/// What the thread owns.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    pub(super) writer: Writer,
    pub(super) compaction: Compaction,
    pub(super) end: Arc<End>,
    stations: Vec<Station>,
    told_at_commit: Vec<Told>,
    failures: u32,
    retry_at: Option<Instant>,
    space_seen: Option<Instant>,
}

/// How the thread is told to end.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Flush, snapshot, seal.
    pub(super) orderly: AtomicBool,
    /// At once, as if the power had failed.
    pub(super) abandoned: AtomicBool,
}

/// One inbox, and what was taken from it.
#[derive(Debug)]
struct Station {
    inbox: Arc<Inbox>,
    buffer: Buffer,
    answers: Vec<Answer>,
    ticket: Option<u64>,
}

impl Station {
    fn is_live(&self) -> bool {
        self.ticket.is_some() && self.buffer.is_live()
    }
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        journal: Journal,
        writer: Writer,
        compaction: Compaction,
        end: Arc<End>,
    ) -> Self {
        Self {
            shared,
            journal,
            writer,
            compaction,
            end,
            stations: Vec::new(),
            told_at_commit: Vec::new(),
            failures: 0,
            retry_at: None,
            space_seen: None,
        }
    }

    /// Works until it is told to end.
    pub(super) fn run(mut self) {
        let gate = Arc::clone(&self.shared.gate);
        let _fence = Fence(Arc::clone(&gate));
        gate.attend();
        while !self.end.abandoned.load(Ordering::Acquire) {
            if self.end.orderly.load(Ordering::Acquire) {
                return self.stop();
            }
            let most = if gate.trouble().is_some() {
                self.retry_after()
            } else {
                IDLE_MAX
            };
            let rung = gate.wait(most);
            self.look_after_trouble();
            if rung {
                self.turn();
            }
            match self.shared.gate.trouble() {
                // What is old can go from a full disk, and what becomes segments frees the journal.
                None | Some(Unavailable::DiskFull) => {
                    self.compaction.tend(&mut self.journal, &self.writer);
                }
                Some(Unavailable::Failed | Unavailable::Stopped) => {}
            }
        }
        self.compaction.end();
    }

    /// Takes everything that waits and commits it.
    fn turn(&mut self) {
        self.take();
        let jobs = self.shared.take_jobs();
        if self.stations.iter().any(Station::is_live) || jobs.iter().any(Job::is_append) {
            self.shared.live.note();
        }
        let mut jobs = jobs.into_iter();
        self.journal.begin(self.shared.now());
        if let Err(trouble) = self.work(&mut jobs) {
            self.fail(trouble, jobs);
        }
    }

    fn work(&mut self, jobs: &mut impl Iterator<Item = Job>) -> Result<(), Unavailable> {
        for job in jobs {
            self.handle_job(job);
            if self.journal.is_full() {
                self.write_chunk()?;
            }
        }
        for at in 0..self.stations.len() {
            if self.stations[at].ticket.is_none() {
                continue;
            }
            while !self.empty_station(at) {
                self.write_chunk()?;
            }
            self.told_at_commit.push(Told::Covered(at));
        }
        self.write_chunk()
    }

    /// Takes the buffers of all inboxes, those that are new too.
    fn take(&mut self) {
        let inboxes = self
            .shared
            .inboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for inbox in &inboxes[self.stations.len()..] {
            self.stations.push(Station {
                inbox: Arc::clone(inbox),
                buffer: Buffer::default(),
                answers: Vec::new(),
                ticket: None,
            });
        }
        drop(inboxes);
        for station in &mut self.stations {
            station.ticket = station.inbox.take(&mut station.buffer);
        }
    }

    fn empty_station(&mut self, at: usize) -> bool {
        let station = &mut self.stations[at];
        self.journal.take(&mut station.buffer, &mut station.answers)
    }

    fn handle_job(&mut self, job: Job) {
        let told = match job {
            Job::Append {
                partition,
                batch,
                topics,
                reply,
                _room,
            } => match self.journal.append(partition, &batch, topics) {
                Ok(placed) => Told::Appended {
                    reply,
                    partition,
                    placed,
                    _room,
                },
                Err(refusal) => Told::Refused(reply, refusal.into()),
            },
            Job::Create { spec, reply } => self.create_stream(spec, reply),
            Job::Delete { id, reply } => self.delete_stream(&id, reply),
            Job::Keep {
                group,
                records,
                receipt,
            } => {
                self.journal.keep_group(&group, records);
                Told::Kept(receipt)
            }
        };
        self.told_at_commit.push(told);
    }

    /// Writes what is in the open chunk, and opens the next.
    fn write_chunk(&mut self) -> Result<(), Unavailable> {
        if let Some(draft) = self.journal.finish() {
            if cfg!(hw_fault = "ack_before_sync") {
                self.tell();
            }
            let began = Instant::now();
            let written = self
                .writer
                .put(&draft)
                .map_err(|error| self.trouble(&error))?;
            self.shared.options.metrics.sync.record(began.elapsed());
            self.wrote();
            self.commit(&draft, written);
        } else if self.told_at_commit.is_empty() {
            return Ok(());
        } else {
            self.journal.commit();
        }
        self.tell();
        self.stations
            .iter()
            .for_each(|station| station.inbox.wake());
        self.journal.begin(self.shared.now());
        Ok(())
    }

    /// Moves the commit point: from here on readers see the chunk.
    fn commit(&mut self, draft: &Draft, written: Written) {
        let changes = self.journal.commit();
        if changes.catalog {
            self.publish_catalog(&changes.deleted);
        }
        let table = self.shared.table.load();
        let mut batches = Vec::with_capacity(draft.entries.len());
        for (entry, partition) in draft.entries.iter().zip(&draft.partitions) {
            let first = entry.pos as usize;
            let stored = StoredBatch {
                base_offset: entry.base_offset,
                last_offset: entry.last_offset(),
                arrival_ms: entry.arrival_ms,
                max_timestamp: entry.max_timestamp,
                bytes: draft.payload.slice(first..first + entry.len as usize),
                topics: entry.topics.clone().into(),
            };
            batches.push(committed(*partition, &stored));
            self.shared.outlines.push(*partition, &stored);
            let place = written.place(entry.pos, entry.len);
            table[partition.index()].push(entry, place, stored);
        }
        for gone in self.shared.ring.push(batches) {
            for batch in &gone.batches {
                table[batch.partition.index()].forget_oldest();
            }
        }
        let of_agents = changes.lanes.len() + changes.statuses.len() + changes.deleted.len();
        if of_agents > 0 {
            let mut devices = self
                .shared
                .devices
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            devices.forget_streams(&changes.deleted);
            devices.update(changes.lanes, changes.statuses);
        }
        let mut rung = None;
        for partition in &draft.partitions {
            if rung.replace(*partition) != Some(*partition) {
                table[partition.index()].watchers.ring();
            }
        }
        self.compaction.wrote(&draft.entries);
    }

    /// Nothing more is taken; what was taken is committed; the journal ends.
    fn stop(mut self) {
        self.shared.gate.trouble_is(Unavailable::Stopped, true);
        self.turn();
        self.compaction.finish(&mut self.journal, &self.writer);
        if let Err(error) = self.compaction.seal(&mut self.writer) {
            tracing::error!("The journal cannot be ended, the next start will do it: {error}");
        }
        // What came in while the last chunk was written: nobody reads it any more.
        self.fail(Unavailable::Stopped, std::iter::empty());
    }
}

fn committed(partition: PartitionId, batch: &StoredBatch) -> CommittedBatch {
    CommittedBatch {
        partition,
        base_offset: batch.base_offset,
        last_offset: batch.last_offset,
        arrival_ms: batch.arrival_ms,
        max_timestamp: batch.max_timestamp,
        bytes: batch.bytes.clone(),
        topics: batch.topics.clone(),
    }
}

/// If the thread panics, nobody may wait for it: nothing is taken any more, and `/readyz` says so.
struct Fence(Arc<Gate>);

impl Drop for Fence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.trouble_is(Unavailable::Failed, true);
        }
    }
}

/// The longest wait without a look at the disk.
const IDLE_MAX: Duration = Duration::from_millis(500);
