//! OffsetDelete (47): a group forgets how far it had come.

use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT32, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 47,
    name: "OffsetDelete",
    min: 0,
    max: 0,
    served_min: 0,
    flexible_since: i16::MAX,
    flexible_response_header: false,
    request: &[
        Field::new("group_id", Kind::String),
        Field::new(
            "topics",
            Kind::Array(&[
                Field::new("name", Kind::String),
                Field::new(
                    "partitions",
                    Kind::Array(&[Field::new("partition_index", INT32)]),
                ),
            ]),
        ),
    ],
    decode: |body, version| {
        let decoded: OffsetDeleteRequest = decode(body, version)?;
        let topics = decoded.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let indexes = partitions.map(|partition| partition.partition_index);
            (topic.name.as_str().to_owned(), indexes.collect())
        });
        Ok(super::Request::OffsetDelete(Request {
            group: decoded.group_id.as_str().to_owned(),
            topics: topics.collect(),
        }))
    },
};

/// The request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The group.
    pub group: String,
    /// Names and partitions.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0, or why the whole request failed.
    pub error: ErrorCode,
    /// Name, and by partition as asked its number and 0, or why it is still remembered.
    pub topics: Vec<(String, Vec<(i32, ErrorCode)>)>,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let topics = self.topics.iter().map(|(name, partitions)| {
            let partitions = partitions.iter().map(|(index, error)| {
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(*index)
                    .with_error_code(code(*error))
            });
            OffsetDeleteResponseTopic::default()
                .with_name(text(name).into())
                .with_partitions(partitions.collect())
        });
        let body = OffsetDeleteResponse::default()
            .with_error_code(code(self.error))
            .with_topics(topics.collect());
        whole(header, flexible, &body)
    }
}
