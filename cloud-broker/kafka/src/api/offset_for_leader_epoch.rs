//! OffsetForLeaderEpoch (23): where the records of a leader end. Consumers ask after a change of
//! leader, to see whether what they have read is still the history.

use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT32, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 23,
    name: "OffsetForLeaderEpoch",
    min: 2,
    max: 4,
    served_min: 2,
    flexible_since: 4,
    flexible_response_header: true,
    request: &[
        Field::new("replica_id", INT32).since(3),
        Field::new(
            "topics",
            Kind::Array(&[
                Field::new("topic", Kind::String),
                Field::new(
                    "partitions",
                    Kind::Array(&[
                        Field::new("partition", INT32),
                        Field::new("current_leader_epoch", INT32),
                        Field::new("leader_epoch", INT32),
                    ]),
                ),
            ]),
        ),
    ],
    decode: |body, version| {
        let request = request(decode(body, version)?);
        Ok(super::Request::OffsetForLeaderEpoch(request))
    },
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
    /// The epoch whose end is asked.
    pub leader_epoch: i32,
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
    /// The greatest epoch that is not above the one asked, -1 if there is none.
    pub leader_epoch: i32,
    /// The offset behind its last record, -1 if there is none.
    pub end_offset: i64,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let partition = |answer: &PartitionResponse| {
            EpochEndOffset::default()
                .with_partition(answer.index)
                .with_error_code(code(answer.error))
                .with_leader_epoch(answer.leader_epoch)
                .with_end_offset(answer.end_offset)
        };
        let topics = self.topics.iter().map(|topic| {
            OffsetForLeaderTopicResult::default()
                .with_topic(text(&topic.name).into())
                .with_partitions(topic.partitions.iter().map(partition).collect())
        });
        let body = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
        whole(header, flexible, &body)
    }
}

fn request(decoded: OffsetForLeaderEpochRequest) -> Request {
    let topics = decoded.topics.into_iter().map(|topic| Topic {
        name: topic.topic.as_str().to_owned(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| Partition {
                index: partition.partition,
                current_leader_epoch: partition.current_leader_epoch,
                leader_epoch: partition.leader_epoch,
            })
            .collect(),
    });
    Request {
        topics: topics.collect(),
    }
}
