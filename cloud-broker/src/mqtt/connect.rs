//! What a CONNECT leads to: who the client is, what it is granted, and the CONNACK that says so.

use std::time::Duration;

use headwater_mqtt::{ConnAck, Connect, Id, PropertyBuf, Qos, Reason, TooLong, Value, Version};
use headwater_wire::uplink;

use super::packets;
use super::session::{Aliases, InFlight, Unanswered};
use crate::auth::Identity;
use crate::config::MqttConfig;

/// Longest client id that is accepted, bytes: it stands in each of the client's records.
const CLIENT_ID_BYTES_MAX: usize = 1024;
/// Hex digits of the random part of an agent's client id.
const AGENT_DIGITS: usize = 8;

/// A client that has connected, and what is remembered of it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) version: Version,
    pub(super) client_id: Box<str>,
    /// The device, if the client id is an agent's.
    pub(super) agent: Option<Box<str>>,
    /// Silence after which the connection is cut.
    pub(super) silence_max: Option<Duration>,
    /// Largest packet that the client takes, bytes.
    pub(super) packet_bytes_max: usize,
    /// Whether acknowledgements may carry reason strings and user properties.
    pub(super) problem_information: bool,
    pub(super) aliases: Aliases,
    pub(super) in_flight: InFlight,
    pub(super) unanswered: Unanswered,
    pub(super) will: Option<Box<Will>>,
}

/// What is published in the client's stead if it goes without saying so.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) topic: Box<str>,
    pub(super) payload: Box<[u8]>,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) properties: PropertyBuf,
}

/// Decides about a CONNECT that is valid by itself. `assigned` is the id for a client that brings
/// none.
///
/// # Errors
/// The reason for the CONNACK; the connection ends with it.
pub(super) fn decide(
    connect: &Connect<'_>,
    identity: &Identity,
    config: &MqttConfig,
    assigned: &str,
) -> Result<Session, Reason> {
    let client_id = client_id(connect, assigned)?;
    if connect.properties.text(Id::AuthMethod).is_some() {
        return Err(Reason::BAD_AUTHENTICATION_METHOD);
    }
    let in_5 = connect.version == Version::V5;
    let properties = connect.properties;
    let receive_max = properties.short(Id::ReceiveMaximum).unwrap_or(u16::MAX);
    let packet_bytes_max = properties.int(Id::MaximumPacketSize);
    Ok(Session {
        version: connect.version,
        agent: agent(client_id, identity).filter(|_| in_5),
        client_id: client_id.into(),
        silence_max: silence_max(connect.keep_alive, config),
        packet_bytes_max: packet_bytes_max.map_or(usize::MAX, packets::size),
        problem_information: properties.byte(Id::RequestProblemInfo) != Some(0),
        aliases: Aliases::new(config.topic_alias_max),
        in_flight: InFlight::new(receive_max),
        unanswered: Unanswered::new(in_5.then_some(config.receive_max)),
        will: will(connect)?,
    })
}

fn client_id<'a>(connect: &Connect<'a>, assigned: &'a str) -> Result<&'a str, Reason> {
    match connect.client_id {
        // MQTT3-3.1.3-8: without a session to come back to.
        "" if connect.version == Version::V311 && !connect.clean_start => {
            Err(Reason::CLIENT_ID_NOT_VALID)
        }
        "" => Ok(assigned),
        id if id.len() > CLIENT_ID_BYTES_MAX => Err(Reason::CLIENT_ID_NOT_VALID),
        id => Ok(id),
    }
}

/// The device, if `client_id` is `<device>~<8 hex digits>`, as agents have it.
fn agent(client_id: &str, identity: &Identity) -> Option<Box<str>> {
    let (_, digits) = client_id.split_once('~')?;
    let hex = digits.len() == AGENT_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let device = identity.device(client_id);
    (hex && uplink::check_device(device).is_ok()).then(|| device.into())
}

/// One and a half times the keep-alive, the server's if it has one (MQTT-3.1.2-22).
fn silence_max(keep_alive: u16, config: &MqttConfig) -> Option<Duration> {
    let seconds = server_keep_alive(config).unwrap_or(keep_alive);
    (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 1500))
}

fn server_keep_alive(config: &MqttConfig) -> Option<u16> {
    let seconds = config.server_keep_alive.duration().as_secs();
    u16::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

fn will(connect: &Connect<'_>) -> Result<Option<Box<Will>>, Reason> {
    let Some(will) = &connect.will else {
        return Ok(None);
    };
    if packets::is_uplink(will.topic) {
        return Err(Reason::NOT_AUTHORIZED);
    }
    if connect.version == Version::V5 && will.qos > Qos::AtLeastOnce {
        return Err(Reason::QOS_NOT_SUPPORTED);
    }
    if connect.version == Version::V5 && will.retain {
        return Err(Reason::RETAIN_NOT_SUPPORTED);
    }
    let mut properties = PropertyBuf::new();
    for property in will
        .properties
        .iter()
        .filter(|property| property.id != Id::WillDelay)
    {
        let copied = properties.push(property.id, property.value);
        debug_assert!(copied.is_ok(), "it came with a length that fits");
    }
    Ok(Some(Box::new(Will {
        topic: will.topic.into(),
        payload: will.payload.into(),
        qos: will.qos.min(Qos::AtLeastOnce),
        retain: will.retain,
        properties,
    })))
}

/// What the client is told in a CONNACK of version 5: limits, and what is not offered.
///
/// # Errors
/// Never with client ids of an accepted length.
pub(super) fn granted(
    connect: &Connect<'_>,
    session: &Session,
    config: &MqttConfig,
) -> Result<PropertyBuf, TooLong> {
    let mut granted = PropertyBuf::new();
    granted.push(Id::SessionExpiry, Value::Int(0))?;
    granted.push(Id::ReceiveMaximum, Value::Short(config.receive_max))?;
    granted.push(Id::MaximumQos, Value::Byte(1))?;
    granted.push(Id::RetainAvailable, Value::Byte(0))?;
    let size = u32::try_from(packets::bytes_max(config)).unwrap_or(u32::MAX);
    granted.push(Id::MaximumPacketSize, Value::Int(size))?;
    if connect.client_id.is_empty() {
        granted.push(Id::AssignedClientId, Value::Text(&session.client_id))?;
    }
    granted.push(Id::TopicAliasMaximum, Value::Short(config.topic_alias_max))?;
    granted.push(Id::SharedAvailable, Value::Byte(0))?;
    if let Some(seconds) = server_keep_alive(config) {
        granted.push(Id::ServerKeepAlive, Value::Short(seconds))?;
    }
    Ok(granted)
}

/// The CONNACK for a client that is turned away.
pub(super) fn refusal(reason: Reason) -> ConnAck<'static> {
    let properties = headwater_mqtt::Properties::NONE;
    ConnAck {
        session_present: false,
        reason,
        properties,
    }
}

#[cfg(test)]
#[path = "tests/connect.rs"]
mod tests;
