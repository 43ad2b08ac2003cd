//! One record to one client.

use bytes::Bytes;
use headwater_mqtt::{Id, PropertyBuf, PublishHead, Qos, Value, Version};

use super::connection::{OUT_BYTES_MAX, State};
use super::record::{self, Delivery};
use super::subscriptions::{At, Grant};

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// It will be sent.
    Done,
    /// The client does not want it, or it is too large for the client or for the broker's memory.
    NotWanted,
    /// The client takes nothing more now.
    Full,
}

impl State {
    /// Puts a record at the end of what is to be sent. `shared` are its properties; its payload is
    /// a part of `whole`.
    pub(super) fn deliver(
        &mut self,
        delivery: &Delivery<'_>,
        grant: &Grant,
        at: At<'_>,
        shared: &PropertyBuf,
        whole: Option<&Bytes>,
    ) -> Delivered {
        let (Some(session), true) = (&mut self.session, grant.wanted) else {
            return Delivered::NotWanted;
        };
        let mut own = PropertyBuf::new();
        for id in &grant.ids {
            let pushed = own.push(Id::SubscriptionId, Value::Var(*id));
            debug_assert!(pushed.is_ok(), "a number fits");
        }
        let mut honest = PropertyBuf::new();
        let shared = match grant.offsets {
            true => {
                let pushed = own.push_user(OFFSET, &at.to_string());
                debug_assert!(pushed.is_ok(), "a stream's name is short");
                // Whatever a publisher says of that name.
                record::but(OFFSET, shared, &mut honest)
            }
            false => shared.view(),
        };
        let mut head = PublishHead {
            dup: false,
            qos: grant.qos,
            retain: grant.retain,
            topic: delivery.topic,
            packet_id: (grant.qos > Qos::AtMostOnce).then_some(1),
            properties: [own.view(), shared],
            payload_bytes: delivery.payload.len(),
        };
        let version = session.version;
        // MQTT-3.1.2-25: what is too large for the client is dropped, as if it had been sent.
        let bytes = head.packet_bytes(version);
        let too_large = bytes > session.packet_bytes_max.min(PACKET_BYTES_MAX);
        if too_large || !self.backlog.could_admit(bytes) {
            return Delivered::NotWanted;
        }
        // Memory is taken last: a client that takes nothing for another reason holds none.
        let takes_more = grant.qos == Qos::AtMostOnce || session.in_flight.has_room();
        let waiting = self.out.bytes();
        if !takes_more || waiting >= OUT_BYTES_MAX || !self.backlog.admits(waiting, bytes) {
            return Delivered::Full;
        }
        if grant.qos > Qos::AtMostOnce {
            match session.in_flight.begin() {
                Some(id) => head.packet_id = Some(id),
                None => return Delivered::Full,
            }
        }
        let written = self.out.append(|out| head.encode(version, out));
        debug_assert!(written.is_ok(), "the size was looked at");
        match whole {
            Some(whole) => self.out.push(whole, delivery.payload),
            None => self
                .out
                .append(|out| out.extend_from_slice(delivery.payload)),
        }
        debug_assert!(
            version == Version::V5 || grant.ids.is_empty(),
            "ids are of version 5"
        );
        Delivered::Done
    }
}

/// User property that says where a record lies (`interfaces.md` 2).
const OFFSET: &str = "hw-offset";
const PACKET_BYTES_MAX: usize = headwater_mqtt::PACKET_BYTES_MAX;
