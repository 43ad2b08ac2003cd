//! From bytes to packets, and from each packet to its handler.

use std::rc::Rc;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use headwater_mqtt::{
    Bad, ConnAck, Connect, Disconnect, Frame, Kind, Packet, Reason, Sender, Version, frame, parse,
};

use super::connect;
use super::connection::{Connection, End, State};
use super::core::Core;
use super::intake::Intake;
use super::{publish, subscribe};
use crate::config::MqttConfig;
use crate::pace::{ARRIVAL, Pace};

/// Largest packet before the CONNACK, bytes.
const BEFORE_CONNACK_BYTES_MAX: usize = 64 << 10;
/// What a packet may hold beside `mqtt.max_packet`.
const ENVELOPE_BYTES: usize = headwater_wire::uplink::PACKET_ENVELOPE_BYTES;
/// The beginning of a packet is counted against `limits.request_memory` from here on.
const UNCOUNTED_BYTES_MAX: usize = 1 << 10;

/// Largest packet of a client, bytes.
pub(super) fn bytes_max(config: &MqttConfig) -> usize {
    config.max_packet.as_usize().saturating_add(ENVELOPE_BYTES)
}

/// Whether a topic is one of those that agents alone use.
pub(super) fn is_uplink(topic: &str) -> bool {
    topic == "$hw" || topic.starts_with("$hw/")
}

/// A number of bytes that came in a packet.
pub(super) fn size(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Handles the `count` bytes that were just read into the core's buffer.
pub(super) fn receive(core: &Rc<Core>, connection: &Rc<Connection>, count: usize) {
    let raw = core.raw.borrow();
    let mut plain = core.plain.borrow_mut();
    let now = Instant::now();
    match connection.io.decrypt(&raw[..count], &mut plain) {
        Ok(bytes) => take_in(core, connection, bytes),
        Err(error) => {
            tracing::debug!("TLS of {} failed: {error}", connection.peer);
            connection.close(End::Gone);
        }
    }
    // Whoever has not said who it is has so much time for that, however it fills it.
    if connection.state.borrow().session.is_some() {
        connection.heard.set(now);
    }
    core.mark(connection);
    core.flush_marked();
}

/// Only the beginning of a packet that is not complete yet is copied to the connection.
fn take_in(core: &Rc<Core>, connection: &Rc<Connection>, bytes: &[u8]) {
    let mut tail = std::mem::take(&mut connection.state.borrow_mut().tail);
    if tail.is_empty() {
        let used = handle_all(core, connection, bytes);
        tail.extend_from_slice(&bytes[used..]);
    } else {
        tail.extend_from_slice(bytes);
        let used = handle_all(core, connection, &tail);
        tail.advance(used);
    }
    if tail.is_empty() {
        tail = BytesMut::new();
    }
    let mut state = connection.state.borrow_mut();
    if tail.len() <= UNCOUNTED_BYTES_MAX {
        state.memory.shrink_to(0);
        state.arrival = None;
    } else {
        let arrival = state.arrival.get_or_insert_with(|| Pace::new(ARRIVAL));
        arrival.count(bytes.len());
        if !state.memory.grow_to(tail.len()) {
            state.close(End::Because(Reason::QUOTA_EXCEEDED));
        }
    }
    state.tail = tail;
}

/// Handles every complete packet; gives the bytes that they took.
fn handle_all(core: &Rc<Core>, connection: &Rc<Connection>, bytes: &[u8]) -> usize {
    let mut intake = Intake::new(core, connection);
    let mut used = 0;
    loop {
        let (version, size_max) = {
            let state = connection.state.borrow();
            if state.end.is_some() {
                return bytes.len();
            }
            let connected = state.session.is_some();
            let max = if connected {
                bytes_max(&core.door.config.mqtt)
            } else {
                BEFORE_CONNACK_BYTES_MAX
            };
            (state.version(), max)
        };
        let rest = &bytes[used..];
        let handled = frame(rest, size_max).and_then(|frame| {
            let Some(frame) = frame else { return Ok(None) };
            handle(&mut intake, version, frame, rest)?;
            Ok(Some(frame.total))
        });
        match handled {
            Ok(Some(total)) => used += total,
            Ok(None) => return used,
            Err(bad) => {
                fail(connection, bad);
                return bytes.len();
            }
        }
    }
}

fn handle(
    intake: &mut Intake<'_>,
    version: Version,
    frame: Frame,
    bytes: &[u8],
) -> Result<(), Bad> {
    let connected = intake.connection.state.borrow().session.is_some();
    // Not read: what is wrong in it has reasons that only a CONNACK may give.
    if connected && frame.kind == Kind::Connect {
        return Err(protocol_error("A second CONNECT [MQTT-3.1.0-2]"));
    }
    let packet = parse(version, Sender::Client, frame, bytes)?;
    match packet {
        Packet::Connect(connect) => {
            accept(intake.core, intake.connection, &connect);
            Ok(())
        }
        _ if !connected => Err(protocol_error("Not a CONNECT first [MQTT-3.1.0-1]")),
        Packet::Publish(publish) => publish::handle(intake, &publish),
        Packet::PubAck(ack) => {
            acknowledged(intake.connection, ack.packet_id);
            Ok(())
        }
        Packet::Subscribe(packet) => {
            intake.seal();
            subscribe::subscribe(intake.core, intake.connection, &packet);
            Ok(())
        }
        Packet::Unsubscribe(packet) => {
            intake.seal();
            subscribe::unsubscribe(intake.core, intake.connection, &packet);
            Ok(())
        }
        Packet::PingReq => {
            let mut state = intake.connection.state.borrow_mut();
            let written = state.reply(|out| Packet::PingResp.encode(version, out));
            debug_assert!(written.is_ok(), "two bytes are short");
            Ok(())
        }
        Packet::Disconnect(packet) => {
            disconnect(intake.connection, &packet);
            Ok(())
        }
        // QoS 2 is not offered, so that no packet of it can be an answer to anything; neither is
        // any method of authentication. What else there is, servers alone send.
        Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) | Packet::Auth(_) => {
            Err(protocol_error("Packet of an exchange that was not begun"))
        }
        Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
            Err(protocol_error("Packet of a server"))
        }
    }
}

