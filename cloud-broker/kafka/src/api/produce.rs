//! Produce (0): one record batch a partition.

use bytes::Bytes;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT16, INT32, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table. Versions 0 to 2 are announced and refused: librdkafka before
/// 2.11.1 compresses only if version 0 is in the range (KAFKA-18659; Kafka 4 does the same).
pub const API: Api = Api {
    key: 0,
    name: "Produce",
    min: 0,
    max: 11,
    served_min: 3,
    flexible_since: 9,
    flexible_response_header: true,
    request: &[
        Field::new("transactional_id", Kind::String),
        Field::new("acks", INT16),
        Field::new("timeout_ms", INT32),
        Field::new(
            "topic_data",
            Kind::Array(&[
                Field::new("name", Kind::String),
                Field::new(
                    "partition_data",
                    Kind::Array(&[
                        Field::new("index", INT32),
                        Field::new("records", Kind::Bytes),
                    ]),
                ),
            ]),
        ),
    ],
    decode: |body, version| Ok(super::Request::Produce(request(decode(body, version)?))),
};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Set by transactional producers only.
    pub transactional_id: Option<String>,
    /// 0: no answer at all; 1 and -1: answer once durable.
    pub acks: i16,
    /// How long the client waits, in milliseconds.
    pub timeout_ms: i32,
    /// What to append, by topic.
    pub topics: Vec<Topic>,
}

/// The batches for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The topic's name.
    pub name: String,
    /// By partition.
    pub partitions: Vec<Partition>,
}

/// The batch for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The partition's number in its topic.
    pub index: i32,
    /// Should be exactly one record batch of format 2; a slice of the request's frame.
    pub records: Option<Bytes>,
}

/// The answer, by topic and partition as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The topics.
    pub topics: Vec<TopicResponse>,
}

/// The answer for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResponse {
    /// The topic's name.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<PartitionResponse>,
}

/// The answer for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionResponse {
    /// The partition's number in its topic.
    pub index: i32,
    /// 0, or why nothing was appended.
    pub error: ErrorCode,
    /// The offset given to the batch's first record, -1 with an error.
    pub base_offset: i64,
    /// The first offset that the partition still holds, -1 with an error.
    pub log_start_offset: i64,
    /// Records that are to blame, by their index in the batch (from version 8).
    pub record_errors: Vec<RecordError>,
    /// What went wrong, for a human (from version 8).
    pub message: Option<String>,
}

/// A record that caused its batch to be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's index in the batch.
    pub index: i32,
    /// What is wrong with it.
    pub message: Option<String>,
}

impl PartitionResponse {
    /// A batch that lies in the log.
    #[must_use]
    pub fn appended(index: i32, base_offset: i64, log_start_offset: i64) -> Self {
        Self {
            index,
            error: ErrorCode::NONE,
            base_offset,
            log_start_offset,
            record_errors: Vec::new(),
            message: None,
        }
    }

    /// A batch of which nothing was appended.
    #[must_use]
    pub fn refused(index: i32, error: ErrorCode, message: Option<String>) -> Self {
        Self {
            index,
            error,
            base_offset: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            message,
        }
    }
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let topics = self.topics.iter().map(|topic| {
            TopicProduceResponse::default()
                .with_name(text(&topic.name).into())
                .with_partition_responses(topic.partitions.iter().map(partition).collect())
        });
        let body = ProduceResponse::default().with_responses(topics.collect());
        whole(header, flexible, &body)
    }
}

fn partition(partition: &PartitionResponse) -> PartitionProduceResponse {
    let record_errors = partition.record_errors.iter().map(|error| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(error.index)
            .with_batch_index_error_message(error.message.as_deref().map(text))
    });
    // The append time stays -1: streams keep the time that the producer gave.
    PartitionProduceResponse::default()
        .with_index(partition.index)
        .with_error_code(code(partition.error))
        .with_base_offset(partition.base_offset)
        .with_log_start_offset(partition.log_start_offset)
        .with_record_errors(record_errors.collect())
        .with_error_message(partition.message.as_deref().map(text))
}

fn request(decoded: ProduceRequest) -> Request {
    let topics = decoded.topic_data.into_iter().map(|topic| Topic {
        name: topic.name.as_str().to_owned(),
        partitions: topic
            .partition_data
            .into_iter()
            .map(|partition| Partition {
                index: partition.index,
                records: partition.records,
            })
            .collect(),
    });
    Request {
        topics: topics.collect(),
        transactional_id: decoded.transactional_id.map(|id| id.as_str().to_owned()),
        acks: decoded.acks,
        timeout_ms: decoded.timeout_ms,
    }
}
