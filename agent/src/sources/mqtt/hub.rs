//! Who subscribes here, and the live messages that wait for them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use headwater_mqtt::{Options, PropertyBuf, Qos};
use headwater_wire::topic;
use tokio::sync::Notify;

/// A committed message on its way to the subscribers, which share it.
#[derive(Debug)]
pub(super) struct Publication {
    /// Connection that it came from.
    pub(super) from: u64,
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// Those that are passed on.
    pub(super) properties: PropertyBuf,
}

/// A message for one subscriber.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) publication: Arc<Publication>,
    pub(super) qos: Qos,
    pub(super) retain: bool,
}

/// The subscribers of a door, and its clients by name.
#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<State>,
    /// Subscribers, readable without the lock: with none a publish costs nothing here.
    subscribers: AtomicUsize,
    queued_bytes: Arc<AtomicUsize>,
    mailbox_bytes_max: usize,
    queued_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    subscribers: BTreeMap<u64, Subscriber>,
    clients: BTreeMap<String, (u64, Arc<Notify>)>,
}

#[derive(Debug)]
struct Subscriber {
    filters: BTreeMap<String, Options>,
    mailbox: Arc<Mailbox>,
}

/// What waits for one subscriber.
#[derive(Debug)]
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    arrived: Notify,
    queued_bytes: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    dropped: u64,
}

impl Hub {
    pub(super) fn new(mailbox_bytes_max: usize, queued_bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            subscribers: AtomicUsize::new(0),
            queued_bytes: Arc::default(),
            mailbox_bytes_max,
            queued_bytes_max,
        }
    }

    /// Whether anybody subscribes at all.
    pub(super) fn has_subscribers(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// A client has connected under this name; the one before it is kicked.
    pub(super) fn enter(&self, client: &str, number: u64, kick: &Arc<Notify>) {
        let before = lock(&self.state)
            .clients
            .insert(client.to_owned(), (number, Arc::clone(kick)));
        if let Some((_, kick)) = before {
            kick.notify_one();
        }
    }

    /// The connection has ended.
    pub(super) fn leave(&self, client: Option<&str>, number: u64) {
        let mut state = lock(&self.state);
        if let Some(client) = client
            && state
                .clients
                .get(client)
                .is_some_and(|(current, _)| *current == number)
        {
            state.clients.remove(client);
        }
        state.subscribers.remove(&number);
        self.subscribers
            .store(state.subscribers.len(), Ordering::Relaxed);
    }

    /// Adds a filter, or changes its options. `None`: there are `filters_max` already.
    pub(super) fn subscribe(
        &self,
        number: u64,
        filter: &str,
        options: Options,
        filters_max: usize,
    ) -> Option<Arc<Mailbox>> {
        let mut state = lock(&self.state);
        let subscriber = state
            .subscribers
            .entry(number)
            .or_insert_with(|| Subscriber {
                filters: BTreeMap::new(),
                mailbox: Arc::new(Mailbox::new(Arc::clone(&self.queued_bytes))),
            });
        if subscriber.filters.len() >= filters_max && !subscriber.filters.contains_key(filter) {
            return None;
        }
        subscriber.filters.insert(filter.to_owned(), options);
        let mailbox = Arc::clone(&subscriber.mailbox);
        self.subscribers
            .store(state.subscribers.len(), Ordering::Relaxed);
        Some(mailbox)
    }

    /// Removes a filter; whether there was one.
    pub(super) fn unsubscribe(&self, number: u64, filter: &str) -> bool {
        let mut state = lock(&self.state);
        let subscriber = state.subscribers.get_mut(&number);
        subscriber.is_some_and(|subscriber| subscriber.filters.remove(filter).is_some())
    }

    /// Puts a committed message into the mailbox of every subscriber it matches. A full mailbox
    /// misses it.
    pub(super) fn publish(&self, publication: Publication) {
        let publication = Arc::new(publication);
        for (&number, subscriber) in &lock(&self.state).subscribers {
            if let Some(delivery) = subscriber.matched(number, &publication) {
                subscriber
                    .mailbox
                    .put(delivery, self.mailbox_bytes_max, self.queued_bytes_max);
            }
        }
    }
}

