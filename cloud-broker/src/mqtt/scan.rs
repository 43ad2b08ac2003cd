//! A pass through the log for subscriptions that are behind. Batches are read in order of their
//! arrival, then of their partition, and within a partition by offset; each is opened only if a
//! reader may want something of it, and once for all of them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use headwater_broker_core::PartitionId;
use headwater_broker_core::interest::Interest;
use headwater_mqtt::{PropertyBuf, Reason};
use tokio::task::spawn_local;

use super::connection::{Connection, End};
use super::core::Core;
use super::deliver::Delivered;
use super::fanout::{Fanout, belongs, stream_of};
use super::record::Delivery;
use super::seek::{self, Behind, Place};
use super::subscriptions::{At, Grant, Group, LIVE, Subscription};
use crate::backend::{ReadError, StoredBatch};
use crate::clock::now_ms;
use crate::limits::Reserved;

/// Bytes of batches that a scan holds while it decides which comes next.
pub(super) const HELD_BYTES_MAX: usize = 1 << 20;
/// Bytes that are asked of the log at once: one batch comes in any case.
const READ_BYTES_MAX: usize = 1;

/// Names a scan of its core; never given twice.
pub(super) type ScanId = u64;

/// A group of a connection's subscriptions that is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reader {
    /// Place in the core's table.
    pub(super) connection: u32,
    pub(super) group: Group,
}

/// The scans of one core.
#[derive(Debug, Default)]
pub(super) struct Scans {
    running: BTreeMap<ScanId, Scan>,
    last: ScanId,
}

#[derive(Debug)]
struct Scan {
    place: Place,
    /// Memory for the batches that it holds.
    held: Reserved,
    interest: Interest<Reader, Subscription>,
    readers: Vec<Reader>,
    /// The batch that is next, with its partition, if it had to be read again.
    due: Option<(usize, StoredBatch)>,
    /// Memory that is used again.
    targets: Vec<(Reader, Subscription)>,
    grant: Grant,
    properties: PropertyBuf,
}

/// What is to be done next for a scan.
enum Step {
    /// It has caught up, or nobody reads with it any more.
    Ended,
    /// More can be given out at once.
    More,
    /// These partitions have to be read from the disk, from these offsets.
    Read(Vec<(PartitionId, i64)>),
    /// The batch of this partition at this offset is next, and has to be read.
    Fetch(PartitionId, i64),
}

/// Begins a scan for one reader, in a task of its own.
pub(super) fn begin<'f>(
    core: &Rc<Core>,
    id: ScanId,
    reader: Reader,
    place: Place,
    filters: impl Iterator<Item = (&'f str, &'f Subscription)>,
) {
    let mut interest = Interest::default();
    for (filter, subscription) in filters {
        interest.insert(filter, reader, subscription.clone());
    }
    let scan = Scan {
        place,
        held: core.door.limits.reserve_answer(),
        interest,
        readers: vec![reader],
        due: None,
        targets: Vec::new(),
        grant: Grant::default(),
        properties: PropertyBuf::new(),
    };
    core.scans.borrow_mut().running.insert(id, scan);
    spawn_local(run(Rc::clone(core), id));
}

/// The client is told to come again: better than a hole that it does not see.
pub(super) fn give_up(connection: &Connection, error: &ReadError) {
    tracing::error!(
        "A subscriber at {} cannot be served: {error}",
        connection.peer
    );
    connection.close(End::Because(Reason::UNSPECIFIED));
}

async fn run(core: Rc<Core>, id: ScanId) {
    loop {
        match core.scan_on(id) {
            Step::Ended => break,
            Step::More => tokio::task::yield_now().await,
            Step::Read(places) => core.read_heads(id, places).await,
            Step::Fetch(partition, offset) => core.read_due(id, partition, offset).await,
        }
        core.flush_marked();
    }
    core.flush_marked();
}

impl Scans {
    /// A name for the next scan.
    pub(super) fn new_id(&mut self) -> ScanId {
        self.last += 1;
        self.last
    }

    /// A reader wants one thing more.
    pub(super) fn insert(&mut self, id: ScanId, filter: &str, reader: Reader, what: Subscription) {
        if let Some(scan) = self.running.get_mut(&id) {
            scan.interest.insert(filter, reader, what);
        }
    }

    /// A reader does not want something any more.
    pub(super) fn remove(&mut self, id: ScanId, filter: &str, reader: Reader) {
        if let Some(scan) = self.running.get_mut(&id) {
            scan.interest.remove(filter, &reader);
        }
    }

    /// A reader whose filters have been taken out is gone.
    pub(super) fn leave(&mut self, id: ScanId, reader: Reader) {
        if let Some(scan) = self.running.get_mut(&id) {
            scan.readers.retain(|other| *other != reader);
        }
    }
}

impl Core {
    fn scan_on(self: &Rc<Self>, id: ScanId) -> Step {
        let Some(mut scan) = self.scans.borrow_mut().running.remove(&id) else {
            return Step::Ended;
        };
        let step = self.step(&mut scan);
        if !matches!(step, Step::Ended) {
            self.scans.borrow_mut().running.insert(id, scan);
        }
        step
    }

