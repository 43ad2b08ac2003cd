//! The APIs: one file each. Adding one is adding its file, its line in [`APIS`] and its variants.

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::encoded::{EncodeError, Encoded};
use crate::scan::{ScanError, scan};
use crate::shape::Field;
use crate::{ErrorCode, Header};

pub mod api_versions;
pub mod config;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;

/// One line of the version table.
#[derive(Debug)]
pub struct Api {
    /// The number that requests carry.
    pub key: i16,
    /// The API's name, for logs and metrics.
    pub name: &'static str,
    /// The lowest version that ApiVersions announces.
    pub min: i16,
    /// The highest version, announced and served.
    pub max: i16,
    /// The lowest version that is served: above `min` only where clients need the lie (Produce).
    pub served_min: i16,
    /// The first version with compact lengths and tagged fields (KIP-482).
    pub flexible_since: i16,
    /// Do flexible versions also have the flexible response header? Not ApiVersions: its client
    /// cannot know yet what we speak.
    flexible_response_header: bool,
    request: &'static [Field],
    decode: fn(Bytes, i16) -> Result<Request, ParseError>,
}

/// Every API that this broker speaks, in the order of their keys. An API is listed once it is
/// right: clients cope well with absent ones and badly with wrong ones. The maximums are those of
/// Kafka 3.9, because some clients guess the release from single ranges.
pub static APIS: &[Api] = &[
    produce::API,
    fetch::API,
    list_offsets::API,
    metadata::API,
    offset_commit::API,
    offset_fetch::API,
    find_coordinator::API,
    join_group::API,
    heartbeat::API,
    leave_group::API,
    sync_group::API,
    describe_groups::API,
    list_groups::API,
    api_versions::API,
    create_topics::API,
    delete_topics::API,
    init_producer_id::API,
    offset_for_leader_epoch::API,
    describe_configs::API,
    delete_groups::API,
    offset_delete::API,
    describe_cluster::API,
];

impl Api {
    /// The API of this key, if we speak it.
    #[must_use]
    pub fn by_key(key: i16) -> Option<&'static Self> {
        APIS.iter().find(|api| api.key == key)
    }

    fn serves(&self, version: i16) -> bool {
        (self.served_min..=self.max).contains(&version)
    }

    fn flexible(&self, version: i16) -> bool {
        version >= self.flexible_since
    }
}

/// A request, decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Append batches.
    Produce(produce::Request),
    /// Read batches.
    Fetch(fetch::Request),
    /// Offsets by time.
    ListOffsets(list_offsets::Request),
    /// Brokers, topics, partitions.
    Metadata(metadata::Request),
    /// What we speak.
    ApiVersions(api_versions::Request),
    /// Make topics.
    CreateTopics(create_topics::Request),
    /// Delete topics.
    DeleteTopics(delete_topics::Request),
    /// An id for an idempotent producer.
    InitProducerId(init_producer_id::Request),
    /// Where the records of a leader end.
    OffsetForLeaderEpoch(offset_for_leader_epoch::Request),
    /// How topics and brokers are configured.
    DescribeConfigs(describe_configs::Request),
    /// The brokers.
    DescribeCluster(describe_cluster::Request),
    /// Remember how far a group has come.
    OffsetCommit(offset_commit::Request),
    /// How far groups have come.
    OffsetFetch(offset_fetch::Request),
    /// Who keeps a group.
    FindCoordinator(find_coordinator::Request),
    /// Become a member of a group.
    JoinGroup(join_group::Request),
    /// Stay a member.
    Heartbeat(heartbeat::Request),
    /// Members go.
    LeaveGroup(leave_group::Request),
    /// What a member is to read.
    SyncGroup(sync_group::Request),
    /// Members of groups.
    DescribeGroups(describe_groups::Request),
    /// All groups.
    ListGroups(list_groups::Request),
    /// Forget groups.
    DeleteGroups(delete_groups::Request),
    /// Forget how far a group has come.
    OffsetDelete(offset_delete::Request),
}

/// An answer, to be encoded with the header of its request.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To [`Request::Produce`].
    Produce(produce::Response),
    /// To [`Request::Fetch`].
    Fetch(fetch::Response),
    /// To [`Request::ListOffsets`].
    ListOffsets(list_offsets::Response),
    /// To [`Request::Metadata`].
    Metadata(metadata::Response),
    /// To [`Request::ApiVersions`].
    ApiVersions(api_versions::Response),
    /// To [`Request::CreateTopics`].
    CreateTopics(create_topics::Response),
    /// To [`Request::DeleteTopics`].
    DeleteTopics(delete_topics::Response),
    /// To [`Request::InitProducerId`].
    InitProducerId(init_producer_id::Response),
    /// To [`Request::OffsetForLeaderEpoch`].
    OffsetForLeaderEpoch(offset_for_leader_epoch::Response),
    /// To [`Request::DescribeConfigs`].
    DescribeConfigs(describe_configs::Response),
    /// To [`Request::DescribeCluster`].
    DescribeCluster(describe_cluster::Response),
    /// To [`Request::OffsetCommit`].
    OffsetCommit(offset_commit::Response),
    /// To [`Request::OffsetFetch`].
    OffsetFetch(offset_fetch::Response),
    /// To [`Request::FindCoordinator`].
    FindCoordinator(find_coordinator::Response),
    /// To [`Request::JoinGroup`].
    JoinGroup(join_group::Response),
    /// To [`Request::Heartbeat`].
    Heartbeat(heartbeat::Response),
    /// To [`Request::LeaveGroup`].
    LeaveGroup(leave_group::Response),
    /// To [`Request::SyncGroup`].
    SyncGroup(sync_group::Response),
    /// To [`Request::DescribeGroups`].
    DescribeGroups(describe_groups::Response),
    /// To [`Request::ListGroups`].
    ListGroups(list_groups::Response),
    /// To [`Request::DeleteGroups`].
    DeleteGroups(delete_groups::Response),
    /// To [`Request::OffsetDelete`].
    OffsetDelete(offset_delete::Response),
}

