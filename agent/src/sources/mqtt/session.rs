//! One client's session: packets in, answers out; no socket.
//!
//! The publishes of one read are gathered and appended together; their answers wait in a queue in
//! the order in which the publishes came, and are written when the log has them.

mod deliver;
mod publish;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use headwater_mqtt::{
    Bad, Connect, Disconnect, Id, Kind, Packet, PropertyBuf, Reason, Sender, Value, Version,
};
use tokio::sync::Notify;

use super::Open;
use super::connect::{self, Client, Refusal, Will};
use super::hub::Mailbox;
use crate::log::{Held, Use};
use publish::{Gather, Pending};

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

impl Session {
    pub(super) fn new(open: Open) -> Self {
        Self {
            will_held: open.door.intake.room().hold(Use::Will, 0),
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
            let (version, bytes_max) = self
                .client
                .as_ref()
                .map_or((Version::V5, limits.connect_bytes_max), |client| {
                    (client.version, limits.packet_bytes_max)
                });
            let frame = match headwater_mqtt::frame(rest, bytes_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(bad) => {
                    self.bad(&bad);
                    break;
                }
            };
            match headwater_mqtt::parse(version, Sender::Client, frame, rest) {
                // Not looked at: what is wrong in it has reasons that only a CONNACK may give.
                _ if frame.kind == Kind::Connect && self.client.is_some() => {
                    self.protocol_error("A second CONNECT [MQTT-3.1.0-2]");
                }
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
            (Packet::Connect(connect), _) => self.handle_connect(&connect),
            (_, false) => self.end_silently(),
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
                self.end = Some(End {
                    say: None,
                    with_will,
                });
            }
            (Packet::Auth(_), true) => self.protocol_error("AUTH without a method [4.12]"),
            (_, true) => self.protocol_error("This packet belongs to QoS 2 or to the server"),
        }
    }

    fn handle_connect(&mut self, connect: &Connect<'_>) {
        let number = self.open.number;
        match connect::accept(connect, number, &self.open.door.intake) {
            Ok(client) if client.will.is_some() && self.has_no_room_for_a_will() => {
                let refusal = Refusal {
                    reason: Reason::QUOTA_EXCEEDED,
                    why: "The wills of all clients together take too much memory".to_owned(),
                };
                self.refuse_connect(client.version, &refusal);
            }
            Ok(client) => {
                connect::write_accepted(connect, &client, &self.open.door.limits, &mut self.out);
                self.open.door.hub.enter(&client.id, number, &self.kick);
                self.will_held
                    .set(client.will.as_ref().map_or(0, |will| will.event.bytes()));
                tracing::debug!(client = client.id, "Client connected");
                self.client = Some(client);
            }
            Err(refusal) => self.refuse_connect(connect.version, &refusal),
        }
    }

    fn has_no_room_for_a_will(&self) -> bool {
        self.open.door.intake.room().is_spent(Use::Will)
    }

    fn refuse_connect(&mut self, version: Version, refusal: &Refusal) {
        tracing::debug!("Client refused: {} ({:?})", refusal.why, refusal.reason);
        connect::write_refused(version, refusal, &mut self.out);
        self.end_silently();
    }

    /// Takes the will if it is to be published.
    pub(super) fn take_will(&mut self) -> Option<Will> {
        let wanted = self.end.as_ref().is_none_or(|end| end.with_will);
        let will = self.client.as_mut()?.will.take()?;
        wanted.then_some(will)
    }

    /// The last words, once everything before them is written.
    pub(super) fn write_end(&mut self) {
        if let Some(End {
            say: Some((reason, why)),
            ..
        }) = self.end.take()
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
            self.end = Some(End {
                say: Some((reason, why.to_owned())),
                with_will: true,
            });
        }
    }

    fn protocol_error(&mut self, why: &str) {
        self.disconnect(Reason::PROTOCOL_ERROR, why);
    }

    /// Ends the connection without a word.
    pub(super) fn end_silently(&mut self) {
        if self.end.is_none() {
            self.end = Some(End {
                say: None,
                with_will: true,
            });
        }
    }

    fn bad(&mut self, bad: &Bad) {
        if self.client.is_none() && bad.reason == Reason::UNSUPPORTED_VERSION {
            let refusal = Refusal {
                reason: bad.reason,
                why: bad.why.to_owned(),
            };
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
        self.client
            .as_ref()
            .map_or(Version::V5, |client| client.version)
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
