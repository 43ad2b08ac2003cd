//! AUTH (section 3.15), of version 5 alone.

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Id, Kind, Place, Properties, Reason, Sender, TooLong, Version, write};

/// A step of an extended authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Continue, begin again, or success.
    pub reason: Reason,
    /// Its properties, the method among them.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn parse(sender: Sender, mut body: Reader<'a>) -> Result<Self, Bad> {
        let mut auth = Self {
            reason: Reason::SUCCESS,
            properties: Properties::NONE,
        };
        if !body.is_empty() {
            auth.reason = Reason(body.byte()?);
            auth.properties = Properties::read(&mut body, Place::kind(Kind::Auth), sender)?;
            if auth.properties.text(Id::AuthMethod).is_none() {
                return Err(Bad::protocol("AUTH without a method [3.15.2.2.2]"));
            }
        }
        if !auth.reason.is_allowed(Kind::Auth, Version::V5, sender) {
            return Err(Bad::protocol("Reason code not of AUTH [MQTT-3.15.2-1]"));
        }
        body.finish().map(|()| auth)
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// The properties are too long; then nothing was appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), TooLong> {
        write::packet(out, Kind::Auth, |out| {
            if self.reason != Reason::SUCCESS || !self.properties.is_empty() {
                out.put_u8(self.reason.0);
                self.properties.write(out);
            }
            Ok(())
        })
    }
}