const fn protocol_error(why: &'static str) -> Bad {
    Bad {
        reason: Reason::PROTOCOL_ERROR,
        why,
    }
}

/// Ends the connection over a packet: before its CONNACK without a word, save that the protocol
/// version is not spoken here.
fn fail(connection: &Connection, bad: Bad) {
    tracing::debug!("Client at {} ends: {bad}", connection.peer);
    let mut state = connection.state.borrow_mut();
    let end = match (state.session.is_some(), bad.reason) {
        (true, reason) => End::Because(reason),
        (false, Reason::UNSUPPORTED_VERSION) => {
            // Of all forms this is the one that clients of other versions may know.
            refuse(&mut state, Version::V311, bad.reason);
            return;
        }
        (false, _) => End::Gone,
    };
    state.close(end);
}

fn refuse(state: &mut State, version: Version, reason: Reason) {
    let packet = connect::refusal(reason);
    let written = state.reply(|out| packet.encode(version, out));
    debug_assert!(written.is_ok(), "a refusal is short");
    state.close(End::Refused);
}

fn accept(core: &Rc<Core>, connection: &Rc<Connection>, packet: &Connect<'_>) {
    let config = &core.door.config.mqtt;
    let assigned = core.client_id();
    let certificate = connection.io.certificate();
    let decided = match core.door.auth.admit(connection.peer, certificate.as_ref()) {
        Ok(identity) => connect::decide(packet, &identity, config, &assigned),
        Err(denied) => {
            tracing::debug!("Client at {} is turned away: {denied}", connection.peer);
            Err(Reason::NOT_AUTHORIZED)
        }
    };
    let mut state = connection.state.borrow_mut();
    let session = match decided {
        Ok(session) => session,
        Err(reason) => return refuse(&mut state, packet.version, reason),
    };
    let written = connect::granted(packet, &session, config).and_then(|granted| {
        let properties = granted.view();
        let connack = ConnAck {
            session_present: false,
            reason: Reason::SUCCESS,
            properties,
        };
        state.reply(|out| connack.encode(packet.version, out))
    });
    debug_assert!(written.is_ok(), "the client id has come in a packet");
    core.registry.enter(&session.client_id, &connection.holder);
    let device = session.agent.as_deref();
    state.present = device.map(|device| core.door.presence.arrive(device));
    state.session = Some(session);
}

/// A delivery was acknowledged: a client that lags may take more.
fn acknowledged(connection: &Connection, packet_id: u16) {
    let mut state = connection.state.borrow_mut();
    let Some(session) = &mut state.session else {
        return;
    };
    session.in_flight.end(packet_id);
    if !state.behind.is_empty() && state.has_room() {
        connection.room.notify_one();
    }
}

/// There is no session that could outlive the connection, so an expiry says nothing new.
fn disconnect(connection: &Connection, packet: &Disconnect<'_>) {
    let wants_will = packet.reason == Reason::DISCONNECT_WITH_WILL;
    let end = if wants_will { End::Gone } else { End::Goodbye };
    connection.state.borrow_mut().close(end);
}
