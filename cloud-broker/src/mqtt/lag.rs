//! A subscriber that does not follow live: it reads the log from its own place, as fast as it
//! takes it, until it has come to where live delivery is.
//!
//! Batches are read in order of their arrival, then of their partition, and within a partition by
//! offset. They are held only while they are being given out.

use std::collections::BTreeMap;
use std::rc::Rc;

use headwater_broker_core::PartitionId;
use headwater_mqtt::{PropertyBuf, Reason};
use tokio::task::spawn_local;

use super::connection::{Connection, End};
use super::core::Core;
use super::deliver::Delivered;
use super::fanout::{Fanout, belongs, now_ms, stream_of};
use super::record::Delivery;
use super::subscribe::Grant;
use crate::backend::{ReadError, StoredBatch};

/// Bytes that are asked of the log at once: one batch comes in any case.
const READ_BYTES_MAX: usize = 1;

/// By partition: the next offset to deliver. Partitions that are not in it begin at 0.
#[derive(Clone, Debug)]
pub(super) struct Lag {
    next: Vec<i64>,
}

/// The next batch of each partition that is behind.
type Heads = BTreeMap<usize, StoredBatch>;

/// What is to be done next for a lagging subscriber.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It has caught up, or has ended.
    Ended,
    /// It takes nothing more now.
    Full,
    /// More can be given out at once.
    More,
    /// These partitions have to be read from the disk, from these offsets.
    Read(Vec<(PartitionId, i64)>),
}

impl Lag {
    pub(super) fn new(next: Vec<i64>) -> Self {
        Self { next }
    }

    /// Goes on at `offset` in the partition with this index.
    pub(super) fn set(&mut self, index: usize, offset: i64) {
        if self.next.len() <= index {
            self.next.resize(index + 1, 0);
        }
        self.next[index] = offset;
    }

    fn at(&self, index: usize) -> i64 {
        self.next.get(index).copied().unwrap_or(0)
    }
}

/// Starts to catch up, in a task of its own.
pub(super) fn begin(core: &Rc<Core>, connection: &Rc<Connection>) {
    spawn_local(catch_up(Rc::clone(core), Rc::clone(connection)));
}

async fn catch_up(core: Rc<Core>, connection: Rc<Connection>) {
    let mut heads = Heads::new();
    loop {
        match core.catch_up_step(&connection, &mut heads) {
            Step::Ended => break,
            Step::More => tokio::task::yield_now().await,
            Step::Full => {
                // Nothing of the log is held while the client makes it wait.
                heads = Heads::new();
                connection.flush();
                if !connection.state.borrow().is_ready() {
                    connection.room.notified().await;
                }
            }
            Step::Read(places) => core.read_cold(&connection, places, &mut heads).await,
        }
        connection.flush();
    }
    connection.flush();
}

impl super::connection::State {
    /// Whether catching up has something to do: room, or an end.
    fn is_ready(&self) -> bool {
        self.end.is_some() || self.has_room()
    }
}

impl Core {
    /// Gives out one batch, if the subscriber takes it.
    fn catch_up_step(&self, connection: &Rc<Connection>, heads: &mut Heads) -> Step {
        let mut fanout = self.fanout.borrow_mut();
        let mut state = connection.state.borrow_mut();
        if state.end.is_some() || state.subscriptions.is_empty() {
            state.lag = None;
            return Step::Ended;
        }
        if !state.has_room() {
            return Step::Full;
        }
        let Some(lag) = &mut state.lag else {
            return Step::Ended;
        };
        if let Err(step) = self.fill(&fanout, lag, heads) {
            drop(state);
            return step.unwrap_or_else(|error| self.give_up(connection, &error));
        }
        let earliest = heads
            .iter()
            .min_by_key(|(index, head)| (head.arrival_ms, **index));
        let Some((&index, _)) = earliest else {
            state.lag = None;
            return Step::Ended;
        };
        let Some(head) = heads.remove(&index) else {
            return Step::Ended;
        };
        match self.give_batch(&mut fanout, &mut state, index, &head) {
            Ok(()) => Step::More,
            Err(offset) => {
                state.lag.iter_mut().for_each(|lag| lag.set(index, offset));
                Step::Full
            }
        }
    }