    /// Gives out one batch.
    fn step(self: &Rc<Self>, scan: &mut Scan) -> Step {
        if scan.readers.is_empty() {
            return Step::Ended;
        }
        let mut fanout = self.fanout.borrow_mut();
        if let Some((index, batch)) = scan.due.take() {
            self.give_batch(&mut fanout, scan, index, &batch);
            return Step::More;
        }
        match self.fill(&fanout, scan) {
            Ok(cold) if cold.is_empty() => {}
            Ok(cold) => return Step::Read(cold),
            Err(error) => return self.fail(scan, &error),
        }
        let Some(earliest) = scan.place.pop() else {
            self.go_live(&mut fanout, scan);
            return Step::Ended;
        };
        scan.held.shrink_to(scan.place.held_bytes());
        match earliest.batch {
            Some(batch) => self.give_batch(&mut fanout, scan, earliest.partition, &batch),
            None => {
                let partition = partition_at(earliest.partition);
                return Step::Fetch(partition, scan.place.next(earliest.partition));
            }
        }
        Step::More
    }

    /// Finds the next batch of every partition that is behind live delivery, as far as memory has
    /// it; gives what must be read.
    fn fill(&self, fanout: &Fanout, scan: &mut Scan) -> Result<Vec<(PartitionId, i64)>, ReadError> {
        let catalog = self.catalog();
        let mut cold = Vec::new();
        let unknown: Vec<_> = scan.place.unknown(fanout.next()).collect();
        for (index, next) in unknown {
            let partition = partition_at(index);
            let live = fanout.next()[index];
            if stream_of(&catalog, partition).is_none() {
                scan.place.skip_to(index, live);
                continue;
            }
            let next = next.max(self.door.backend.bounds(partition).start);
            scan.place.skip_to(index, next.min(live));
            if next >= live {
                continue;
            }
            let read = self
                .door
                .backend
                .read_recent(partition, next, READ_BYTES_MAX);
            match read {
                None => cold.push((partition, next)),
                Some(Ok(batches)) => scan.take_head(index, live, batches),
                // Its stream was deleted at this moment.
                Some(Err(ReadError::NoPartition)) => scan.place.skip_to(index, live),
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(cold)
    }

    fn give_batch(
        self: &Rc<Self>,
        fanout: &mut Fanout,
        scan: &mut Scan,
        index: usize,
        batch: &StoredBatch,
    ) {
        let catalog = self.catalog();
        let partition = partition_at(index);
        let from = scan.place.next(index);
        let stream = stream_of(&catalog, partition);
        let wanted = stream.filter(|_| scan.interest.may_match(&batch.topics));
        if let Some(stream) = wanted {
            let opened = fanout.open(partition, &batch.bytes);
            let whole = opened.as_ref().map(|opened| &opened.bytes);
            let now_ms = now_ms();
            for (offset, record) in opened.iter().flat_map(|opened| opened.records(from)) {
                let delivery = Delivery::of(record, batch.arrival_ms, now_ms);
                let Some(delivery) = delivery.filter(|d| belongs(&catalog, stream, d.topic)) else {
                    continue;
                };
                let at = At::of(&catalog, stream, partition, offset);
                self.give_to_readers(scan, &delivery, at, whole);
            }
        }
        scan.place.skip_to(index, batch.last_offset + 1);
    }

    fn give_to_readers(
        self: &Rc<Self>,
        scan: &mut Scan,
        delivery: &Delivery<'_>,
        at: At<'_>,
        whole: Option<&bytes::Bytes>,
    ) {
        let mut targets = std::mem::take(&mut scan.targets);
        scan.interest.matches(delivery.topic, |reader, what| {
            targets.push((*reader, what.clone()));
        });
        if !targets.is_empty() {
            targets.sort_by_key(|(reader, _)| *reader);
            delivery.write_properties(&mut scan.properties);
        }
        for of_one in targets.chunk_by(|a, b| a.0 == b.0) {
            self.give_to_reader(scan, delivery, at, whole, of_one);
        }
        targets.clear();
        scan.targets = targets;
    }

    fn give_to_reader(
        self: &Rc<Self>,
        scan: &mut Scan,
        delivery: &Delivery<'_>,
        at: At<'_>,
        whole: Option<&bytes::Bytes>,
        subscriptions: &[(Reader, Subscription)],
    ) {
        let connections = self.connections.borrow();
        let first = subscriptions.first();
        let found =
            first.and_then(|(reader, _)| Some((*reader, connections.at(reader.connection)?)));
        let Some((reader, connection)) = found else {
            return;
        };
        let mut state = connection.state.borrow_mut();
        let state = &mut *state;
        let (Some(session), None) = (&state.session, state.end) else {
            return;
        };
        scan.grant.clear();
        for (_, subscription) in subscriptions {
            scan.grant
                .add(subscription, delivery, &session.client_id, at);
        }
        match state.deliver(delivery, &scan.grant, at, &scan.properties, whole) {
            Delivered::Done => self.mark(connection),
            Delivered::NotWanted => {}
            Delivered::Full => {
                let place = scan.drop_out(reader, at, state.subscriptions.of(reader.group));
                state.behind.insert(reader.group, Behind::Waiting(place));
                seek::begin(self, connection);
            }
        }
    }

    /// All readers have come to where live delivery is.
    fn go_live(&self, fanout: &mut Fanout, scan: &mut Scan) {
        let connections = self.connections.borrow();
        // Those that followed live before come first: where they are decides for the others.
        scan.readers.sort_by_key(|reader| reader.group);
        for reader in std::mem::take(&mut scan.readers) {
            let Some(connection) = connections.at(reader.connection) else {
                continue;
            };
            let mut state = connection.state.borrow_mut();
            let state = &mut *state;
            state.behind.remove(&reader.group);
            if reader.group == LIVE {
                continue;
            }
            let live = state.behind.get(&LIVE);
            let since = live.map(|_| fanout.positions());
            for (filter, subscription) in state.subscriptions.of_mut(reader.group) {
                subscription.group = LIVE;
                subscription.since.clone_from(&since);
                fanout.insert(filter, reader.connection, subscription.clone());
                if let Some(Behind::Reading(id)) = live {
                    let mut scans = self.scans.borrow_mut();
                    let reader = Reader {
                        group: LIVE,
                        ..reader
                    };
                    scans.insert(*id, filter, reader, subscription.clone());
                }
            }
        }
    }

    fn fail(&self, scan: &Scan, error: &ReadError) -> Step {
        let connections = self.connections.borrow();
        let readers = scan.readers.iter();
        for connection in readers.filter_map(|reader| connections.at(reader.connection)) {
            give_up(connection, error);
        }
        Step::Ended
    }

    /// Reads batches that are not in memory, away from the core's thread.
    async fn read_heads(&self, id: ScanId, places: Vec<(PartitionId, i64)>) {
        let backend = Arc::clone(&self.door.backend);
        let read = tokio::task::spawn_blocking(move || {
            let read = |(partition, offset): (PartitionId, i64)| {
                let batches = backend.read(partition, offset, READ_BYTES_MAX);
                batches.map(|batches| (partition.index(), batches))
            };
            places.into_iter().map(read).collect::<Result<Vec<_>, _>>()
        });
        let read = read.await;
        self.take_in(id, read, |scan, live, (index, batches)| {
            let live = live.get(index).copied().unwrap_or(0);
            scan.take_head(index, live, batches);
        });
    }

    async fn read_due(&self, id: ScanId, partition: PartitionId, offset: i64) {
        let backend = Arc::clone(&self.door.backend);
        let read = tokio::task::spawn_blocking(move || {
            backend
                .read(partition, offset, READ_BYTES_MAX)
                .map(|batches| vec![batches])
        });
        let read = read.await;
        self.take_in(id, read, |scan, _, batches| {
            let first = batches.into_iter().next();
            scan.due = first.map(|batch| (partition.index(), batch));
        });
    }

    fn take_in<T>(
        &self,
        id: ScanId,
        read: Result<Result<Vec<T>, ReadError>, tokio::task::JoinError>,
        mut take: impl FnMut(&mut Scan, &[i64], T),
    ) {
        let Some(mut scan) = self.scans.borrow_mut().running.remove(&id) else {
            return;
        };
        match read {
            Ok(Ok(read)) => {
                let fanout = self.fanout.borrow();
                for found in read {
                    take(&mut scan, fanout.next(), found);
                }
            }
            // Retention or a deletion was faster; the next step sees what there is now.
            Ok(Err(ReadError::OffsetOutOfRange | ReadError::NoPartition)) => {}
            Ok(Err(error)) => {
                self.fail(&scan, &error);
                return;
            }
            Err(stopped) => tracing::debug!("Reading the log was cut short: {stopped}"),
        }
        self.scans.borrow_mut().running.insert(id, scan);
    }
}

impl Scan {
    /// Keeps the first batch; if there is none, the log has nothing more before live delivery.
    fn take_head(&mut self, index: usize, live: i64, batches: Vec<StoredBatch>) {
        let Some(first) = batches.into_iter().next() else {
            return self.place.skip_to(index, live);
        };
        let (arrival_ms, bytes) = (first.arrival_ms, first.bytes.len());
        self.place.offer(index, arrival_ms, bytes, first);
        if !self.held.grow_to(self.place.held_bytes()) {
            self.place.let_go(index);
        }
    }

    /// The reader goes, and has got everything before `at`; gives its place.
    fn drop_out<'f>(
        &mut self,
        reader: Reader,
        at: At<'_>,
        filters: impl Iterator<Item = (&'f str, &'f Subscription)>,
    ) -> Place {
        for (filter, _) in filters {
            self.interest.remove(filter, &reader);
        }
        self.readers.retain(|other| *other != reader);
        let mut place = self.place.place();
        place.skip_to(at.index, at.offset);
        place
    }
}

fn partition_at(index: usize) -> PartitionId {
    PartitionId(u32::try_from(index).unwrap_or(u32::MAX))
}
