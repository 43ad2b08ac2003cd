//! What a scan gives: each record to the readers that asked for it.

use std::rc::Rc;

use bytes::Bytes;
use headwater_broker_core::replay::Part;

use super::{CHECK_EVERY_MS, Reader, Scan, ScanId, Step, begin_apart, give_up, partition_at};
use crate::backend::{ReadError, StoredBatch};
use crate::clock::now_ms;
use crate::mqtt::core::Core;
use crate::mqtt::deliver::Delivered;
use crate::mqtt::fanout::{Fanout, belongs, stream_of};
use crate::mqtt::record::Delivery;
use crate::mqtt::seek::{self, Behind, Manner};
use crate::mqtt::subscriptions::{At, LIVE, Subscription};

impl Core {
    /// Goes on with a scan: gives out one batch, or tells what must be done before.
    pub(super) fn scan_on(self: &Rc<Self>, id: ScanId) -> Step {
        let Some(mut scan) = self.scans.borrow_mut().scans.remove(&id) else {
            return Step::Ended;
        };
        let step = self.step(&mut scan);
        if !matches!(step, Step::Ended) {
            self.scans.borrow_mut().scans.insert(id, scan);
        }
        step
    }

    fn step(self: &Rc<Self>, scan: &mut Scan) -> Step {
        self.send_away(scan);
        if scan.readers.is_empty() {
            return Step::Ended;
        }
        let mut fanout = self.fanout.borrow_mut();
        match self.fill(&fanout, scan) {
            Ok(true) => {}
            Ok(false) => return Step::More,
            Err(error) => {
                drop(fanout);
                self.fail(scan, &error);
                return Step::Ended;
            }
        }
        let Some(earliest) = scan.place.pop() else {
            if self.is_ahead_of(&fanout, scan) {
                return Step::More;
            }
            self.go_live(&mut fanout, scan);
            return Step::Ended;
        };
        match scan.take_next(earliest.partition) {
            Ok(batch) => self.give_batch(&mut fanout, scan, earliest.partition, &batch),
            Err(Some(stretch)) if !self.read_recent(scan, &stretch) => return Step::Read(stretch),
            Err(_) => {}
        }
        Step::More
    }

    /// Whether live delivery has still to give out what was committed a moment ago, and a client that
    /// begins at the log's end has seen it.
    fn is_ahead_of(&self, fanout: &Fanout, scan: &Scan) -> bool {
        let live = |index| fanout.next().get(index).copied().unwrap_or(0);
        let mut beyond = scan.place.beyond(fanout.next());
        beyond.any(|index| self.door.backend.bounds(partition_at(index)).end > live(index))
    }

    /// Readers that the scan does not come to go on with another.
    fn send_away(self: &Rc<Self>, scan: &mut Scan) {
        let now = self.scans.borrow().now();
        if now.0.saturating_sub(scan.checked.0) < CHECK_EVERY_MS {
            return;
        }
        scan.checked = now;
        let waited =
            |(reader, part): (&Reader, &Part)| part.has_waited(&scan.place, now).then_some(*reader);
        let waited: Vec<Reader> = scan.readers.iter().filter_map(waited).collect();
        let connections = self.connections.borrow();
        let mut apart = None;
        for reader in waited {
            let Some(connection) = connections.at(reader.connection) else {
                continue;
            };
            let mut state = connection.state.borrow_mut();
            let filters = || state.subscriptions.of(reader.group);
            if let Some(place) = scan.drop_out(reader, None, filters()) {
                let id = begin_apart(self, &mut apart, reader, place, filters());
                state.behind.insert(reader.group, Behind::Reading(id));
            }
        }
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
        let end = batch.last_offset.saturating_add(1);
        scan.place.skip_to(index, end);
    }

    fn give_to_readers(
        self: &Rc<Self>,
        scan: &mut Scan,
        delivery: &Delivery<'_>,
        at: At<'_>,
        whole: Option<&Bytes>,
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
        whole: Option<&Bytes>,
        subscriptions: &[(Reader, Subscription)],
    ) {
        let Some(reader) = subscriptions.first().map(|(reader, _)| *reader) else {
            return;
        };
        let connections = self.connections.borrow();
        let part = scan.readers.get(&reader);
        let takes_part = part.is_some_and(|part| part.counts(at.index, at.offset));
        let Some(connection) = connections.at(reader.connection).filter(|_| takes_part) else {
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
                let filters = state.subscriptions.of(reader.group);
                if let Some(place) = scan.drop_out(reader, Some(at), filters) {
                    let alone = Behind::Waiting(place, Manner::Alone);
                    state.behind.insert(reader.group, alone);
                    seek::begin(self, connection);
                }
            }
        }
    }

    /// All readers have come to where live delivery is.
    fn go_live(&self, fanout: &mut Fanout, scan: &mut Scan) {
        let connections = self.connections.borrow();
        // By group: those that followed live before decide where the others go.
        let mut readers: Vec<Reader> = std::mem::take(&mut scan.readers).into_keys().collect();
        readers.sort_by_key(|reader| reader.group);
        for reader in readers {
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
                    let reader = Reader {
                        group: LIVE,
                        ..reader
                    };
                    let mut scans = self.scans.borrow_mut();
                    scans.insert(*id, filter, reader, subscription.clone());
                }
            }
        }
    }

    /// Those who read with a scan cannot be served.
    pub(super) fn fail(&self, scan: &Scan, error: &ReadError) {
        let connections = self.connections.borrow();
        let readers = scan.readers.keys();
        for connection in readers.filter_map(|reader| connections.at(reader.connection)) {
            give_up(connection, error);
        }
    }
}
