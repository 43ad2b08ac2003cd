//! Publishes: gathered while a read lasts, appended together, answered in order.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;

use bytes::Bytes;
use headwater_mqtt::{Ack, Id, Packet, PropertyBuf, Publish, Qos, Reason, Value, Version};

use super::Session;
use crate::log::{AppendError, EVENT_MEMORY_BYTES, Event, Held, Use};
use crate::sources::Refused;
use crate::sources::mqtt::hub::Publication;
use crate::sources::mqtt::record;

/// A PUBACK with a reason string, the string left out.
const ACK_BYTES: usize = 16;

/// What the publishes of one read become.
#[derive(Default)]
pub(super) struct Gather {
    events: Vec<Event>,
    /// What cannot be mapped, and whose client cannot be told so.
    rejected: Vec<Event>,
    answers: Vec<Answer>,
    publications: Vec<Publication>,
    bytes: usize,
}

/// The answer to one publish of QoS 1.
pub(super) struct Answer {
    packet_id: u16,
    /// `None`: as the commit goes.
    refused: Option<(Reason, String)>,
}

type Appending = Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send>>;

pub(super) struct Pending {
    append: Option<Appending>,
    answers: Vec<Answer>,
    publications: Vec<Publication>,
    _held: Held,
}

impl Session {
    pub(super) fn handle_publish(&mut self, publish: &Publish<'_>) {
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
        self.gather.bytes += event.bytes() + EVENT_MEMORY_BYTES;
        self.gather.events.push(event);
        if let Some(packet_id) = publish.packet_id {
            self.gather.answers.push(Answer {
                packet_id,
                refused: None,
            });
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
        match publish.packet_id {
            Some(packet_id) if self.version() == Version::V5 => {
                self.open.door.intake.rejected(1, &why);
                self.gather.answers.push(Answer {
                    packet_id,
                    refused: Some((reason, why)),
                });
            }
            // 3.1.1 knows no refusal, and QoS 0 no answer: what came is kept, and says why.
            packet_id => {
                self.reject(publish, packet_id, &why);
                if matches!(refused, Refused::TooLarge(_)) {
                    self.disconnect(reason, &why);
                }
            }
        }
    }

    fn reject(&mut self, publish: &Publish<'_>, packet_id: Option<u16>, why: &str) {
        let rejection = self.open.door.intake.rejection(publish.payload, why);
        self.gather.bytes += rejection.bytes() + EVENT_MEMORY_BYTES;
        self.gather.rejected.push(rejection);
        self.gather
            .answers
            .extend(packet_id.map(|packet_id| Answer {
                packet_id,
                refused: None,
            }));
    }

    /// Hands what was gathered to the log, in one append.
    pub(super) fn append_gathered(&mut self) {
        let gather = std::mem::take(&mut self.gather);
        let is_empty = gather.events.is_empty() && gather.rejected.is_empty();
        if is_empty && gather.answers.is_empty() {
            return;
        }
        let append = (!is_empty).then(|| self.append(gather.events, gather.rejected));
        self.pending.push_back(Pending {
            append,
            answers: gather.answers,
            publications: gather.publications,
            _held: self.open.door.intake.room().hold(Use::Queue, gather.bytes),
        });
    }

    /// Puts both in line at once. Nobody of version 5 waits for what was rejected.
    fn append(&self, events: Vec<Event>, rejected: Vec<Event>) -> Appending {
        let intake = &self.open.door.intake;
        let is_told = self.version() == Version::V5;
        let events = (!events.is_empty()).then(|| intake.append(events));
        let rejected = (!rejected.is_empty()).then(|| intake.append_rejected(rejected));
        Box::pin(async move {
            let mut outcome = Ok(());
            if let Some(events) = events {
                outcome = events.await;
            }
            if let Some(rejected) = rejected {
                let rejected = rejected.await;
                outcome = if is_told {
                    outcome
                } else {
                    outcome.and(rejected)
                };
            }
            outcome
        })
    }

    pub(in crate::sources::mqtt) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Waits for the oldest append. Can be dropped and called again.
    pub(in crate::sources::mqtt) async fn settled(&mut self) -> Result<(), AppendError> {
        match self.pending.front_mut() {
            Some(Pending {
                append: Some(append),
                ..
            }) => {
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
    pub(in crate::sources::mqtt) fn handle_settled(&mut self, outcome: Result<(), AppendError>) {
        let Some(pending) = self.pending.pop_front() else {
            return;
        };
        let failure = outcome
            .as_ref()
            .err()
            .map(|error| (reason_of(error), error.to_string()));
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
                if self.may_explain(why) {
                    // A reason too long to say is left out.
                    let _fits = properties.push(Id::ReasonString, Value::Text(why));
                }
                let properties = properties.view();
                self.write(&Packet::PubAck(Ack {
                    packet_id,
                    reason: *reason,
                    properties,
                }));
            }
            Some((reason, why)) => self.disconnect(*reason, &why.clone()),
        }
    }

    /// Whether the client wants reasons and takes a packet that holds this one (MQTT-3.4.2-2).
    fn may_explain(&self, why: &str) -> bool {
        self.client.as_ref().is_some_and(|client| {
            client.wants_reasons && why.len() + ACK_BYTES <= client.packet_bytes_max
        })
    }
}

fn reason_of(error: &AppendError) -> Reason {
    match error {
        AppendError::Full { .. } | AppendError::Held { .. } | AppendError::TooLarge { .. } => {
            Reason::QUOTA_EXCEEDED
        }
        AppendError::Io(error) if error.kind() == ErrorKind::StorageFull => Reason::QUOTA_EXCEEDED,
        AppendError::Stream(_) => Reason::IMPLEMENTATION_SPECIFIC,
        AppendError::Io(_) | AppendError::Stopped => Reason::UNSPECIFIED,
    }
}
