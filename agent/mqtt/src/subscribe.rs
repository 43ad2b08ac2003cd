//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).

use core::fmt;

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Kind, Place, Properties, Qos, Reason, Sender, TooLong, Version, topic, write};

/// A request for subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The id that the SUBACK names, never 0.
    pub packet_id: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// At least one.
    pub filters: Filters<'a>,
}

/// Topic filters with their options, checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Filters<'a> {
    block: &'a [u8],
}

/// Topic filters under construction.
#[derive(Clone, Debug, Default)]
pub struct FilterBuf {
    block: BytesMut,
}

/// The options of one filter; 3.1.1 knows the QoS alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The highest QoS to deliver with.
    pub qos: Qos,
    /// Not what this client published itself.
    pub no_local: bool,
    /// Deliver with the retain flag that the message was published with.
    pub retain_as_published: bool,
    /// Which retained messages to send at the subscription.
    pub retain_handling: RetainHandling,
}

/// Which retained messages are sent at the subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// All that match.
    #[default]
    Send = 0,
    /// Those that match, if the subscription is new.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

/// The answer to a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The id of the SUBSCRIBE.
    pub packet_id: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// A reason code for each filter, in their order.
    pub reasons: &'a [u8],
}

impl<'a> Subscribe<'a> {
    pub(crate) fn parse(version: Version, mut body: Reader<'a>) -> Result<Self, Bad> {
        let packet_id = body.packet_id()?;
        let properties = match version {
            Version::V311 => Properties::NONE,
            Version::V5 => {
                Properties::read(&mut body, Place::kind(Kind::Subscribe), Sender::Client)?
            }
        };
        let filters = Filters { block: body.rest() };
        if body.is_empty() {
            return Err(Bad::protocol("SUBSCRIBE without a filter [MQTT-3.8.3-2]"));
        }
        while !body.is_empty() {
            let filter = topic::filter(body.binary()?, version)?;
            Options::read(body.byte()?, version)?.check(filter, version)?;
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
        write::packet(out, Kind::Subscribe, |out| {
            out.put_u16(self.packet_id);
            if version == Version::V5 {
                self.properties.write(out);
            }
            out.put_slice(self.filters.block);
            Ok(())
        })
    }
}

impl<'a> Filters<'a> {
    /// The filters in their order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Options)> {
        let mut rest = Reader::new(self.block);
        // The block was checked when it was read or built, so that nothing ends the iteration early.
        core::iter::from_fn(move || {
            let filter = rest.text().ok()?;
            let options = Options::read(rest.byte().ok()?, Version::V5).ok()?;
            Some((filter, options))
        })
    }
}

impl FilterBuf {
    /// Adds a filter behind those there are.
    ///
    /// # Errors
    /// It is longer than 65,535 bytes; then nothing was added.
    pub fn push(&mut self, filter: &str, options: Options) -> Result<(), TooLong> {
        write::binary(&mut self.block, filter.as_bytes())?;
        self.block.put_u8(options.byte());
        Ok(())
    }

    /// The filters as the encoder takes them.
    pub fn view(&self) -> Filters<'_> {
        Filters { block: &self.block }
    }
}

impl Options {
    /// The byte behind a filter (3.8.3.1).
    pub const fn byte(self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    fn read(byte: u8, version: Version) -> Result<Self, Bad> {
        let reserved = match version {
            Version::V311 => 0xfc,
            Version::V5 => 0xc0,
        };
        if byte & reserved != 0 {
            return Err(Bad::malformed(
                "Reserved subscription options [MQTT-3.8.3-5]",
            ));
        }
        let qos = Qos::from_number(byte & 3).ok_or(Bad::protocol("Maximum QoS 3 [3.8.3.1]"))?;
        let retain_handling = match byte >> 4 & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Bad::protocol("Retain Handling 3 [3.8.3.1]")),
        };
        let (no_local, retain_as_published) = (byte & 4 != 0, byte & 8 != 0);
        Ok(Self {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        })
    }

    fn check(self, filter: &str, version: Version) -> Result<(), Bad> {
        if version == Version::V5 && self.no_local && topic::is_shared(filter) {
            return Err(Bad::protocol(
                "No Local on a shared subscription [MQTT-3.8.3-4]",
            ));
        }
        Ok(())
    }
}

impl<'a> SubAck<'a> {
    pub(crate) fn parse(version: Version, mut body: Reader<'a>) -> Result<Self, Bad> {
        let packet_id = body.packet_id()?;
        let properties = match version {
            Version::V311 => Properties::NONE,
            Version::V5 => Properties::read(&mut body, Place::kind(Kind::SubAck), Sender::Server)?,
        };
        let reasons = body.rest();
        if reasons.is_empty() {
            return Err(Bad::malformed(
                "SUBACK without a reason code [MQTT-3.8.4-6]",
            ));
        }
        let allowed = |&code: &u8| Reason(code).is_allowed(Kind::SubAck, version, Sender::Server);
        if !reasons.iter().all(allowed) {
            return Err(Bad::protocol("Reason code not of SUBACK [MQTT-3.9.3-2]"));
        }
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }

    /// Appends the packet; in 3.1.1 every failure is 0x80.
    ///
    /// # Errors
    /// The packet is too long; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), TooLong> {
        write::packet(out, Kind::SubAck, |out| {
            out.put_u16(self.packet_id);
            match version {
                Version::V311 => out.extend(self.reasons.iter().map(|&code| code.min(0x80))),
                Version::V5 => {
                    self.properties.write(out);
                    out.put_slice(self.reasons);
                }
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Filters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
