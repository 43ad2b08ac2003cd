//! CONNACK (section 3.2).

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Kind, Place, Properties, Reason, Sender, TooLong, Version, write};

/// The answer to a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server still has the client's session.
    pub session_present: bool,
    /// How it went. In 3.1.1 a parsed one holds the return code 0 to 5; an encoded one is
    /// translated by [`Reason::connect_return_code`].
    pub reason: Reason,
    /// What the server grants and limits.
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    pub(crate) fn parse(version: Version, mut body: Reader<'a>) -> Result<Self, Bad> {
        let flags = body.byte()?;
        if flags > 1 {
            return Err(Bad::malformed("Reserved acknowledge flags [MQTT-3.2.2-1]"));
        }
        let reason = Reason(body.byte()?);
        if !reason.is_allowed(Kind::ConnAck, version, Sender::Server) {
            return Err(Bad::protocol("Reason code not of CONNACK [MQTT-3.2.2-8]"));
        }
        if flags == 1 && reason != Reason::SUCCESS {
            return Err(Bad::protocol("Session present on a refusal [MQTT-3.2.2-6]"));
        }
        let properties = match version {
            Version::V311 => Properties::NONE,
            Version::V5 => Properties::read(&mut body, Place::kind(Kind::ConnAck), Sender::Server)?,
        };
        body.finish()?;
        Ok(Self {
            session_present: flags == 1,
            reason,
            properties,
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// The properties are too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        write::packet(out, Kind::ConnAck, |out| {
            out.put_u8(u8::from(self.session_present));
            match version {
                Version::V311 => out.put_u8(return_code(self.reason)),
                Version::V5 => {
                    out.put_u8(self.reason.0);
                    self.properties.write(out);
                }
            }
            Ok(())
        })
    }
}

/// Codes of 3.1.1 stay what they are, those of version 5 are translated.
const fn return_code(reason: Reason) -> u8 {
    match reason.0 {
        code @ 0..=5 => code,
        _ => reason.connect_return_code(),
    }
}