    /// Finds the next batch of every partition that is behind live delivery, as far as memory has
    /// it.
    fn fill(
        &self,
        fanout: &Fanout,
        lag: &mut Lag,
        heads: &mut Heads,
    ) -> Result<(), Result<Step, ReadError>> {
        let catalog = self.catalog();
        let mut cold = Vec::new();
        for (index, &live) in fanout.next().iter().enumerate() {
            if lag.at(index) >= live || heads.contains_key(&index) {
                continue;
            }
            let partition = PartitionId(u32::try_from(index).unwrap_or(u32::MAX));
            if stream_of(&catalog, partition).is_none() {
                lag.set(index, live);
                continue;
            }
            let start = self.door.backend.bounds(partition).start;
            if lag.at(index) < start {
                lag.set(index, start);
                if start >= live {
                    continue;
                }
            }
            let offset = lag.at(index);
            match self
                .door
                .backend
                .read_recent(partition, offset, READ_BYTES_MAX)
            {
                None => cold.push((partition, offset)),
                Some(Ok(batches)) => keep_first(lag, heads, index, live, batches),
                // Its stream was deleted at this moment.
                Some(Err(ReadError::NoPartition)) => lag.set(index, live),
                Some(Err(error)) => return Err(Err(error)),
            }
        }
        if cold.is_empty() {
            Ok(())
        } else {
            Err(Ok(Step::Read(cold)))
        }
    }

    /// Gives out a batch; an offset is where the subscriber had enough.
    fn give_batch(
        &self,
        fanout: &mut Fanout,
        state: &mut super::connection::State,
        index: usize,
        head: &StoredBatch,
    ) -> Result<(), i64> {
        let Some(lag) = &mut state.lag else {
            return Ok(());
        };
        let from = lag.at(index);
        let catalog = self.catalog();
        let partition = PartitionId(u32::try_from(index).unwrap_or(u32::MAX));
        if let Some(stream) = stream_of(&catalog, partition) {
            let opened = fanout.open(partition, &head.bytes, &head.topics);
            let (mut grant, mut properties) = (Grant::default(), PropertyBuf::new());
            let now_ms = now_ms();
            for (offset, record) in opened.iter().flat_map(|opened| opened.records(from)) {
                let delivery = Delivery::of(record, head.arrival_ms, now_ms);
                let Some(delivery) = delivery.filter(|d| belongs(&catalog, stream, d.topic)) else {
                    continue;
                };
                let Some(session) = &state.session else { break };
                grant.clear();
                let at = (index, offset);
                state
                    .subscriptions
                    .grant(&delivery, &session.client_id, at, &mut grant);
                if !grant.wanted {
                    continue;
                }
                delivery.write_properties(&mut properties);
                let whole = opened.as_ref().map(|opened| &opened.bytes);
                if state.deliver(&delivery, &grant, &properties, whole) == Delivered::Full {
                    return Err(offset);
                }
            }
        }
        state
            .lag
            .iter_mut()
            .for_each(|lag| lag.set(index, head.last_offset + 1));
        Ok(())
    }

    /// Reads batches that are not in memory, away from the core's thread.
    async fn read_cold(
        &self,
        connection: &Rc<Connection>,
        places: Vec<(PartitionId, i64)>,
        heads: &mut Heads,
    ) {
        let backend = std::sync::Arc::clone(&self.door.backend);
        let read = tokio::task::spawn_blocking(move || {
            let read = |(partition, offset): (PartitionId, i64)| {
                let batches = backend.read(partition, offset, READ_BYTES_MAX);
                batches.map(|batches| (partition.index(), batches))
            };
            places.into_iter().map(read).collect::<Result<Vec<_>, _>>()
        });
        match read.await {
            Ok(Ok(read)) => {
                let fanout = self.fanout.borrow();
                let mut state = connection.state.borrow_mut();
                let Some(lag) = &mut state.lag else { return };
                for (index, batches) in read {
                    let live = fanout.next().get(index).copied().unwrap_or(0);
                    keep_first(lag, heads, index, live, batches);
                }
            }
            Ok(Err(ReadError::OffsetOutOfRange | ReadError::NoPartition)) => {
                // Retention or a deletion was faster; the next step sees what there is now.
            }
            Ok(Err(error)) => {
                self.give_up(connection, &error);
            }
            Err(stopped) => tracing::debug!("Reading the log was cut short: {stopped}"),
        }
    }

    /// The client is told to come again: better than a hole that it does not see.
    fn give_up(&self, connection: &Rc<Connection>, error: &ReadError) -> Step {
        tracing::error!(
            "A subscriber at {} cannot be served: {error}",
            connection.peer
        );
        connection.close(End::Because(Reason::UNSPECIFIED));
        Step::Ended
    }
}

/// Keeps the first batch; if there is none, the log has nothing more before live delivery.
fn keep_first(
    lag: &mut Lag,
    heads: &mut Heads,
    index: usize,
    live: i64,
    batches: Vec<StoredBatch>,
) {
    match batches.into_iter().next() {
        Some(first) => drop(heads.insert(index, first)),
        None => lag.set(index, live),
    }
}