/// A request together with what its answer needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// The header. For an ApiVersions request of a version that we do not speak its version is 0,
    /// in which that is answered.
    pub header: Header,
    /// The body.
    pub request: Request,
}

/// A frame that cannot be answered: the connection is closed, as Kafka does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// An API or a version that ApiVersions does not offer.
    #[error("API {key} version {version} is not spoken here")]
    Unsupported {
        /// The API asked.
        key: i16,
        /// The version asked.
        version: i16,
    },
    /// The frame does not have the shape of its request.
    #[error(transparent)]
    Shape(#[from] ScanError),
    /// The shape is right, a value is not.
    #[error("Request is not legal: {0}")]
    Value(String),
}

/// Reads one frame (without its length). Strings and records are slices of it or small copies.
///
/// # Errors
/// When the frame cannot be answered; see [`ParseError`]. Never panics and never allocates more
/// than a small multiple of the frame.
pub fn parse(frame: &Bytes) -> Result<Incoming, ParseError> {
    let mut header = Header::parse_fixed(frame)?;
    let (key, version) = (header.key, header.version);
    let unsupported = ParseError::Unsupported { key, version };
    let api = Api::by_key(key).ok_or_else(|| unsupported.clone())?;
    if !api.serves(version) {
        if key != api_versions::API.key {
            return Err(unsupported);
        }
        header.version = 0;
        let request = Request::ApiVersions(api_versions::Request::TooHigh);
        return Ok(Incoming { header, request });
    }
    let flexible = api.flexible(version);
    let body_at = header.parse_rest(frame, flexible)?;
    let body = frame.slice(body_at..);
    scan(&body, api.request, version, flexible)?;
    let request = (api.decode)(body, version)?;
    Ok(Incoming { header, request })
}

/// Writes the answer to the request that had this header.
///
/// # Errors
/// When the encoder refuses a value: an error in this broker.
pub fn encode(header: &Header, response: &Response) -> Result<Encoded, EncodeError> {
    let flexible = |api: &Api| api.flexible(header.version) && api.flexible_response_header;
    match response {
        Response::Produce(answer) => answer.encode(header, flexible(&produce::API)),
        Response::Fetch(answer) => answer.encode(header, flexible(&fetch::API)),
        Response::ListOffsets(answer) => answer.encode(header, flexible(&list_offsets::API)),
        Response::Metadata(answer) => answer.encode(header, flexible(&metadata::API)),
        Response::ApiVersions(answer) => answer.encode(header, flexible(&api_versions::API)),
        Response::CreateTopics(answer) => answer.encode(header, flexible(&create_topics::API)),
        Response::DeleteTopics(answer) => answer.encode(header, flexible(&delete_topics::API)),
        Response::InitProducerId(answer) => answer.encode(header, flexible(&init_producer_id::API)),
        Response::OffsetForLeaderEpoch(answer) => {
            answer.encode(header, flexible(&offset_for_leader_epoch::API))
        }
        Response::DescribeConfigs(answer) => {
            answer.encode(header, flexible(&describe_configs::API))
        }
        Response::DescribeCluster(answer) => {
            answer.encode(header, flexible(&describe_cluster::API))
        }
        Response::OffsetCommit(answer) => answer.encode(header, flexible(&offset_commit::API)),
        Response::OffsetFetch(answer) => answer.encode(header, flexible(&offset_fetch::API)),
        Response::FindCoordinator(answer) => {
            answer.encode(header, flexible(&find_coordinator::API))
        }
        Response::JoinGroup(answer) => answer.encode(header, flexible(&join_group::API)),
        Response::Heartbeat(answer) => answer.encode(header, flexible(&heartbeat::API)),
        Response::LeaveGroup(answer) => answer.encode(header, flexible(&leave_group::API)),
        Response::SyncGroup(answer) => answer.encode(header, flexible(&sync_group::API)),
        Response::DescribeGroups(answer) => answer.encode(header, flexible(&describe_groups::API)),
        Response::ListGroups(answer) => answer.encode(header, flexible(&list_groups::API)),
        Response::DeleteGroups(answer) => answer.encode(header, flexible(&delete_groups::API)),
        Response::OffsetDelete(answer) => answer.encode(header, flexible(&offset_delete::API)),
    }
}

/// Decodes a scanned body with the codec crate.
fn decode<T: Decodable>(mut body: Bytes, version: i16) -> Result<T, ParseError> {
    T::decode(&mut body, version).map_err(|error| ParseError::Value(error.to_string()))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn code(error: ErrorCode) -> i16 {
    error.0
}

/// A static member's name. Clients that have none send null, some an empty string.
fn instance(name: Option<StrBytes>) -> Option<String> {
    let name = name.map(|name| name.as_str().to_owned());
    name.filter(|name| !name.is_empty())
}
