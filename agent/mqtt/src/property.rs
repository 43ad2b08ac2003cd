//! The properties of version 5 (section 2.2.2): one table that parser, encoder and tests share.

use bytes::{BufMut, BytesMut};

use crate::{Bad, Kind, Reason, Sender, TooLong, read::Reader, topic, write};

/// One property as it stands in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// Which one it is.
    pub id: Id,
    /// Its value, of the form that [`TABLE`] gives for it.
    pub value: Value<'a>,
}

/// The value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of `Form`")]
pub enum Value<'a> {
    Byte(u8),
    Short(u16),
    Int(u32),
    Var(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

/// How a property's value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One byte.
    Byte,
    /// Two bytes, big-endian.
    Short,
    /// Four bytes, big-endian.
    Int,
    /// A variable byte integer.
    Var,
    /// A UTF-8 string.
    Text,
    /// Up to 65,535 bytes.
    Binary,
    /// Two UTF-8 strings: a name and a value.
    Pair,
}

/// Where a property may stand: a bit per kind of packet, and one for a CONNECT's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u16);

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The property.
    pub id: Id,
    /// The form of its value.
    pub form: Form,
    /// Where it may stand if a client sends the packet.
    pub client: Place,
    /// Where it may stand if a server sends the packet.
    pub server: Place,
    /// Whether it may stand there more than once.
    pub repeatable: bool,
}

macro_rules! properties {
    ($($id:ident = $number:literal $form:ident $client:tt $server:tt $repeatable:literal,)*) => {
        /// The identifier of a property.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are those of the specification's table 2-4")]
        pub enum Id { $($id = $number,)* }

        impl Id {
            /// The property with this number.
            pub const fn from_number(number: u32) -> Option<Self> {
                Some(match number { $($number => Self::$id,)* _ => return None })
            }

            /// The line of the table.
            pub const fn spec(self) -> &'static Spec {
                match self { $(Self::$id => const { &Spec {
                    id: Self::$id,
                    form: Form::$form,
                    client: Place::of(&$client),
                    server: Place::of(&$server),
                    repeatable: $repeatable,
                } },)* }
            }
        }

        /// Every property: table 2-4 of the specification.
        pub const TABLE: &[&Spec] = &[$(Id::$id.spec(),)*];
    };
}

use In::{Auth, ConnAck, Connect, Disconnect, Publish, Subscribe, Unsubscribe, Will};
use In::{PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck};

// name, number, form, where from a client, where from a server, repeatable
properties! {
    PayloadFormat = 0x01 Byte [Publish, Will] [Publish] false,
    MessageExpiry = 0x02 Int [Publish, Will] [Publish] false,
    ContentType = 0x03 Text [Publish, Will] [Publish] false,
    ResponseTopic = 0x08 Text [Publish, Will] [Publish] false,
    CorrelationData = 0x09 Binary [Publish, Will] [Publish] false,
    SubscriptionId = 0x0b Var [Subscribe] [Publish] true,
    SessionExpiry = 0x11 Int [Connect, Disconnect] [ConnAck] false,
    AssignedClientId = 0x12 Text [] [ConnAck] false,
    ServerKeepAlive = 0x13 Short [] [ConnAck] false,
    AuthMethod = 0x15 Text [Connect, Auth] [ConnAck, Auth] false,
    AuthData = 0x16 Binary [Connect, Auth] [ConnAck, Auth] false,
    RequestProblemInfo = 0x17 Byte [Connect] [] false,
    WillDelay = 0x18 Int [Will] [] false,
    RequestResponseInfo = 0x19 Byte [Connect] [] false,
    ResponseInfo = 0x1a Text [] [ConnAck] false,
    ServerReference = 0x1c Text [] [ConnAck, Disconnect] false,
    ReasonString = 0x1f Text [PubAck, PubRec, PubRel, PubComp, Disconnect, Auth]
        [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth] false,
    ReceiveMaximum = 0x21 Short [Connect] [ConnAck] false,
    TopicAliasMaximum = 0x22 Short [Connect] [ConnAck] false,
    TopicAlias = 0x23 Short [Publish] [Publish] false,
    MaximumQos = 0x24 Byte [] [ConnAck] false,
    RetainAvailable = 0x25 Byte [] [ConnAck] false,
    User = 0x26 Pair
        [Connect, Will, Publish, PubAck, PubRec, PubRel, PubComp, Subscribe, Unsubscribe, Disconnect, Auth]
        [ConnAck, Publish, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth] true,
    MaximumPacketSize = 0x27 Int [Connect] [ConnAck] false,
    WildcardAvailable = 0x28 Byte [] [ConnAck] false,
    SubscriptionIdAvailable = 0x29 Byte [] [ConnAck] false,
    SharedAvailable = 0x2a Byte [] [ConnAck] false,
}

