//! PUBLISH (section 3.3).

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Id, Kind, PACKET_BYTES_MAX, Place, Properties, Sender, TooLong, Version, write};

/// Quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// QoS 0, fire and forget.
    #[default]
    AtMostOnce = 0,
    /// QoS 1, acknowledged.
    AtLeastOnce = 1,
    /// QoS 2, in four steps.
    ExactlyOnce = 2,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before, perhaps; never with QoS 0.
    pub dup: bool,
    /// Its quality of service.
    pub qos: Qos,
    /// The retain flag.
    pub retain: bool,
    /// The topic; empty only where a topic alias stands for it.
    pub topic: &'a str,
    /// There exactly if the QoS is above 0; never 0.
    pub packet_id: Option<u16>,
    /// Its properties.
    pub properties: Properties<'a>,
    /// The message itself.
    pub payload: &'a [u8],
}

/// What stands before the payload of a PUBLISH: encoded for each receiver, while the payload is
/// shared.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    /// Sent before, perhaps.
    pub dup: bool,
    /// Quality of service of this delivery.
    pub qos: Qos,
    /// The retain flag.
    pub retain: bool,
    /// The topic; empty where an alias stands for it.
    pub topic: &'a str,
    /// The packet id, if the QoS is above 0.
    pub packet_id: Option<u16>,
    /// Two blocks of properties that are put one behind the other: the receiver's own (subscription
    /// ids, alias) and those that all receivers share.
    pub properties: [Properties<'a>; 2],
    /// Bytes of the payload, which the caller appends or writes behind the head.
    pub payload_bytes: usize,
}

impl<'a> Publish<'a> {
    pub(crate) fn parse(
        flags: u8,
        version: Version,
        sender: Sender,
        mut body: Reader<'a>,
    ) -> Result<Self, Bad> {
        let (dup, retain) = (flags & 8 != 0, flags & 1 != 0);
        let qos = Qos::from_number(flags >> 1 & 3).ok_or(Bad::malformed("QoS 3 [MQTT-3.3.1-4]"))?;
        if dup && qos == Qos::AtMostOnce {
            return Err(Bad::malformed("DUP with QoS 0 [MQTT-3.3.1-2]"));
        }
        let topic = body.topic_name()?;
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce | Qos::ExactlyOnce => Some(body.packet_id()?),
        };
        let properties = match version {
            Version::V311 => Properties::NONE,
            Version::V5 => Properties::read(&mut body, Place::kind(Kind::Publish), sender)?,
        };
        if topic.is_empty() {
            check_alias(version, properties)?;
        }
        Ok(Self {
            dup,
            qos,
            retain,
            topic,
            packet_id,
            properties,
            payload: body.rest(),
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// The topic or the packet is too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        let head = PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic,
            packet_id: self.packet_id,
            properties: [Properties::NONE, self.properties],
            payload_bytes: self.payload.len(),
        };
        head.encode(version, out)?;
        out.put_slice(self.payload);
        Ok(())
    }
}

/// An empty topic is allowed only beside an alias (3.3.2.1).
fn check_alias(version: Version, properties: Properties<'_>) -> Result<(), Bad> {
    match version {
        Version::V311 => Err(Bad::malformed("Empty topic name [MQTT3-4.7.3-1]")),
        Version::V5 if properties.short(Id::TopicAlias).is_some() => Ok(()),
        Version::V5 => Err(Bad::protocol("Empty topic without an alias [3.3.2.1]")),
    }
}

impl PublishHead<'_> {
    /// Bytes of the whole packet, payload included; what a receiver's Maximum Packet Size counts.
    pub fn packet_bytes(&self, version: Version) -> usize {
        let body = self.body_bytes(version);
        1 + write::var_length(body) + body
    }

    /// Appends the head.
    ///
    /// # Errors
    /// The topic or the packet is too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        debug_assert_eq!(
            self.packet_id.is_some(),
            self.qos > Qos::AtMostOnce,
            "id goes with QoS"
        );
        let body = self.body_bytes(version);
        if self.topic.len() > usize::from(u16::MAX) || body > PACKET_BYTES_MAX - 5 {
            return Err(TooLong);
        }
        out.reserve(body - self.payload_bytes + 5);
        out.put_u8(self.first_byte());
        write::var(out, body);
        write::binary(out, self.topic.as_bytes())?;
        if let Some(id) = self.packet_id {
            out.put_u16(id);
        }
        if version == Version::V5 {
            write::var(out, self.property_bytes());
            for block in self.properties {
                out.put_slice(block.as_bytes());
            }
        }
        Ok(())
    }

    fn first_byte(&self) -> u8 {
        (Kind::Publish as u8) << 4
            | u8::from(self.dup) << 3
            | (self.qos as u8) << 1
            | u8::from(self.retain)
    }

    fn property_bytes(&self) -> usize {
        self.properties
            .iter()
            .map(|block| block.as_bytes().len())
            .sum()
    }

    fn body_bytes(&self, version: Version) -> usize {
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = match version {
            Version::V311 => 0,
            Version::V5 => write::var_length(self.property_bytes()) + self.property_bytes(),
        };
        2 + self.topic.len() + id + properties + self.payload_bytes
    }
}

impl Qos {
    /// QoS 0 to 2.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::AtMostOnce,
            1 => Self::AtLeastOnce,
            2 => Self::ExactlyOnce,
            _ => return None,
        })
    }
}
