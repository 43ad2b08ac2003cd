//! Reason codes (MQTT 5, section 2.4) and the error of every parser.

use core::fmt;

use crate::{Kind, Sender, Version};

/// A reason code of MQTT 5; below 0x80 it means success.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u8);

/// Why bytes are not a valid packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The code that a DISCONNECT or CONNACK of version 5 carries for it.
    pub reason: Reason,
    /// The rule that was broken, with its clause where it has one.
    pub why: &'static str,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        impl Reason {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The name of the constant, `UNKNOWN` for a code that no constant has.
            pub const fn name(self) -> &'static str {
                match self.0 { $($code => stringify!($name),)* _ => "UNKNOWN" }
            }
        }
    };
}

reasons! {
    /// Success; in DISCONNECT: normal disconnection; in SUBACK: granted QoS 0.
    SUCCESS = 0x00,
    /// Granted QoS 1.
    GRANTED_QOS_1 = 0x01,
    /// Granted QoS 2.
    GRANTED_QOS_2 = 0x02,
    /// The client ends the connection and wants its will published.
    DISCONNECT_WITH_WILL = 0x04,
    /// The message was taken, nobody subscribes to its topic.
    NO_MATCHING_SUBSCRIBERS = 0x10,
    /// There was no such subscription.
    NO_SUBSCRIPTION_EXISTED = 0x11,
    /// The authentication goes on.
    CONTINUE_AUTHENTICATION = 0x18,
    /// The client starts to authenticate again.
    RE_AUTHENTICATE = 0x19,
    /// Any failure without a code of its own.
    UNSPECIFIED = 0x80,
    /// The packet does not follow the specification.
    MALFORMED = 0x81,
    /// The packet may not come here or not with these values.
    PROTOCOL_ERROR = 0x82,
    /// Valid, and not accepted by this receiver.
    IMPLEMENTATION_SPECIFIC = 0x83,
    /// The server does not speak this protocol version.
    UNSUPPORTED_VERSION = 0x84,
    /// Valid, and not allowed by the server.
    CLIENT_ID_NOT_VALID = 0x85,
    /// User name or password are not accepted.
    BAD_USER_OR_PASSWORD = 0x86,
    /// The client may not do this.
    NOT_AUTHORIZED = 0x87,
    /// The server is not available.
    SERVER_UNAVAILABLE = 0x88,
    /// The server is busy; try again later.
    SERVER_BUSY = 0x89,
    /// The client is banned.
    BANNED = 0x8a,
    /// The server is stopping.
    SERVER_SHUTTING_DOWN = 0x8b,
    /// The method of authentication is not supported or not the one begun with.
    BAD_AUTHENTICATION_METHOD = 0x8c,
    /// Nothing came for one and a half keep-alive intervals.
    KEEP_ALIVE_TIMEOUT = 0x8d,
    /// Another connection uses the same client id.
    SESSION_TAKEN_OVER = 0x8e,
    /// A well-formed filter that is not accepted.
    TOPIC_FILTER_INVALID = 0x8f,
    /// A well-formed topic name that is not accepted.
    TOPIC_NAME_INVALID = 0x90,
    /// The packet id is in use.
    PACKET_ID_IN_USE = 0x91,
    /// The packet id is not known.
    PACKET_ID_NOT_FOUND = 0x92,
    /// More unacknowledged publishes than the receive maximum.
    RECEIVE_MAXIMUM_EXCEEDED = 0x93,
    /// The alias is zero, too large or unknown.
    TOPIC_ALIAS_INVALID = 0x94,
    /// The packet is larger than the receiver said it takes.
    PACKET_TOO_LARGE = 0x95,
    /// Messages come too fast.
    MESSAGE_RATE_TOO_HIGH = 0x96,
    /// A limit of the receiver or its operator is reached.
    QUOTA_EXCEEDED = 0x97,
    /// An administrator ended the connection.
    ADMINISTRATIVE_ACTION = 0x98,
    /// The payload is not what its format says.
    PAYLOAD_FORMAT_INVALID = 0x99,
    /// Retained messages are not supported.
    RETAIN_NOT_SUPPORTED = 0x9a,
    /// A higher QoS than the server supports.
    QOS_NOT_SUPPORTED = 0x9b,
    /// Use another server for now.
    USE_ANOTHER_SERVER = 0x9c,
    /// Use another server from now on.
    SERVER_MOVED = 0x9d,
    /// Shared subscriptions are not supported.
    SHARED_NOT_SUPPORTED = 0x9e,
    /// Connections come too fast.
    CONNECTION_RATE_EXCEEDED = 0x9f,
    /// The connection lasted as long as it may.
    MAXIMUM_CONNECT_TIME = 0xa0,
    /// Subscription identifiers are not supported.
    SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xa1,
    /// Wildcard subscriptions are not supported.
    WILDCARDS_NOT_SUPPORTED = 0xa2,
}

impl Reason {
    /// True from 0x80 on.
    pub const fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// The return code of a CONNACK of 3.1.1 that comes nearest (its table 3.1).
    pub const fn connect_return_code(self) -> u8 {
        match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_VERSION => 1,
            Self::CLIENT_ID_NOT_VALID => 2,
            Self::BAD_USER_OR_PASSWORD => 4,
            Self::NOT_AUTHORIZED | Self::BANNED | Self::BAD_AUTHENTICATION_METHOD => 5,
            _ => 3,
        }
    }

    /// Whether a packet of this kind may carry this code.
    pub(crate) fn is_allowed(self, kind: Kind, version: Version, sender: Sender) -> bool {
        let codes: &[u8] = match (kind, version) {
            (Kind::ConnAck, Version::V311) => &[0, 1, 2, 3, 4, 5],
            (Kind::SubAck, Version::V311) => &[0, 1, 2, 0x80],
            (Kind::ConnAck, Version::V5) => CONNACK,
            (Kind::PubAck | Kind::PubRec, _) => PUBACK,
            (Kind::PubRel | Kind::PubComp, _) => &[0x00, 0x92],
            (Kind::SubAck, Version::V5) => SUBACK,
            (Kind::UnsubAck, _) => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
            (Kind::Disconnect, _) if sender == Sender::Client => DISCONNECT_CLIENT,
            (Kind::Disconnect, _) => DISCONNECT_SERVER,
            (Kind::Auth, _) if sender == Sender::Client => &[0x18, 0x19],
            (Kind::Auth, _) => &[0x00, 0x18],
            _ => &[],
        };
        codes.contains(&self.0)
    }
}

const CONNACK: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97,
    0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
];
const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const SUBACK: &[u8] = &[
    0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2,
];
const DISCONNECT_CLIENT: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
];
const DISCONNECT_SERVER: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];

impl Bad {
    pub(crate) const fn malformed(why: &'static str) -> Self {
        Self {
            reason: Reason::MALFORMED,
            why,
        }
    }

    pub(crate) const fn protocol(why: &'static str) -> Self {
        Self {
            reason: Reason::PROTOCOL_ERROR,
            why,
        }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02x})", self.why, self.reason.0)
    }
}

impl core::error::Error for Bad {}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x} {}", self.0, self.name())
    }
}
