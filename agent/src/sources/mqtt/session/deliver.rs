//! Subscriptions and deliveries.

use std::sync::Arc;

use headwater_mqtt::{
    Id, Packet, Properties, PublishHead, Qos, Reason, SubAck, Subscribe, UnsubAck, Unsubscribe,
    Version, topic,
};

use super::Session;
use crate::sources::mqtt::hub::Delivery;

/// Deliveries are encoded while less than this waits to be written.
const DELIVERY_BYTES: usize = 64 * 1024;

impl Session {
    pub(super) fn handle_subscribe(&mut self, subscribe: &Subscribe<'_>) {
        if subscribe.properties.int(Id::SubscriptionId).is_some() {
            let why = "No subscription identifiers here";
            return self.disconnect(Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED, why);
        }
        let door = Arc::clone(&self.open.door);
        let version = self.version();
        let mut reasons = Vec::new();
        for (filter, mut options) in subscribe.filters.iter() {
            options.qos = options.qos.min(Qos::AtLeastOnce);
            let reason = if version == Version::V5 && topic::is_shared(filter) {
                Reason::SHARED_NOT_SUPPORTED
            } else {
                let filters_max = door.limits.filters_max;
                match door
                    .hub
                    .subscribe(self.open.number, filter, options, filters_max)
                {
                    Some(mailbox) => {
                        self.mailbox = Some(mailbox);
                        Reason(options.qos as u8)
                    }
                    None => Reason::QUOTA_EXCEEDED,
                }
            };
            let failed = reason.is_failure() && version == Version::V311;
            reasons.push(if failed {
                Reason::UNSPECIFIED.0
            } else {
                reason.0
            });
        }
        self.write(&Packet::SubAck(SubAck {
            packet_id: subscribe.packet_id,
            properties: Properties::NONE,
            reasons: &reasons,
        }));
    }

    pub(super) fn handle_unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        let door = Arc::clone(&self.open.door);
        let mut reasons = Vec::new();
        for filter in unsubscribe.filters.iter() {
            let was_there = door.hub.unsubscribe(self.open.number, filter);
            let reason = if was_there {
                Reason::SUCCESS
            } else {
                Reason::NO_SUBSCRIPTION_EXISTED
            };
            reasons.push(reason.0);
        }
        self.write(&Packet::UnsubAck(UnsubAck {
            packet_id: unsubscribe.packet_id,
            properties: Properties::NONE,
            reasons: &reasons,
        }));
    }

    /// Encodes deliveries while there is room, in the socket's queue and in the client's window.
    pub(in crate::sources::mqtt) fn deliver(&mut self) {
        let (Some(mailbox), Some(client)) = (self.mailbox.clone(), &self.client) else {
            return;
        };
        let (version, bytes_max) = (client.version, client.packet_bytes_max);
        let window = usize::from(client.receive_max);
        while self.out.len() < DELIVERY_BYTES && self.delivering.len() < window {
            let Some(delivery) = mailbox.take() else {
                break;
            };
            self.write_delivery(&delivery, version, bytes_max);
        }
        match mailbox.take_dropped() {
            0 => {}
            dropped => tracing::debug!(dropped, "A slow subscriber misses live messages"),
        }
    }

    fn write_delivery(&mut self, delivery: &Delivery, version: Version, bytes_max: usize) {
        let publication = &*delivery.publication;
        let packet_id = (delivery.qos == Qos::AtLeastOnce).then(|| self.next_delivery());
        let head = PublishHead {
            dup: false,
            qos: delivery.qos,
            retain: delivery.retain,
            topic: &publication.topic,
            packet_id,
            properties: [Properties::NONE, publication.properties.view()],
            payload_bytes: publication.payload.len(),
        };
        // What is larger than the client takes is not for it (MQTT-3.1.2-25).
        if head.packet_bytes(version) > bytes_max || head.encode(version, &mut self.out).is_err() {
            return;
        }
        self.out.extend_from_slice(&publication.payload);
        self.delivering.extend(packet_id);
    }

    /// The next packet id that is not under way; there are far fewer of those than ids.
    fn next_delivery(&mut self) -> u16 {
        loop {
            self.last_delivery = self.last_delivery.checked_add(1).unwrap_or(1);
            if !self.delivering.contains(&self.last_delivery) {
                return self.last_delivery;
            }
        }
    }
}
