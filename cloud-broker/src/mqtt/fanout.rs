//! Live delivery: follows the ring of recent commits, opens a batch only if somebody here may want
//! it, and only once, and gives each record to the clients that asked for it.
//!
//! Nothing is queued for a client. What it cannot take now it reads from the log later
//! ([`Behind`]): its place there is all that it costs meanwhile.

use std::rc::Rc;

use bytes::Bytes;
use headwater_broker_core::interest::Interest;
use headwater_broker_core::{Catalog, PartitionId, Stream};
use headwater_mqtt::PropertyBuf;

use super::core::Core;
use super::deliver::Delivered;
use super::opened::{Opened, Opener};
use super::record::Delivery;
use super::seek::{self, Behind, Manner};
use super::subscriptions::{At, Grant, LIVE, Subscription};
use crate::backend::{Backend, CommittedBatch, Tail, TailStep};
use crate::clock::now_ms;

/// A core's place in the log and its clients' subscriptions.
#[derive(Debug)]
pub(super) struct Fanout {
    tail: Tail,
    /// By partition: the offset behind the last record that was given out live.
    next: Vec<i64>,
    interest: Interest<u32, Subscription>,
    opener: Opener,
    /// Memory that is used again.
    targets: Vec<(u32, Subscription)>,
    grant: Grant,
    properties: PropertyBuf,
}

impl Fanout {
    /// At the end of the log as it is now.
    pub(super) fn new(backend: &Backend) -> Self {
        // In this order nothing falls between the two; what is in both is skipped by its offset.
        let tail = backend.tail();
        let mut fanout = Self {
            tail,
            next: Vec::new(),
            interest: Interest::default(),
            opener: Opener::default(),
            targets: Vec::new(),
            grant: Grant::default(),
            properties: PropertyBuf::new(),
        };
        fanout.go_to_end(backend);
        fanout
    }

    /// By partition: the offset from which on records are still to be given out live.
    pub(super) fn positions(&self) -> Rc<[i64]> {
        self.next.as_slice().into()
    }

    pub(super) fn next(&self) -> &[i64] {
        &self.next
    }

    pub(super) fn insert(&mut self, filter: &str, index: u32, subscription: Subscription) {
        self.interest.insert(filter, index, subscription);
    }

    pub(super) fn remove(&mut self, filter: &str, index: u32) {
        self.interest.remove(filter, &index);
    }

    /// Opens a batch, or gives one that was opened lately.
    pub(super) fn open(&mut self, partition: PartitionId, bytes: &Bytes) -> Option<Rc<Opened>> {
        self.opener.open(partition, bytes)
    }

    fn go_to_end(&mut self, backend: &Backend) {
        let count = backend.catalog().partitions();
        self.next.resize(self.next.len().max(count), 0);
        for (index, next) in self.next.iter_mut().enumerate() {
            let partition = PartitionId(u32::try_from(index).unwrap_or(u32::MAX));
            *next = (*next).max(backend.bounds(partition).end);
        }
    }
}

/// Whether records of this stream reach MQTT subscribers at all.
pub(super) fn reaches_subscribers(stream: &Stream) -> bool {
    !stream.internal && !stream.spec.filters.is_empty()
}

/// The stream of a partition, if its records reach subscribers.
pub(super) fn stream_of(catalog: &Catalog, partition: PartitionId) -> Option<&Stream> {
    let (id, _) = catalog.owner(partition)?;
    let stream = catalog.by_id(&id)?;
    reaches_subscribers(stream).then_some(&**stream)
}

impl Core {
    /// Gives out what was committed since the last call.
    pub(super) fn follow_tail(self: &Rc<Self>) {
        let mut fanout = self.fanout.borrow_mut();
        loop {
            match fanout.tail.next() {
                TailStep::Nothing => return,
                TailStep::Commits(commits) => {
                    let catalog = self.catalog();
                    let now_ms = now_ms();
                    for batch in commits.iter().flat_map(|commit| &commit.batches) {
                        self.give_out(&mut fanout, &catalog, batch, now_ms);
                    }
                }
                TailStep::Lagged => self.let_all_lag(&mut fanout),
            }
        }
    }

