//! One client's session: packets in, answers out; no socket.
//!
//! The publishes of one read are gathered and appended together; their answers wait in a queue in
//! the order in which the publishes came, and are written when the log has them.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use headwater_mqtt::{
    Ack, Bad, Connect, Disconnect, Id, Packet, Properties, PropertyBuf, Publish, PublishHead,
    Qos, Reason, Sender, SubAck, Subscribe, UnsubAck, Unsubscribe, Value, Version, topic,
};
use tokio::sync::Notify;

use super::budget::Held;
use super::connect::{self, Client, Refusal, Will};
use super::hub::{Delivery, Mailbox, Publication};
use super::{Open, record};
use crate::log::{AppendError, Event};
use crate::sources::Refused;

/// Deliveries are encoded while less than this waits to be written.
const DELIVERY_BYTES: usize = 64 * 1024;

/// A client's session.
pub(super) struct Session {
    open: Open,
    pub(super) client: Option<Client>,
    /// Bytes to be written.
    pub(super) out: BytesMut,
    /// Appends that are not over, oldest first.
    pending: VecDeque<Pending>,
    gather: Gather,
    unacked: u16,
    pub(super) mailbox: Option<Arc<Mailbox>>,
    delivering: BTreeSet<u16>,
    last_delivery: u16,
    /// Set when the connection is to end: what is still to be said.
    pub(super) end: Option<End>,
    kick: Arc<Notify>,
    will_held: Held,
}

/// How a connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// What a version 5 client is told; nothing after its own DISCONNECT.
    pub(super) say: Option<(Reason, String)>,
    /// Whether the will is published.
    pub(super) with_will: bool,
}

/// What the publishes of one read become.
#[derive(Default)]
struct Gather {
    events: Vec<Event>,
    answers: Vec<Answer>,
    publications: Vec<Publication>,
    bytes: usize,
}

/// The answer to one publish of QoS 1.
struct Answer {
    packet_id: u16,
    /// `None`: as the commit goes.
    refused: Option<(Reason, String)>,
}

struct Pending {
    append: Option<Box<dyn Future<Output = Result<(), AppendError>> + Send + Unpin>>,
    answers: Vec<Answer>,
    publications: Vec<Publication>,
    _held: Held,
}

impl Session {
    pub(super) fn new(open: Open) -> Self {
        Self {
            will_held: open.door.budget.hold(0),
            open,
            client: None,
            out: BytesMut::new(),
            pending: VecDeque::new(),
            gather: Gather::default(),
            unacked: 0,
            mailbox: None,
            delivering: BTreeSet::new(),
            last_delivery: 0,
            end: None,
            kick: Arc::new(Notify::new()),
        }
    }

    pub(super) fn door(&self) -> &super::Door {
        &self.open.door
    }

    /// Notified when another connection takes this client's name.
    pub(super) fn kick(&self) -> Arc<Notify> {
        Arc::clone(&self.kick)
    }

