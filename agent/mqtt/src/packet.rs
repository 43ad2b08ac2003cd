//! All packets as one type, and the way from bytes to it.

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{
    Ack, Auth, Bad, ConnAck, Connect, Disconnect, Frame, Kind, Publish, SubAck, Subscribe, TooLong,
    UnsubAck, Unsubscribe,
};

/// The protocol versions spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5, protocol level 5.
    V5,
}

/// Who sent a packet; some packets, properties and reason codes go one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// Any packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// Parses the packet that [`frame()`](crate::frame()) found: `bytes` are its `frame.total` bytes, or more.
///
/// `version` is that of the connection; a CONNECT says its own, and `version` is not looked at.
///
/// # Errors
/// Any violation of the specification that shows in this packet alone.
pub fn parse(
    version: Version,
    sender: Sender,
    frame: Frame,
    bytes: &[u8],
) -> Result<Packet<'_>, Bad> {
    let body = bytes
        .get(frame.head..frame.total)
        .ok_or(Bad::malformed("Incomplete packet"))?;
    check_direction(version, sender, frame.kind)?;
    let body = Reader::new(body);
    let ack = |body| Ack::parse(frame.kind, version, sender, body);
    Ok(match frame.kind {
        Kind::Publish => Packet::Publish(Publish::parse(frame.flags, version, sender, body)?),
        Kind::PubAck => Packet::PubAck(ack(body)?),
        Kind::PubRec => Packet::PubRec(ack(body)?),
        Kind::PubRel => Packet::PubRel(ack(body)?),
        Kind::PubComp => Packet::PubComp(ack(body)?),
        Kind::Connect => Packet::Connect(Connect::parse(body)?),
        Kind::ConnAck => Packet::ConnAck(ConnAck::parse(version, body)?),
        Kind::Subscribe => Packet::Subscribe(Subscribe::parse(version, body)?),
        Kind::SubAck => Packet::SubAck(SubAck::parse(version, body)?),
        Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::parse(version, body)?),
        Kind::UnsubAck => Packet::UnsubAck(UnsubAck::parse(version, body)?),
        Kind::PingReq => body.finish().map(|()| Packet::PingReq)?,
        Kind::PingResp => body.finish().map(|()| Packet::PingResp)?,
        Kind::Disconnect => Packet::Disconnect(Disconnect::parse(version, sender, body)?),
        Kind::Auth => Packet::Auth(Auth::parse(sender, body)?),
    })
}

/// Table 2-1: which way each packet goes, and what only version 5 has.
fn check_direction(version: Version, sender: Sender, kind: Kind) -> Result<(), Bad> {
    let only = match kind {
        Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::PingReq => Some(Sender::Client),
        Kind::ConnAck | Kind::SubAck | Kind::UnsubAck | Kind::PingResp => Some(Sender::Server),
        Kind::Disconnect if version == Version::V311 => Some(Sender::Client),
        Kind::Auth if version == Version::V311 => {
            return Err(Bad::malformed("AUTH before version 5 [MQTT3-2.2.1]"));
        }
        Kind::Publish | Kind::PubAck | Kind::PubRec | Kind::PubRel | Kind::PubComp => None,
        Kind::Disconnect | Kind::Auth => None,
    };
    match only {
        Some(only) if only != sender => Err(Bad::protocol("Packet of the other side [2.1.2]")),
        _ => Ok(()),
    }
}

impl Packet<'_> {
    /// Appends the packet as `version` has it; what 3.1.1 cannot say (properties, most reason
    /// codes) is left out there. A CONNECT is written in its own version.
    ///
    /// # Errors
    /// A string or the packet is too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        match self {
            Self::Connect(packet) => packet.encode(out),
            Self::ConnAck(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::PubAck(packet) => packet.encode(Kind::PubAck, version, out),
            Self::PubRec(packet) => packet.encode(Kind::PubRec, version, out),
            Self::PubRel(packet) => packet.encode(Kind::PubRel, version, out),
            Self::PubComp(packet) => packet.encode(Kind::PubComp, version, out),
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::SubAck(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::UnsubAck(packet) => packet.encode(version, out),
            Self::PingReq => {
                out.put_slice(&[Kind::PingReq.first_byte(), 0]);
                Ok(())
            }
            Self::PingResp => {
                out.put_slice(&[Kind::PingResp.first_byte(), 0]);
                Ok(())
            }
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(out),
        }
    }
}