impl Subscriber {
    /// The delivery with the highest QoS that one of the filters grants.
    fn matched(&self, number: u64, publication: &Arc<Publication>) -> Option<Delivery> {
        let own = publication.from == number;
        let granted = self
            .filters
            .iter()
            .filter(|(filter, options)| {
                !(own && options.no_local) && topic::matches(filter, &publication.topic)
            })
            .map(|(_, options)| (options.qos, options.retain_as_published))
            .reduce(|a, b| (a.0.max(b.0), a.1 || b.1))?;
        Some(Delivery {
            publication: Arc::clone(publication),
            qos: publication.qos.min(granted.0),
            retain: publication.retain && granted.1,
        })
    }
}

impl Publication {
    fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.view().as_bytes().len()
    }
}

impl Mailbox {
    fn new(queued_bytes: Arc<AtomicUsize>) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Notify::new(),
            queued_bytes,
        }
    }

    fn put(&self, delivery: Delivery, bytes_max: usize, queued_bytes_max: usize) {
        let mut queue = lock(&self.queue);
        let bytes = delivery.publication.bytes();
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        let full = queue.bytes + bytes > bytes_max || queued + bytes > queued_bytes_max;
        if full && !queue.deliveries.is_empty() {
            queue.dropped += 1;
            return;
        }
        queue.bytes += bytes;
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        queue.deliveries.push_back(delivery);
        drop(queue);
        self.arrived.notify_one();
    }

    /// The next delivery, if one waits.
    pub(super) fn take(&self) -> Option<Delivery> {
        let mut queue = lock(&self.queue);
        let delivery = queue.deliveries.pop_front()?;
        let bytes = delivery.publication.bytes();
        queue.bytes -= bytes;
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(delivery)
    }

    /// Messages that it missed since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut lock(&self.queue).dropped)
    }

    /// Resolves when something has come since the last time it resolved.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.queued_bytes
            .fetch_sub(lock(&self.queue).bytes, Ordering::Relaxed);
    }
}

/// Nothing here leaves a half-made state behind when it panics, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(from: u64, topic: &str, payload: &'static [u8]) -> Publication {
        Publication {
            from,
            topic: topic.to_owned(),
            payload: Bytes::from_static(payload),
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: PropertyBuf::new(),
        }
    }

    #[test]
    fn overlapping_filters_deliver_once_with_the_higher_qos() {
        let hub = Hub::new(1000, 1000);
        let qos = |qos| Options {
            qos,
            ..Options::default()
        };
        hub.subscribe(1, "a/#", qos(Qos::AtMostOnce), 8);
        let mailbox = hub.subscribe(1, "a/b", qos(Qos::AtLeastOnce), 8).unwrap();
        hub.publish(publication(2, "a/b", b"x"));
        assert_eq!(
            mailbox.take().map(|delivery| delivery.qos),
            Some(Qos::AtLeastOnce)
        );
        assert!(mailbox.take().is_none());
        assert!(hub.unsubscribe(1, "a/b") && !hub.unsubscribe(1, "a/b"));
    }

    #[test]
    fn no_local_keeps_ones_own_away() {
        let hub = Hub::new(1000, 1000);
        let options = Options {
            no_local: true,
            ..Options::default()
        };
        let mailbox = hub.subscribe(1, "#", options, 8).unwrap();
        hub.publish(publication(1, "a", b"x"));
        assert!(mailbox.take().is_none());
        hub.publish(publication(2, "a", b"x"));
        assert!(mailbox.take().is_some());
    }

    #[test]
    fn a_full_mailbox_misses_messages_and_says_so() {
        let hub = Hub::new(10, 100);
        let mailbox = hub.subscribe(1, "#", Options::default(), 8).unwrap();
        for _ in 0..3 {
            hub.publish(publication(2, "a", b"1234567"));
        }
        assert!(mailbox.take().is_some() && mailbox.take().is_none());
        assert_eq!(mailbox.take_dropped(), 2);
        assert!(hub.subscribe(1, "b", Options::default(), 1).is_none());
    }

    #[test]
    fn the_second_of_a_name_kicks_the_first_and_outlives_it() {
        let hub = Hub::new(10, 10);
        let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        hub.enter("c", 1, &first);
        hub.enter("c", 2, &second);
        hub.leave(Some("c"), 1);
        assert_eq!(
            lock(&hub.state).clients.get("c").map(|entry| entry.0),
            Some(2)
        );
    }
}