    /// Handles the complete packets at the front of `bytes`; how many bytes they are.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while self.end.is_none() {
            let rest = &bytes[done..];
            let limits = &self.door().limits;
            let (version, bytes_max) = self.client.as_ref().map_or(
                (Version::V5, limits.connect_bytes_max),
                |client| (client.version, limits.packet_bytes_max),
            );
            let frame = match headwater_mqtt::frame(rest, bytes_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(bad) => {
                    self.bad(&bad);
                    break;
                }
            };
            match headwater_mqtt::parse(version, Sender::Client, frame, rest) {
                Ok(packet) => self.handle_packet(packet),
                Err(bad) => self.bad(&bad),
            }
            done += frame.total;
        }
        self.append_gathered();
        done
    }

    fn handle_packet(&mut self, packet: Packet<'_>) {
        match (packet, self.client.is_some()) {
            (Packet::Connect(connect), false) => self.handle_connect(&connect),
            (_, false) => self.end_silently(),
            (Packet::Connect(_), true) => self.protocol_error("A second CONNECT [MQTT-3.1.0-2]"),
            (Packet::Publish(publish), true) => self.handle_publish(&publish),
            (Packet::PubAck(ack), true) => {
                // An id that is not under way is ignored: it harms nobody.
                let _was_there = self.delivering.remove(&ack.packet_id);
            }
            (Packet::Subscribe(subscribe), true) => self.handle_subscribe(&subscribe),
            (Packet::Unsubscribe(unsubscribe), true) => self.handle_unsubscribe(&unsubscribe),
            (Packet::PingReq, true) => self.write(&Packet::PingResp),
            (Packet::Disconnect(disconnect), true) => {
                let with_will = disconnect.reason == Reason::DISCONNECT_WITH_WILL;
                self.end = Some(End { say: None, with_will });
            }
            (Packet::Auth(_), true) => self.protocol_error("AUTH without a method [4.12]"),
            (_, true) => self.protocol_error("This packet belongs to QoS 2 or to the server"),
        }
    }

    fn handle_connect(&mut self, connect: &Connect<'_>) {
        let number = self.open.number;
        match connect::accept(connect, number, &self.open.door.intake) {
            Ok(client) => {
                connect::write_accepted(connect, &client, &self.open.door.limits, &mut self.out);
                self.open.door.hub.enter(&client.id, number, &self.kick);
                self.will_held.set(client.will.as_ref().map_or(0, |will| will.event.bytes()));
                tracing::debug!(client = client.id, "Client connected");
                self.client = Some(client);
            }
            Err(refusal) => self.refuse_connect(connect.version, &refusal),
        }
    }

    fn refuse_connect(&mut self, version: Version, refusal: &Refusal) {
        tracing::debug!("Client refused: {} ({:?})", refusal.why, refusal.reason);
        connect::write_refused(version, refusal, &mut self.out);
        self.end_silently();
    }

    fn handle_publish(&mut self, publish: &Publish<'_>) {
        let limits = &self.open.door.limits;
        if publish.qos == Qos::ExactlyOnce {
            return self.disconnect(Reason::QOS_NOT_SUPPORTED, "QoS 2 is not supported");
        }
        if publish.properties.short(Id::TopicAlias).is_some() {
            return self.disconnect(Reason::TOPIC_ALIAS_INVALID, "No topic alias was granted");
        }
        if publish.retain && self.version() == Version::V5 {
            return self.disconnect(Reason::RETAIN_NOT_SUPPORTED, "Nothing is retained here");
        }
        if publish.packet_id.is_some() {
            if self.unacked >= limits.receive_max && self.version() == Version::V5 {
                let why = "More publishes than the receive maximum";
                return self.disconnect(Reason::RECEIVE_MAXIMUM_EXCEEDED, why);
            }
            self.unacked = self.unacked.saturating_add(1);
        }
        match self.event(publish) {
            Ok((event, payload)) => self.take(publish, event, payload),
            Err(refused) => self.refuse(publish, &refused),
        }
    }

    fn event(&self, publish: &Publish<'_>) -> Result<(Event, Bytes), Refused> {
        let client = self.client.as_ref().map_or("", |client| client.id.as_str());
        let intake = &self.open.door.intake;
        let payload = Bytes::copy_from_slice(publish.payload);
        let headers = record::headers(client, publish.qos, publish.retain, publish.properties);
        let topic = intake.topic(publish.topic, publish.topic);
        let event = intake.event(topic, crate::clock::now_ms(), payload.clone(), headers)?;
        Ok((event, payload))
    }

    fn take(&mut self, publish: &Publish<'_>, event: Event, payload: Bytes) {
        self.gather.bytes += event.bytes();
        self.gather.events.push(event);
        if let Some(packet_id) = publish.packet_id {
            self.gather.answers.push(Answer { packet_id, refused: None });
        }
        if self.open.door.hub.has_subscribers() {
            let publication = record::publication(self.open.number, publish, payload);
            self.gather.publications.push(publication);
        }
    }

    fn refuse(&mut self, publish: &Publish<'_>, refused: &Refused) {
        let reason = match refused {
            Refused::ReservedTopic(_) => Reason::NOT_AUTHORIZED,
            Refused::Topic(_) => Reason::TOPIC_NAME_INVALID,
            Refused::TooLarge(_) => Reason::QUOTA_EXCEEDED,
        };
        let why = refused.to_string();
        self.open.door.intake.rejected(1, &why);
        match publish.packet_id {
            Some(packet_id) if self.version() == Version::V5 => {
                self.gather.answers.push(Answer { packet_id, refused: Some((reason, why)) });
            }
            // Nothing else can be said: 3.1.1 knows no refusal, QoS 0 no answer.
            Some(_) | None => self.disconnect(reason, &why),
        }
    }

    fn handle_subscribe(&mut self, subscribe: &Subscribe<'_>) {
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
                match door.hub.subscribe(self.open.number, filter, options, filters_max) {
                    Some(mailbox) => {
                        self.mailbox = Some(mailbox);
                        Reason(options.qos as u8)
                    }
                    None => Reason::QUOTA_EXCEEDED,
                }
            };
            let failed = reason.is_failure() && version == Version::V311;
            reasons.push(if failed { Reason::UNSPECIFIED.0 } else { reason.0 });
        }
        self.write(&Packet::SubAck(SubAck {
            packet_id: subscribe.packet_id,
            properties: Properties::NONE,
            reasons: &reasons,
        }));
    }

    fn handle_unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        let door = Arc::clone(&self.open.door);
        let mut reasons = Vec::new();
        for filter in unsubscribe.filters.iter() {
            let was_there = door.hub.unsubscribe(self.open.number, filter);
            let reason =
                if was_there { Reason::SUCCESS } else { Reason::NO_SUBSCRIPTION_EXISTED };
            reasons.push(reason.0);
        }
        self.write(&Packet::UnsubAck(UnsubAck {
            packet_id: unsubscribe.packet_id,
            properties: Properties::NONE,
            reasons: &reasons,
        }));
    }

    /// Hands what was gathered to the log, in one append.
    fn append_gathered(&mut self) {
        let gather = std::mem::take(&mut self.gather);
        if gather.events.is_empty() && gather.answers.is_empty() {
            return;
        }
        let append = (!gather.events.is_empty()).then(|| {
            let append = self.open.door.intake.append(gather.events);
            Box::new(append) as Box<dyn Future<Output = _> + Send + Unpin>
        });
        self.pending.push_back(Pending {
            append,
            answers: gather.answers,
            publications: gather.publications,
            _held: self.open.door.budget.hold(gather.bytes),
        });
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Waits for the oldest append. Can be dropped and called again.
    pub(super) async fn settled(&mut self) -> Result<(), AppendError> {
        match self.pending.front_mut() {
            Some(Pending { append: Some(append), .. }) => {
                let outcome = append.await;
                // Its outcome is taken: whoever waits again must not poll it.
                if let Some(pending) = self.pending.front_mut() {
                    pending.append = None;
                }
                outcome
            }
            Some(_) => Ok(()),
            None => std::future::pending().await,
        }
    }

    /// Writes the answers of the oldest append, whose outcome [`Self::settled`] gave, and passes
    /// its messages on.
    pub(super) fn handle_settled(&mut self, outcome: Result<(), AppendError>) {
        let Some(pending) = self.pending.pop_front() else { return };
        let failure = outcome.as_ref().err().map(|error| (reason_of(error), error.to_string()));
        for answer in pending.answers {
            self.unacked = self.unacked.saturating_sub(1);
            let refused = answer.refused.as_ref().or(failure.as_ref());
            self.answer(answer.packet_id, refused);
        }
        if failure.is_none() {
            for publication in pending.publications {
                self.open.door.hub.publish(publication);
            }
        }
    }

    fn answer(&mut self, packet_id: u16, refused: Option<&(Reason, String)>) {
        match refused {
            None => self.write(&Packet::PubAck(Ack::success(packet_id))),
            Some((reason, why)) if self.version() == Version::V5 => {
                let mut properties = PropertyBuf::new();
                // A reason too long to say is left out.
                let _fits = properties.push(Id::ReasonString, Value::Text(why));
                let properties = properties.view();
                self.write(&Packet::PubAck(Ack { packet_id, reason: *reason, properties }));
            }
            Some((reason, why)) => self.disconnect(*reason, &why.clone()),
        }
    }

    /// Encodes deliveries while there is room, in the socket's queue and in the client's window.
    pub(super) fn deliver(&mut self) {
        let (Some(mailbox), Some(client)) = (self.mailbox.clone(), &self.client) else { return };
        let (version, bytes_max) = (client.version, client.packet_bytes_max);
        let window = usize::from(client.receive_max);
        while self.out.len() < DELIVERY_BYTES && self.delivering.len() < window {
            let Some(delivery) = mailbox.take() else { break };
            self.write_delivery(&delivery, version, bytes_max);
        }
        match mailbox.take_dropped() {
            0 => {}
            dropped => tracing::debug!(dropped, "A slow subscriber misses live messages"),
        }
    }

    /// Whether a delivery waits and could be written now.
    pub(super) fn can_deliver(&self) -> bool {
        let (Some(mailbox), Some(client)) = (&self.mailbox, &self.client) else { return false };
        self.out.len() < DELIVERY_BYTES
            && self.delivering.len() < usize::from(client.receive_max)
            && !mailbox.is_empty()
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

    /// Takes the will if it is to be published.
    pub(super) fn take_will(&mut self) -> Option<Will> {
        let wanted = self.end.as_ref().is_none_or(|end| end.with_will);
        let will = self.client.as_mut()?.will.take()?;
        wanted.then_some(will)
    }

    /// The last words, once everything before them is written.
    pub(super) fn write_end(&mut self) {
        if let Some(End { say: Some((reason, why)), .. }) = self.end.take()
            && self.client.is_some()
            && self.version() == Version::V5
        {
            let mut properties = PropertyBuf::new();
            // A reason too long to say is left out.
            let _fits = properties.push(Id::ReasonString, Value::Text(&why));
            let properties = properties.view();
            self.write(&Packet::Disconnect(Disconnect { reason, properties }));
        }
    }

    /// Ends the connection; a version 5 client is told why. The first reason stays.
    pub(super) fn disconnect(&mut self, reason: Reason, why: &str) {
        if self.end.is_none() {
            let client = self.client.as_ref().map_or("", |client| client.id.as_str());
            tracing::debug!(client, "Connection ended: {why} ({reason:?})");
            self.end = Some(End { say: Some((reason, why.to_owned())), with_will: true });
        }
    }

    fn protocol_error(&mut self, why: &str) {
        self.disconnect(Reason::PROTOCOL_ERROR, why);
    }

    /// Ends the connection without a word.
    pub(super) fn end_silently(&mut self) {
        if self.end.is_none() {
            self.end = Some(End { say: None, with_will: true });
        }
    }

    fn bad(&mut self, bad: &Bad) {
        if self.client.is_none() && bad.reason == Reason::UNSUPPORTED_VERSION {
            let refusal = Refusal { reason: bad.reason, why: bad.why.to_owned() };
            return self.refuse_connect(Version::V311, &refusal);
        }
        if bad.reason == Reason::PACKET_TOO_LARGE && self.client.is_some() {
            let max = self.open.door.limits.packet_bytes_max;
            let why = format!("Packet larger than the {max} bytes that an event may have");
            self.open.door.intake.rejected(1, &why);
            return self.disconnect(bad.reason, &why);
        }
        self.disconnect(bad.reason, bad.why);
    }

    fn version(&self) -> Version {
        self.client.as_ref().map_or(Version::V5, |client| client.version)
    }

    fn write(&mut self, packet: &Packet<'_>) {
        let version = self.version();
        // Every field was checked when it came or was made here; what cannot be said is left out.
        let _fits = packet.encode(version, &mut self.out);
    }

    /// Bytes were written from the front of `out`.
    pub(super) fn handle_written(&mut self, bytes: usize) {
        self.out.advance(bytes);
        if self.out.is_empty() {
            // An idle connection holds no buffer.
            self.out = BytesMut::new();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let client = self.client.as_ref().map(|client| client.id.as_str());
        self.open.door.hub.leave(client, self.open.number);
    }
}

fn reason_of(error: &AppendError) -> Reason {
    match error {
        AppendError::Full { .. } | AppendError::Held { .. } | AppendError::TooLarge { .. } => {
            Reason::QUOTA_EXCEEDED
        }
        AppendError::Stream(_) => Reason::IMPLEMENTATION_SPECIFIC,
        AppendError::Io(_) | AppendError::Stopped => Reason::UNSPECIFIED,
    }
}