/// The places, numbered as the kinds of packets; the will takes the free number 0.
#[derive(Clone, Copy)]
enum In {
    Will = 0,
    Connect = Kind::Connect as isize,
    ConnAck = Kind::ConnAck as isize,
    Publish = Kind::Publish as isize,
    PubAck = Kind::PubAck as isize,
    PubRec = Kind::PubRec as isize,
    PubRel = Kind::PubRel as isize,
    PubComp = Kind::PubComp as isize,
    Subscribe = Kind::Subscribe as isize,
    SubAck = Kind::SubAck as isize,
    Unsubscribe = Kind::Unsubscribe as isize,
    UnsubAck = Kind::UnsubAck as isize,
    Disconnect = Kind::Disconnect as isize,
    Auth = Kind::Auth as isize,
}

impl Place {
    /// The properties of a CONNECT's will.
    pub const WILL: Self = Self(1 << Will as u16);

    /// The properties of a packet of this kind.
    pub const fn kind(kind: Kind) -> Self {
        Self(1 << kind as u16)
    }

    /// Whether the two have a place in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn of(places: &[In]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < places.len() {
            bits |= 1 << places[index] as u16;
            index += 1;
        }
        Self(bits)
    }
}

impl Spec {
    /// Where it may stand in a packet of this sender.
    pub const fn places(&self, sender: Sender) -> Place {
        match sender {
            Sender::Client => self.client,
            Sender::Server => self.server,
        }
    }
}

impl<'a> Property<'a> {
    /// Reads one property and checks its value, whatever its place.
    pub(crate) fn read(from: &mut Reader<'a>) -> Result<Self, Bad> {
        let id =
            Id::from_number(from.var()?).ok_or(Bad::malformed("Unknown property [2.2.2.2]"))?;
        let value = match id.spec().form {
            Form::Byte => Value::Byte(from.byte()?),
            Form::Short => Value::Short(from.short()?),
            Form::Int => Value::Int(from.int()?),
            Form::Var => Value::Var(from.var()?),
            Form::Text => Value::Text(from.text()?),
            Form::Binary => Value::Binary(from.binary()?),
            Form::Pair => Value::Pair(from.text()?, from.text()?),
        };
        let property = Self { id, value };
        property.check()?;
        Ok(property)
    }

    /// The ranges that single properties have.
    fn check(self) -> Result<(), Bad> {
        match (self.id, self.value) {
            (Id::ReceiveMaximum, Value::Short(0)) => {
                Err(Bad::protocol("Receive Maximum 0 [3.1.2.11.3]"))
            }
            (Id::MaximumPacketSize, Value::Int(0)) => {
                Err(Bad::protocol("Maximum Packet Size 0 [3.1.2.11.4]"))
            }
            (Id::SubscriptionId, Value::Var(0)) => {
                Err(Bad::protocol("Subscription Identifier 0 [3.8.2.1.2]"))
            }
            (Id::TopicAlias, Value::Short(0)) => Err(Bad {
                reason: Reason::TOPIC_ALIAS_INVALID,
                why: "Topic Alias 0 [MQTT-3.3.2-8]",
            }),
            (Id::ResponseTopic, Value::Text(text)) => match topic::name(text.as_bytes()) {
                Ok(_) => Ok(()),
                Err(_) => Err(Bad::protocol(
                    "Response Topic not a topic name [MQTT-3.3.2-14]",
                )),
            },
            (_, Value::Byte(2..)) => Err(Bad::protocol("Property neither 0 nor 1")),
            _ => Ok(()),
        }
    }

    /// Appends identifier and value.
    pub(crate) fn write(self, out: &mut BytesMut) -> Result<(), TooLong> {
        out.put_u8(self.id as u8);
        match self.value {
            Value::Byte(value) => out.put_u8(value),
            Value::Short(value) => out.put_u16(value),
            Value::Int(value) => out.put_u32(value),
            Value::Var(value) => write::var(out, usize::try_from(value).map_err(|_| TooLong)?),
            Value::Text(text) => write::binary(out, text.as_bytes())?,
            Value::Binary(bytes) => write::binary(out, bytes)?,
            Value::Pair(name, value) => {
                write::binary(out, name.as_bytes())?;
                write::binary(out, value.as_bytes())?;
            }
        }
        Ok(())
    }
}

impl Value<'_> {
    /// The form of this value.
    pub const fn form(&self) -> Form {
        match self {
            Self::Byte(_) => Form::Byte,
            Self::Short(_) => Form::Short,
            Self::Int(_) => Form::Int,
            Self::Var(_) => Form::Var,
            Self::Text(_) => Form::Text,
            Self::Binary(_) => Form::Binary,
            Self::Pair(..) => Form::Pair,
        }
    }
}
