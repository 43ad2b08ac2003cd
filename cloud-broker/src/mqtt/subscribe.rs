//! SUBSCRIBE and UNSUBSCRIBE, and what one client has subscribed to.

use std::collections::BTreeMap;
use std::rc::Rc;

use headwater_broker_core::interest::FILTER_LEVELS_MAX;
use headwater_mqtt::{
    Id, Options, Properties, Qos, Reason, SubAck, Subscribe, UnsubAck, Unsubscribe, Version, topic,
};

use super::connection::Connection;
use super::core::Core;
use super::fanout::Fanout;
use super::record::Delivery;

/// Filters of one client.
const FILTERS_MAX: usize = 1000;
/// Bytes of all its filters.
const FILTER_BYTES_MAX: usize = 256 << 10;
/// User properties of a SUBSCRIBE that ask for what lies in the log already.
const REPLAY_PROPERTIES: [&str; 2] = ["from", "offsets"];

/// What a client asked for with one filter.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    qos: Qos,
    no_local: bool,
    retain_as_published: bool,
    id: Option<u32>,
    /// Offsets by partition from which on it counts, if the client was reading older ones then.
    since: Option<Rc<[i64]>>,
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
    pub(super) ids: Vec<u32>,
}

/// Handles a SUBSCRIBE: what is committed from here on is delivered.
pub(super) fn subscribe(core: &Rc<Core>, connection: &Rc<Connection>, packet: &Subscribe<'_>) {
    // What was committed before is none of the new subscription's business.
    core.follow_tail();
    let mut fanout = core.fanout.borrow_mut();
    let mut state = connection.state.borrow_mut();
    let state = &mut *state;
    let version = state.version();
    let since = state.lag.is_some().then(|| fanout.positions());
    let index = connection.index.get();
    let mut reasons = Vec::new();
    for (filter, options) in packet.filters.iter() {
        let subscriptions = &mut state.subscriptions;
        let reason = match subscriptions.refusal(filter, packet.properties, version) {
            Some(reason) => reason,
            None => {
                let since = since.clone();
                let subscription = Subscription::new(options, packet.properties, since);
                let granted = Reason(subscription.qos as u8);
                subscriptions.insert(filter, subscription.clone());
                fanout.insert(filter, index, subscription);
                granted
            }
        };
        reasons.push(reason.0);
    }
    let properties = Properties::NONE;
    let suback = SubAck {
        packet_id: packet.packet_id,
        properties,
        reasons: &reasons,
    };
    let written = state.reply(|out| suback.encode(version, out));
    debug_assert!(
        written.is_ok(),
        "there are fewer reasons than bytes in the SUBSCRIBE"
    );
}

/// Handles an UNSUBSCRIBE.
pub(super) fn unsubscribe(core: &Rc<Core>, connection: &Rc<Connection>, packet: &Unsubscribe<'_>) {
    let mut fanout = core.fanout.borrow_mut();
    let mut state = connection.state.borrow_mut();
    let version = state.version();
    let mut reasons = Vec::new();
    for filter in packet.filters.iter() {
        let reason = match state.subscriptions.remove(filter) {
            true => {
                fanout.remove(filter, connection.index.get());
                Reason::SUCCESS
            }
            false => Reason::NO_SUBSCRIPTION_EXISTED,
        };
        reasons.push(reason.0);
    }
    let properties = Properties::NONE;
    let unsuback = UnsubAck {
        packet_id: packet.packet_id,
        properties,
        reasons: &reasons,
    };
    let written = state.reply(|out| unsuback.encode(version, out));
    debug_assert!(
        written.is_ok(),
        "there are fewer reasons than bytes in the UNSUBSCRIBE"
    );
}

impl Subscription {
    fn new(options: Options, properties: Properties<'_>, since: Option<Rc<[i64]>>) -> Self {
        Self {
            qos: options.qos.min(Qos::AtLeastOnce),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            id: properties.int(Id::SubscriptionId),
            since,
        }
    }

    /// Whether it counts for a record at this offset, published by `publisher`.
    fn counts(&self, delivery: &Delivery<'_>, client_id: &str, at: (usize, i64)) -> bool {
        let (partition, offset) = at;
        let since = self.since.as_ref().and_then(|since| since.get(partition));
        let own = self.no_local && delivery.client_id == Some(client_id.as_bytes());
        !own && since.is_none_or(|since| offset >= *since)
    }
}

impl Grant {
    /// Adds what one matching subscription grants.
    pub(super) fn add(
        &mut self,
        subscription: &Subscription,
        delivery: &Delivery<'_>,
        client_id: &str,
        at: (usize, i64),
    ) {
        if !subscription.counts(delivery, client_id, at) {
            return;
        }
        self.wanted = true;
        self.qos = self.qos.max(subscription.qos.min(delivery.qos));
        self.retain |= subscription.retain_as_published && delivery.retain;
        self.ids.extend(subscription.id);
    }

    /// Ready for the next record.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        (self.wanted, self.qos, self.retain) = (false, Qos::AtMostOnce, false);
    }
}

impl Subscriptions {
    /// Why a filter is not accepted, if so. In 3.1.1 all refusals look the same.
    fn refusal(
        &self,
        filter: &str,
        properties: Properties<'_>,
        version: Version,
    ) -> Option<Reason> {
        if version == Version::V5 && topic::is_shared(filter) {
            return Some(Reason::SHARED_NOT_SUPPORTED);
        }
        if properties
            .user()
            .any(|(name, _)| REPLAY_PROPERTIES.contains(&name))
        {
            return Some(Reason::IMPLEMENTATION_SPECIFIC);
        }
        if filter.split('/').count() > FILTER_LEVELS_MAX {
            return Some(Reason::TOPIC_FILTER_INVALID);
        }
        let known = self.filters.contains_key(filter);
        let full =
            self.filters.len() >= FILTERS_MAX || self.bytes + filter.len() > FILTER_BYTES_MAX;
        (full && !known).then_some(Reason::QUOTA_EXCEEDED)
    }

    fn insert(&mut self, filter: &str, subscription: Subscription) {
        if self.filters.insert(filter.into(), subscription).is_none() {
            self.bytes += filter.len();
        }
    }

    fn remove(&mut self, filter: &str) -> bool {
        let removed = self.filters.remove(filter).is_some();
        self.bytes -= if removed { filter.len() } else { 0 };
        removed
    }

    /// Puts together what the client gets of a record, into `grant`.
    pub(super) fn grant(
        &self,
        delivery: &Delivery<'_>,
        client_id: &str,
        at: (usize, i64),
        grant: &mut Grant,
    ) {
        for (filter, subscription) in &self.filters {
            if headwater_wire::topic::matches(filter, delivery.topic) {
                grant.add(subscription, delivery, client_id, at);
            }
        }
    }

    /// Takes all filters out of the core's, and forgets them.
    pub(super) fn clear(&mut self, fanout: &mut Fanout, index: u32) {
        for filter in std::mem::take(&mut self.filters).into_keys() {
            fanout.remove(&filter, index);
        }
        self.bytes = 0;
    }

    /// Whether the client wants nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }
}

#[cfg(test)]
#[path = "tests/subscribe.rs"]
mod tests;
