//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): one form.

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Kind, Place, Properties, Reason, Sender, TooLong, Version, write};

/// The answer to a PUBLISH, or a step of QoS 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The id of the PUBLISH, never 0.
    pub packet_id: u16,
    /// How it went; always success in 3.1.1.
    pub reason: Reason,
    /// Its properties.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// Success and nothing more.
    pub const fn success(packet_id: u16) -> Self {
        Self {
            packet_id,
            reason: Reason::SUCCESS,
            properties: Properties::NONE,
        }
    }

    pub(crate) fn parse(
        kind: Kind,
        version: Version,
        sender: Sender,
        mut body: Reader<'a>,
    ) -> Result<Self, Bad> {
        let mut ack = Ack::success(body.packet_id()?);
        if version == Version::V311 || body.is_empty() {
            return body.finish().map(|()| ack);
        }
        ack.reason = Reason(body.byte()?);
        if !ack.reason.is_allowed(kind, version, sender) {
            return Err(Bad::protocol(
                "Reason code not of this packet [MQTT-3.4.2-1]",
            ));
        }
        if !body.is_empty() {
            ack.properties = Properties::read(&mut body, Place::kind(kind), sender)?;
        }
        body.finish().map(|()| ack)
    }

    /// Appends the packet of this kind, in the shortest form.
    ///
    /// # Errors
    /// The properties are too long; then nothing was appended.
    pub fn encode(&self, kind: Kind, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        if version == Version::V311 || self.reason == Reason::SUCCESS && self.properties.is_empty()
        {
            let [high, low] = self.packet_id.to_be_bytes();
            out.put_slice(&[kind.first_byte(), 2, high, low]);
            return Ok(());
        }
        write::packet(out, kind, |out| {
            out.put_u16(self.packet_id);
            out.put_u8(self.reason.0);
            if !self.properties.is_empty() {
                self.properties.write(out);
            }
            Ok(())
        })
    }
}
