//! DISCONNECT (section 3.14).

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Kind, Place, Properties, Reason, Sender, TooLong, Version, write};

/// The last packet of a connection; in 3.1.1 the client's alone, and empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why it ends.
    pub reason: Reason,
    /// Its properties.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// Without properties.
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            properties: Properties::NONE,
        }
    }

    pub(crate) fn parse(
        version: Version,
        sender: Sender,
        mut body: Reader<'a>,
    ) -> Result<Self, Bad> {
        let mut disconnect = Disconnect::new(Reason::SUCCESS);
        if version == Version::V311 || body.is_empty() {
            return body.finish().map(|()| disconnect);
        }
        disconnect.reason = Reason(body.byte()?);
        if !disconnect
            .reason
            .is_allowed(Kind::Disconnect, version, sender)
        {
            return Err(Bad::protocol(
                "Reason code not of DISCONNECT [MQTT-3.14.2-1]",
            ));
        }
        if !body.is_empty() {
            let place = Place::kind(Kind::Disconnect);
            disconnect.properties = Properties::read(&mut body, place, sender)?;
        }
        body.finish().map(|()| disconnect)
    }

    /// Appends the packet, in the shortest form.
    ///
    /// # Errors
    /// The properties are too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        write::packet(out, Kind::Disconnect, |out| {
            let plain = self.reason == Reason::SUCCESS && self.properties.is_empty();
            if version == Version::V5 && !plain {
                out.put_u8(self.reason.0);
                if !self.properties.is_empty() {
                    self.properties.write(out);
                }
            }
            Ok(())
        })
    }
}
