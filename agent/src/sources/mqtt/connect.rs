//! CONNECT: who comes, what is granted, what is refused.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headwater_mqtt::{ConnAck, Connect, Id, Properties, PropertyBuf, Qos, Reason, Value, Version};

use super::hub::Publication;
use super::{Limits, record};
use crate::log::Event;
use crate::sources::Intake;

/// A client that was accepted.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) version: Version,
    pub(super) id: String,
    /// One and a half times the client's keep alive; nothing if it wants none.
    pub(super) silence_max: Option<Duration>,
    /// QoS 1 deliveries that it takes at a time.
    pub(super) receive_max: u16,
    /// Whether acknowledgements may say why (Request Problem Information).
    pub(super) wants_reasons: bool,
    /// Bytes of a packet that it takes.
    pub(super) packet_bytes_max: usize,
    pub(super) will: Option<Will>,
}

/// What is published if the client goes without a word.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) event: Event,
    pub(super) publication: Publication,
}

/// What was wrong with a CONNECT, for the CONNACK.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) why: String,
}

/// QoS 1 deliveries under way to one client, whatever it would take.
const DELIVERIES_MAX: u16 = 32;

/// Decides about a CONNECT. `number` is the connection's, from which a name is made for a client
/// that has none.
pub(super) fn accept(
    connect: &Connect<'_>,
    number: u64,
    intake: &Intake,
) -> Result<Client, Refusal> {
    let refuse = |reason, why: &str| {
        Err(Refusal {
            reason,
            why: why.to_owned(),
        })
    };
    if connect.properties.text(Id::AuthMethod).is_some() {
        return refuse(
            Reason::BAD_AUTHENTICATION_METHOD,
            "No extended authentication here",
        );
    }
    let id = match connect.client_id {
        "" if connect.version == Version::V311 && !connect.clean_start => {
            return refuse(
                Reason::CLIENT_ID_NOT_VALID,
                "A client id or a clean session is needed",
            );
        }
        "" => format!("auto-{number}"),
        id => id.to_owned(),
    };
    let keep_alive = Duration::from_secs(u64::from(connect.keep_alive));
    let receive_max = connect
        .properties
        .short(Id::ReceiveMaximum)
        .unwrap_or(u16::MAX);
    let packet_bytes_max = connect.properties.int(Id::MaximumPacketSize);
    Ok(Client {
        version: connect.version,
        will: will(connect, &id, number, intake)?,
        id,
        silence_max: (!keep_alive.is_zero()).then(|| keep_alive + keep_alive / 2),
        receive_max: receive_max.min(DELIVERIES_MAX),
        wants_reasons: connect.properties.byte(Id::RequestProblemInfo) != Some(0),
        packet_bytes_max: packet_bytes_max.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        }),
    })
}

fn will(
    connect: &Connect<'_>,
    client: &str,
    number: u64,
    intake: &Intake,
) -> Result<Option<Will>, Refusal> {
    let Some(will) = &connect.will else {
        return Ok(None);
    };
    let refuse = |reason, why: &str| {
        Err(Refusal {
            reason,
            why: why.to_owned(),
        })
    };
    if will.qos == Qos::ExactlyOnce {
        return refuse(Reason::QOS_NOT_SUPPORTED, "A will of QoS 2");
    }
    if will.retain && connect.version == Version::V5 {
        return refuse(Reason::RETAIN_NOT_SUPPORTED, "A retained will");
    }
    let payload = Bytes::copy_from_slice(will.payload);
    let headers = record::headers(client, will.qos, will.retain, will.properties);
    let topic = intake.topic(will.topic, will.topic);
    // The time is set when the will is published.
    let event = intake
        .event(topic, 0, payload.clone(), headers)
        .map_err(|refused| Refusal {
            reason: Reason::NOT_AUTHORIZED,
            why: refused.to_string(),
        })?;
    let publication = Publication {
        from: number,
        topic: will.topic.to_owned(),
        payload,
        qos: will.qos,
        retain: will.retain,
        properties: record::passed_on(will.properties).unwrap_or_default(),
    };
    Ok(Some(Will { event, publication }))
}

/// Appends the CONNACK that accepts `connect`.
pub(super) fn write_accepted(
    connect: &Connect<'_>,
    client: &Client,
    limits: &Limits,
    out: &mut BytesMut,
) {
    let mut properties = PropertyBuf::new();
    let packet_bytes_max = u32::try_from(limits.packet_bytes_max).unwrap_or(u32::MAX);
    let mut push = |id, value| {
        // Only a name of more than 65,535 bytes could be too long, and it came in such a field.
        let _fits = properties.push(id, value);
    };
    push(Id::SessionExpiry, Value::Int(0));
    push(Id::ReceiveMaximum, Value::Short(limits.receive_max));
    push(Id::MaximumQos, Value::Byte(1));
    push(Id::RetainAvailable, Value::Byte(0));
    push(Id::MaximumPacketSize, Value::Int(packet_bytes_max));
    if connect.client_id.is_empty() {
        push(Id::AssignedClientId, Value::Text(&client.id));
    }
    push(Id::SubscriptionIdAvailable, Value::Byte(0));
    push(Id::SharedAvailable, Value::Byte(0));
    write(connect.version, Reason::SUCCESS, properties.view(), out);
}

/// Appends the CONNACK that refuses.
pub(super) fn write_refused(version: Version, refusal: &Refusal, out: &mut BytesMut) {
    let mut properties = PropertyBuf::new();
    // A reason too long to say is left out.
    let _fits = properties.push(Id::ReasonString, Value::Text(&refusal.why));
    write(version, refusal.reason, properties.view(), out);
}

fn write(version: Version, reason: Reason, properties: Properties<'_>, out: &mut BytesMut) {
    let ack = ConnAck {
        session_present: false,
        reason,
        properties,
    };
    // Its properties are a handful of numbers and one string that was checked when it was pushed.
    let _fits = ack.encode(version, out);
}
