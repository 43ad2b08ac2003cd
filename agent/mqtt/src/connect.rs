//! CONNECT (section 3.1).

use bytes::{BufMut, BytesMut};

use crate::read::Reader;
use crate::{Bad, Kind, Place, Properties, Qos, Reason, Sender, TooLong, Version, topic, write};

/// A client's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the connection speaks.
    pub version: Version,
    /// Clean start; clean session in 3.1.1.
    pub clean_start: bool,
    /// Seconds between packets at most; 0 is no limit.
    pub keep_alive: u16,
    /// The connection's properties.
    pub properties: Properties<'a>,
    /// May be empty: the server then chooses one, which 3.1.1 allows with a clean session only.
    pub client_id: &'a str,
    /// What the server publishes if the connection ends without a DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
}

/// A message that the server publishes in the client's stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// The QoS to publish it with.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
    /// The properties of the message, and the delay.
    pub properties: Properties<'a>,
    /// Never empty, no wildcards.
    pub topic: &'a str,
    /// The message.
    pub payload: &'a [u8],
}

const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER: u8 = 0x80;

impl<'a> Connect<'a> {
    pub(crate) fn parse(mut body: Reader<'a>) -> Result<Self, Bad> {
        let version = version(&mut body)?;
        let flags = body.byte()?;
        check_flags(flags, version)?;
        let keep_alive = body.short()?;
        let properties = read_properties(&mut body, version, Place::kind(Kind::Connect))?;
        let client_id = body.text()?;
        let will = (flags & WILL != 0)
            .then(|| Will::read(&mut body, flags, version))
            .transpose()?;
        let user = (flags & USER != 0).then(|| body.text()).transpose()?;
        let password = (flags & PASSWORD != 0).then(|| body.binary()).transpose()?;
        body.finish()?;
        let clean_start = flags & CLEAN != 0;
        Ok(Self {
            version,
            clean_start,
            keep_alive,
            properties,
            client_id,
            will,
            user,
            password,
        })
    }

    /// Appends the packet in its own version.
    ///
    /// # Errors
    /// A field is too long; then nothing was appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), TooLong> {
        write::packet(out, Kind::Connect, |out| {
            write::binary(out, NAME)?;
            out.put_u8(self.version.level());
            out.put_u8(self.flags());
            out.put_u16(self.keep_alive);
            write_properties(out, self.version, self.properties);
            write::binary(out, self.client_id.as_bytes())?;
            if let Some(will) = &self.will {
                write_properties(out, self.version, will.properties);
                write::binary(out, will.topic.as_bytes())?;
                write::binary(out, will.payload)?;
            }
            self.user
                .map_or(Ok(()), |user| write::binary(out, user.as_bytes()))?;
            self.password
                .map_or(Ok(()), |password| write::binary(out, password))
        })
    }

    fn flags(&self) -> u8 {
        let mut flags = if self.clean_start { CLEAN } else { 0 };
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos as u8) << 3;
            flags |= if will.retain { WILL_RETAIN } else { 0 };
        }
        flags |= if self.user.is_some() { USER } else { 0 };
        flags | if self.password.is_some() { PASSWORD } else { 0 }
    }
}

impl<'a> Will<'a> {
    fn read(body: &mut Reader<'a>, flags: u8, version: Version) -> Result<Self, Bad> {
        let qos =
            Qos::from_number(flags >> 3 & 3).ok_or(Bad::malformed("Will QoS 3 [MQTT-3.1.2-12]"))?;
        let retain = flags & WILL_RETAIN != 0;
        let properties = read_properties(body, version, Place::WILL)?;
        let topic = topic::name(body.binary()?)?;
        Ok(Will {
            qos,
            retain,
            properties,
            topic,
            payload: body.binary()?,
        })
    }
}

impl Version {
    const fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

const NAME: &[u8] = b"MQTT";

fn version(body: &mut Reader<'_>) -> Result<Version, Bad> {
    let name = body.binary()?;
    let level = body.byte()?;
    match (name, level) {
        (NAME, 4) => Ok(Version::V311),
        (NAME, 5) => Ok(Version::V5),
        (NAME, _) | (b"MQIsdp", 3) => Err(Bad {
            reason: Reason::UNSUPPORTED_VERSION,
            why: "Protocol version [MQTT-3.1.2-2]",
        }),
        _ => Err(Bad {
            reason: Reason::UNSUPPORTED_VERSION,
            why: "Protocol name [MQTT-3.1.2-1]",
        }),
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), Bad> {
    if flags & 1 != 0 {
        return Err(Bad::malformed("Reserved connect flag [MQTT-3.1.2-3]"));
    }
    if flags & WILL == 0 && flags & 0x38 != 0 {
        return Err(Bad::malformed("Will flags without a will [MQTT-3.1.2-11]"));
    }
    if version == Version::V311 && flags & (USER | PASSWORD) == PASSWORD {
        return Err(Bad::malformed(
            "Password without a user name [MQTT3-3.1.2-22]",
        ));
    }
    Ok(())
}

fn read_properties<'a>(
    body: &mut Reader<'a>,
    version: Version,
    place: Place,
) -> Result<Properties<'a>, Bad> {
    match version {
        Version::V311 => Ok(Properties::NONE),
        Version::V5 => Properties::read(body, place, Sender::Client),
    }
}

fn write_properties(out: &mut BytesMut, version: Version, properties: Properties<'_>) {
    if version == Version::V5 {
        properties.write(out);
    }
}
