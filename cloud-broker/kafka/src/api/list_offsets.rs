//! ListOffsets (2): the offset that belongs to a time, or to one of the special times below.

use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT8, INT32, INT64, Kind};
use crate::{ErrorCode, Header};

/// Asks for the end of the log: the offset that the next record gets.
pub const LATEST: i64 = -1;
/// Asks for the first offset that the log holds.
pub const EARLIEST: i64 = -2;
/// Asks for the record with the highest timestamp (version 7).
pub const MAX_TIMESTAMP: i64 = -3;
/// Asks for the first offset on the broker's own disk (version 8).
pub const EARLIEST_LOCAL: i64 = -4;
/// Asks for the last offset in tiered storage (version 9).
pub const LATEST_TIERED: i64 = -5;

/// The line of the version table.
pub const API: Api = Api {
    key: 2,
    name: "ListOffsets",
    min: 1,
    max: 9,
    served_min: 1,
    flexible_since: 6,
    flexible_response_header: true,
    request: &[
        Field::new("replica_id", INT32),
        Field::new("isolation_level", INT8).since(2),
        Field::new(
            "topics",
            Kind::Array(&[
                Field::new("name", Kind::String),
                Field::new(
                    "partitions",
                    Kind::Array(&[
                        Field::new("partition_index", INT32),
                        Field::new("current_leader_epoch", INT32).since(4),
                        Field::new("timestamp", INT64),
                    ]),
                ),
            ]),
        ),
    ],
    decode: |body, version| Ok(super::Request::ListOffsets(request(decode(body, version)?))),
};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked, by topic.
    pub topics: Vec<Topic>,
}

/// One topic's questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The topic's name.
    pub name: String,
    /// By partition.
    pub partitions: Vec<Partition>,
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The partition's number in its topic.
    pub index: i32,
    /// The client's idea of the leader epoch, -1 for none.
    pub current_leader_epoch: i32,
    /// Milliseconds since the epoch, or one of the constants of this module.
    pub timestamp: i64,
}

/// The answer, by topic and partition as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The topics.
    pub topics: Vec<TopicResponse>,
}

/// The answers for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResponse {
    /// The topic's name.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<PartitionResponse>,
}

/// The answer for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionResponse {
    /// The partition's number in its topic.
    pub index: i32,
    /// 0, or why there is no answer.
    pub error: ErrorCode,
    /// The found record's timestamp in milliseconds, -1 if none was looked for or found.
    pub timestamp: i64,
    /// The offset, -1 if none was found.
    pub offset: i64,
    /// The leader epoch of that offset, -1 if none was found.
    pub leader_epoch: i32,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            ListOffsetsTopicResponse::default()
                .with_name(text(&topic.name).into())
                .with_partitions(partitions.map(|p| partition(p, header.version)).collect())
        });
        let body = ListOffsetsResponse::default().with_topics(topics.collect());
        whole(header, flexible, &body)
    }
}

fn partition(answer: &PartitionResponse, version: i16) -> ListOffsetsPartitionResponse {
    let leader_epoch = if version >= 4 {
        answer.leader_epoch
    } else {
        -1
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(answer.index)
        .with_error_code(code(answer.error))
        .with_timestamp(answer.timestamp)
        .with_offset(answer.offset)
        .with_leader_epoch(leader_epoch)
}

fn request(decoded: ListOffsetsRequest) -> Request {
    let topics = decoded.topics.into_iter().map(|topic| Topic {
        name: topic.name.as_str().to_owned(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| Partition {
                index: partition.partition_index,
                current_leader_epoch: partition.current_leader_epoch,
                timestamp: partition.timestamp,
            })
            .collect(),
    });
    Request {
        topics: topics.collect(),
    }
}