    /// The core itself was too slow for the ring: every subscriber reads the log up to its end.
    fn let_all_lag(self: &Rc<Self>, fanout: &mut Fanout) {
        for connection in self.connections.borrow().iter() {
            let mut state = connection.state.borrow_mut();
            let follows = !state.subscriptions.has_none_of(LIVE);
            if follows && !state.behind.contains_key(&LIVE) {
                let behind = Behind::at(fanout.next.clone(), Manner::AtOnce);
                state.behind.insert(LIVE, behind);
                seek::begin(self, connection);
            }
        }
        fanout.go_to_end(&self.door.backend);
    }

    fn give_out(
        self: &Rc<Self>,
        fanout: &mut Fanout,
        catalog: &Catalog,
        batch: &CommittedBatch,
        now_ms: i64,
    ) {
        let index = batch.partition.index();
        if fanout.next.len() <= index {
            fanout.next.resize(index + 1, 0);
        }
        let from = fanout.next[index];
        if batch.last_offset < from {
            return;
        }
        let stream = stream_of(catalog, batch.partition);
        if let Some(stream) = stream.filter(|_| fanout.interest.may_match(&batch.topics)) {
            let opened = fanout.open(batch.partition, &batch.bytes);
            for (offset, record) in opened.iter().flat_map(|opened| opened.records(from)) {
                let Some(delivery) = Delivery::of(record, batch.arrival_ms, now_ms) else {
                    continue;
                };
                if belongs(catalog, stream, delivery.topic) {
                    let whole = opened.as_ref().map(|opened| &opened.bytes);
                    let at = At::of(catalog, stream, batch.partition, offset);
                    self.give_record(fanout, &delivery, at, whole);
                }
            }
        }
        fanout.next[index] = batch.last_offset + 1;
    }

    fn give_record(
        self: &Rc<Self>,
        fanout: &mut Fanout,
        delivery: &Delivery<'_>,
        at: At<'_>,
        whole: Option<&Bytes>,
    ) {
        let mut targets = std::mem::take(&mut fanout.targets);
        fanout
            .interest
            .matches(delivery.topic, |index, subscription| {
                targets.push((*index, subscription.clone()));
            });
        if !targets.is_empty() {
            targets.sort_by_key(|(index, _)| *index);
            delivery.write_properties(&mut fanout.properties);
        }
        for of_one in targets.chunk_by(|a, b| a.0 == b.0) {
            self.give_to_one(fanout, delivery, at, whole, of_one);
        }
        targets.clear();
        fanout.targets = targets;
    }

    fn give_to_one(
        self: &Rc<Self>,
        fanout: &mut Fanout,
        delivery: &Delivery<'_>,
        at: At<'_>,
        whole: Option<&Bytes>,
        subscriptions: &[(u32, Subscription)],
    ) {
        let connections = self.connections.borrow();
        let Some(connection) = subscriptions
            .first()
            .and_then(|(index, _)| connections.at(*index))
        else {
            return;
        };
        let mut state = connection.state.borrow_mut();
        let state = &mut *state;
        let Some(session) = &state.session else {
            return;
        };
        if state.behind.contains_key(&LIVE) || state.end.is_some() {
            return;
        }
        fanout.grant.clear();
        for (_, subscription) in subscriptions {
            fanout
                .grant
                .add(subscription, delivery, &session.client_id, at);
        }
        match state.deliver(delivery, &fanout.grant, at, &fanout.properties, whole) {
            Delivered::Done => self.mark(connection),
            Delivered::NotWanted => {}
            Delivered::Full => {
                let mut next = fanout.next.clone();
                next[at.index] = at.offset;
                state.behind.insert(LIVE, Behind::at(next, Manner::Alone));
                seek::begin(self, connection);
            }
        }
    }
}

/// Whether a topic belongs to the stream that its record lies in: a Kafka producer can write any
/// key anywhere.
pub(super) fn belongs(catalog: &Catalog, stream: &Stream, topic: &str) -> bool {
    catalog
        .route(topic)
        .is_some_and(|owner| owner.id == stream.id)
}
