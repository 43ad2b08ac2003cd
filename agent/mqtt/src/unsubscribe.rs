//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use core::fmt;

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Kind, Place, Properties, Reason, Sender, TooLong, Version, topic, write};

/// A request to end subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The id that the UNSUBACK names, never 0.
    pub packet_id: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// At least one filter.
    pub filters: Topics<'a>,
}

/// Topic filters without options, checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Topics<'a> {
    block: &'a [u8],
}

/// Topic filters under construction.
#[derive(Clone, Debug, Default)]
pub struct TopicBuf {
    block: BytesMut,
}

/// The answer to an UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The id of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// A reason code for each filter, in their order; none in 3.1.1.
    pub reasons: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn parse(version: Version, mut body: Reader<'a>) -> Result<Self, Bad> {
        let packet_id = body.packet_id()?;
        let properties = match version {
            Version::V311 => Properties::NONE,
            Version::V5 => {
                Properties::read(&mut body, Place::kind(Kind::Unsubscribe), Sender::Client)?
            }
        };
        let filters = Topics { block: body.rest() };
        if body.is_empty() {
            return Err(Bad::protocol(
                "UNSUBSCRIBE without a filter [MQTT-3.10.3-2]",
            ));
        }
        while !body.is_empty() {
            topic::filter(body.binary()?, version)?;
        }
        Ok(Self {
            packet_id,
            properties,
            filters,
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// The packet is too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        write::packet(out, Kind::Unsubscribe, |out| {
            out.put_u16(self.packet_id);
            if version == Version::V5 {
                self.properties.write(out);
            }
            out.put_slice(self.filters.block);
            Ok(())
        })
    }
}

impl<'a> Topics<'a> {
    /// The filters in their order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = Reader::new(self.block);
        core::iter::from_fn(move || rest.text().ok())
    }
}

impl TopicBuf {
    /// Adds a filter behind those there are.
    ///
    /// # Errors
    /// It is longer than 65,535 bytes; then nothing was added.
    pub fn push(&mut self, filter: &str) -> Result<(), TooLong> {
        write::binary(&mut self.block, filter.as_bytes())
    }

    /// The filters as the encoder takes them.
    pub fn view(&self) -> Topics<'_> {
        Topics { block: &self.block }
    }
}

impl<'a> UnsubAck<'a> {
    pub(crate) fn parse(version: Version, mut body: Reader<'a>) -> Result<Self, Bad> {
        let packet_id = body.packet_id()?;
        if version == Version::V311 {
            body.finish()?;
            return Ok(Self {
                packet_id,
                properties: Properties::NONE,
                reasons: &[],
            });
        }
        let place = Place::kind(Kind::UnsubAck);
        let properties = Properties::read(&mut body, place, Sender::Server)?;
        let reasons = body.rest();
        if reasons.is_empty() {
            return Err(Bad::malformed(
                "UNSUBACK without a reason code [MQTT-3.11.3-1]",
            ));
        }
        let allowed = |&code: &u8| Reason(code).is_allowed(Kind::UnsubAck, version, Sender::Server);
        if !reasons.iter().all(allowed) {
            return Err(Bad::protocol("Reason code not of UNSUBACK [MQTT-3.11.3-2]"));
        }
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// The packet is too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        write::packet(out, Kind::UnsubAck, |out| {
            out.put_u16(self.packet_id);
            if version == Version::V5 {
                self.properties.write(out);
                out.put_slice(self.reasons);
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Topics<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
