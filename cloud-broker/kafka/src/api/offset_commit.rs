//! OffsetCommit (8): how far a group has come.

use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::{Api, code, decode, instance, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT32, INT64, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table. The retention time of versions 2 to 4 is not honoured, as in
/// Kafka since 2.1.
pub const API: Api = Api {
    key: 8,
    name: "OffsetCommit",
    min: 2,
    max: 9,
    served_min: 2,
    flexible_since: 8,
    flexible_response_header: true,
    request: &[
        Field::new("group_id", Kind::String),
        Field::new("generation_id", INT32),
        Field::new("member_id", Kind::String),
        Field::new("group_instance_id", Kind::String).since(7),
        Field::new("retention_time_ms", INT64).until(4),
        Field::new(
            "topics",
            Kind::Array(&[
                Field::new("name", Kind::String),
                Field::new(
                    "partitions",
                    Kind::Array(&[
                        Field::new("partition_index", INT32),
                        Field::new("committed_offset", INT64),
                        Field::new("committed_leader_epoch", INT32).since(6),
                        Field::new("committed_metadata", Kind::String),
                    ]),
                ),
            ]),
        ),
    ],
    decode: |body, version| {
        Ok(super::Request::OffsetCommit(request(decode(
            body, version,
        )?)))
    },
};

/// The request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The group.
    pub group: String,
    /// The member's generation, -1 for somebody who is no member.
    pub generation: i32,
    /// The member's id, empty for somebody who is no member.
    pub member: String,
    /// A static member's name (version 7).
    pub instance: Option<String>,
    /// By topic.
    pub topics: Vec<Topic>,
}

/// One topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// By partition.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The next offset to read.
    pub offset: i64,
    /// Leader epoch of the record before it, -1 for none.
    pub leader_epoch: i32,
    /// The client's own words; null is empty.
    pub metadata: String,
}

/// The answer, by topic and partition as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Name, and by partition its number and 0, or why nothing was remembered.
    pub topics: Vec<(String, Vec<(i32, ErrorCode)>)>,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let topics = self.topics.iter().map(|(name, partitions)| {
            let partitions = partitions.iter().map(|(index, error)| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(*index)
                    .with_error_code(code(*error))
            });
            OffsetCommitResponseTopic::default()
                .with_name(text(name).into())
                .with_partitions(partitions.collect())
        });
        let body = OffsetCommitResponse::default().with_topics(topics.collect());
        whole(header, flexible, &body)
    }
}

fn request(decoded: OffsetCommitRequest) -> Request {
    let topics = decoded.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            let metadata = partition.committed_metadata;
            Partition {
                index: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: metadata
                    .map(|text| text.as_str().to_owned())
                    .unwrap_or_default(),
            }
        });
        Topic {
            name: topic.name.as_str().to_owned(),
            partitions: partitions.collect(),
        }
    });
    Request {
        topics: topics.collect(),
        group: decoded.group_id.as_str().to_owned(),
        generation: decoded.generation_id_or_member_epoch,
        member: decoded.member_id.as_str().to_owned(),
        instance: instance(decoded.group_instance_id),
    }
}
