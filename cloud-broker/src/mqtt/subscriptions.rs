//! What one client has subscribed to, and how it gets a record.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use headwater_broker_core::interest::FILTER_LEVELS_MAX;
use headwater_broker_core::{Catalog, PartitionId, Stream};
use headwater_mqtt::{Id, Options, Properties, Qos, Reason, Version, topic};

use super::record::Delivery;

/// Filters of one client.
const FILTERS_MAX: usize = 1000;
/// Bytes of all its filters.
const FILTER_BYTES_MAX: usize = 256 << 10;

/// Which of a client's subscriptions have a place in the log together.
pub(super) type Group = u32;
/// Those that follow live, or would if the client were not slow. All other groups are replays.
pub(super) const LIVE: Group = 0;

/// What a client asked for with one filter.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    qos: Qos,
    no_local: bool,
    retain_as_published: bool,
    id: Option<u32>,
    /// Whether each record is to tell its offset.
    offsets: bool,
    pub(super) group: Group,
    /// Offsets by partition from which on it counts, if its group was reading older ones when it
    /// came to it.
    pub(super) since: Option<Rc<[i64]>>,
}

/// All filters of a client.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    filters: BTreeMap<Box<str>, Subscription>,
    bytes: usize,
}

/// How one client gets a record, if it does: its subscriptions that match, put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) wanted: bool,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) offsets: bool,
    pub(super) ids: Vec<u32>,
}

/// Where a record lies; as text, its `hw-offset` (`interfaces.md` 2).
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    /// Place of its partition in the table of all partitions.
    pub(super) index: usize,
    pub(super) stream: &'a str,
    /// Number of the partition in its stream.
    pub(super) partition: u32,
    pub(super) offset: i64,
}

impl<'a> At<'a> {
    pub(super) fn of(
        catalog: &Catalog,
        stream: &'a Stream,
        partition: PartitionId,
        offset: i64,
    ) -> Self {
        let number = catalog.owner(partition).map_or(0, |(_, number)| number);
        Self {
            index: partition.index(),
            stream: &stream.spec.name,
            partition: number,
            offset,
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stream, self.partition, self.offset)
    }
}

impl Subscription {
    /// That follows live.
    pub(super) fn new(options: Options, properties: Properties<'_>, offsets: bool) -> Self {
        Self {
            qos: options.qos.min(Qos::AtLeastOnce),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            id: properties.int(Id::SubscriptionId),
            offsets,
            group: LIVE,
            since: None,
        }
    }

    /// The reason of a SUBACK that grants it.
    pub(super) fn granted(&self) -> Reason {
        Reason(self.qos as u8)
    }

    /// Whether it counts for a record at this place.
    fn counts(&self, delivery: &Delivery<'_>, client_id: &str, at: At<'_>) -> bool {
        let since = self.since.as_ref().and_then(|since| since.get(at.index));
        let own = self.no_local && delivery.client_id == Some(client_id.as_bytes());
        !own && since.is_none_or(|since| at.offset >= *since)
    }
}

impl Grant {
    /// Adds what one matching subscription grants.
    pub(super) fn add(
        &mut self,
        subscription: &Subscription,
        delivery: &Delivery<'_>,
        client_id: &str,
        at: At<'_>,
    ) {
        if !subscription.counts(delivery, client_id, at) {
            return;
        }
        self.wanted = true;
        self.qos = self.qos.max(subscription.qos.min(delivery.qos));
        self.retain |= subscription.retain_as_published && delivery.retain;
        self.offsets |= subscription.offsets;
        self.ids.extend(subscription.id);
    }

    /// Ready for the next record.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        (self.wanted, self.qos) = (false, Qos::AtMostOnce);
        (self.retain, self.offsets) = (false, false);
    }
}

impl Subscriptions {
    /// Why a filter is not accepted, if so. In 3.1.1 all refusals look the same.
    pub(super) fn refusal(&self, filter: &str, version: Version) -> Option<Reason> {
        if version == Version::V5 && topic::is_shared(filter) {
            return Some(Reason::SHARED_NOT_SUPPORTED);
        }
        if filter.split('/').count() > FILTER_LEVELS_MAX {
            return Some(Reason::TOPIC_FILTER_INVALID);
        }
        let known = self.filters.contains_key(filter);
        let full =
            self.filters.len() >= FILTERS_MAX || self.bytes + filter.len() > FILTER_BYTES_MAX;
        (full && !known).then_some(Reason::QUOTA_EXCEEDED)
    }

    /// Puts a filter in that is not there.
    pub(super) fn insert(&mut self, filter: &str, subscription: Subscription) {
        if self.filters.insert(filter.into(), subscription).is_none() {
            self.bytes += filter.len();
        }
    }

    /// Takes a filter out.
    pub(super) fn remove(&mut self, filter: &str) -> Option<Subscription> {
        let removed = self.filters.remove(filter)?;
        self.bytes -= filter.len();
        Some(removed)
    }

    /// All filters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Subscription)> {
        self.filters.iter().map(|(filter, what)| (&**filter, what))
    }

    /// The filters that have a place in the log together.
    pub(super) fn of(&self, group: Group) -> impl Iterator<Item = (&str, &Subscription)> {
        self.iter().filter(move |(_, what)| what.group == group)
    }

    /// The same, to change them.
    pub(super) fn of_mut(
        &mut self,
        group: Group,
    ) -> impl Iterator<Item = (&str, &mut Subscription)> {
        let all = self.filters.iter_mut();
        all.map(|(filter, what)| (&**filter, what))
            .filter(move |(_, what)| what.group == group)
    }

    /// Whether nothing of a group is left.
    pub(super) fn has_none_of(&self, group: Group) -> bool {
        self.of(group).next().is_none()
    }
}

#[cfg(test)]
#[path = "tests/subscriptions.rs"]
mod tests;
