use std::fmt;

/// A Kafka error code as it stands in responses. The numbers are part of the protocol
/// (apache/kafka: `Errors.java`); only those that this broker answers have a name here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The protocol's name of the code, `None` for one that this broker never sends.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Something broke inside the broker; clients do not retry.
    UNKNOWN_SERVER_ERROR = -1,
    /// Success.
    NONE = 0,
    /// The offset lies outside the log.
    OFFSET_OUT_OF_RANGE = 1,
    /// A batch fails its checksum; clients send it again.
    CORRUPT_MESSAGE = 2,
    /// No such topic or partition.
    UNKNOWN_TOPIC_OR_PARTITION = 3,
    /// The topic is about to be there; clients ask again.
    LEADER_NOT_AVAILABLE = 5,
    /// Another broker leads the partition.
    NOT_LEADER_OR_FOLLOWER = 6,
    /// The batch is larger than `max.message.bytes`.
    MESSAGE_TOO_LARGE = 10,
    /// The metadata of a committed offset is too long.
    OFFSET_METADATA_TOO_LARGE = 12,
    /// Not now; clients ask again.
    COORDINATOR_LOAD_IN_PROGRESS = 14,
    /// What a group should remember cannot be written now; clients ask again.
    COORDINATOR_NOT_AVAILABLE = 15,
    /// This broker does not keep the group, or is about to stop.
    NOT_COORDINATOR = 16,
    /// The topic's name is not legal.
    INVALID_TOPIC_EXCEPTION = 17,
    /// `acks` is none of 0, 1 and -1.
    INVALID_REQUIRED_ACKS = 21,
    /// The member's generation is not the group's.
    ILLEGAL_GENERATION = 22,
    /// The members of a group have no protocol in common.
    INCONSISTENT_GROUP_PROTOCOL = 23,
    /// A group's name is empty or too long.
    INVALID_GROUP_ID = 24,
    /// The group has no such member.
    UNKNOWN_MEMBER_ID = 25,
    /// The session timeout is out of range.
    INVALID_SESSION_TIMEOUT = 26,
    /// The members of the group are to join again.
    REBALANCE_IN_PROGRESS = 27,
    /// The commit names too many offsets.
    INVALID_COMMIT_OFFSET_SIZE = 28,
    /// The API does not exist in the version asked.
    UNSUPPORTED_VERSION = 35,
    /// There is a topic of this name.
    TOPIC_ALREADY_EXISTS = 36,
    /// The number of partitions is out of range.
    INVALID_PARTITIONS = 37,
    /// The number of copies is out of range.
    INVALID_REPLICATION_FACTOR = 38,
    /// Partitions are assigned to brokers that are not there, or not all are.
    INVALID_REPLICA_ASSIGNMENT = 39,
    /// A configuration key or value is not legal.
    INVALID_CONFIG = 40,
    /// Another broker decides about topics; clients look again which.
    NOT_CONTROLLER = 41,
    /// The request contradicts itself.
    INVALID_REQUEST = 42,
    /// The batch leaves a gap behind its producer's last one.
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45,
    /// A newer epoch of this producer id has written.
    INVALID_PRODUCER_EPOCH = 47,
    /// The principal may not use this transactional id; both big client families stop at once.
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53,
    /// The disk failed or is full; clients send it again.
    KAFKA_STORAGE_ERROR = 56,
    /// The group has members.
    NON_EMPTY_GROUP = 68,
    /// There is no such group.
    GROUP_ID_NOT_FOUND = 69,
    /// No fetch session of this id.
    FETCH_SESSION_ID_NOT_FOUND = 70,
    /// The fetch session's epoch is not the next one.
    INVALID_FETCH_SESSION_EPOCH = 71,
    /// The client's leader epoch is older than ours.
    FENCED_LEADER_EPOCH = 74,
    /// The client's leader epoch is newer than ours.
    UNKNOWN_LEADER_EPOCH = 75,
    /// The codec does not exist in the Produce version used.
    UNSUPPORTED_COMPRESSION_TYPE = 76,
    /// Join again with the member id that the answer carries.
    MEMBER_ID_REQUIRED = 79,
    /// There is no room for more members.
    GROUP_MAX_SIZE_REACHED = 81,
    /// Another process has taken this static member's place.
    FENCED_INSTANCE_ID = 82,
    /// A member of the group reads this topic.
    GROUP_SUBSCRIBED_TO_TOPIC = 86,
    /// The batch or one of its records is not acceptable.
    INVALID_RECORD = 87,
    /// No topic of this id.
    UNKNOWN_TOPIC_ID = 100,
    /// Controllers are asked of a broker.
    MISMATCHED_ENDPOINT_TYPE = 114,
    /// A kind of nodes that is not known.
    UNSUPPORTED_ENDPOINT_TYPE = 115,
}

impl ErrorCode {
    /// Is this success?
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(formatter, "{name} ({})", self.0),
            None => write!(formatter, "error {}", self.0),
        }
    }
}
