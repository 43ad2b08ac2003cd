//! Fetch (1): whole record batches from many partitions at once.

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;

use super::{Api, decode};
use crate::encoded::{EncodeError, Encoded};
use crate::shape::{Field, INT8, INT32, INT64, Kind, UUID};
use crate::{ErrorCode, Header, TopicId};

mod writer;

/// The line of the version table.
pub const API: Api = Api {
    key: 1,
    name: "Fetch",
    min: 4,
    max: 17,
    served_min: 4,
    flexible_since: 12,
    flexible_response_header: true,
    request: REQUEST,
    decode: |body, version| Ok(super::Request::Fetch(request(decode(body, version)?))),
};

const REQUEST: &[Field] = &[
    Field::new("replica_id", INT32).until(14),
    Field::new("max_wait_ms", INT32),
    Field::new("min_bytes", INT32),
    Field::new("max_bytes", INT32),
    Field::new("isolation_level", INT8),
    Field::new("session_id", INT32).since(7),
    Field::new("session_epoch", INT32).since(7),
    Field::new(
        "topics",
        Kind::Array(&[
            Field::new("topic", Kind::String).until(12),
            Field::new("topic_id", UUID).since(13),
            Field::new("partitions", Kind::Array(PARTITION)),
        ]),
    ),
    Field::new(
        "forgotten_topics_data",
        Kind::Array(&[
            Field::new("topic", Kind::String).until(12),
            Field::new("topic_id", UUID).since(13),
            Field::new("partitions", Kind::FixedArray(4)),
        ]),
    )
    .since(7),
    Field::new("rack_id", Kind::String).since(11),
    Field::new("cluster_id", Kind::String).since(12).tag(0),
    Field::new(
        "replica_state",
        Kind::Struct(&[
            Field::new("replica_id", INT32),
            Field::new("replica_epoch", INT64),
        ]),
    )
    .since(15)
    .tag(1),
];

const PARTITION: &[Field] = &[
    Field::new("partition", INT32),
    Field::new("current_leader_epoch", INT32).since(9),
    Field::new("fetch_offset", INT64),
    Field::new("last_fetched_epoch", INT32).since(12),
    Field::new("log_start_offset", INT64).since(5),
    Field::new("partition_max_bytes", INT32),
    Field::new("replica_directory_id", UUID).since(17).tag(0),
];

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How long the answer may wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// Answer at once when there are so many bytes.
    pub min_bytes: i32,
    /// Bytes of records in the whole answer; the first batch may exceed it (KIP-74).
    pub max_bytes: i32,
    /// 1: only committed transactions.
    pub isolation_level: i8,
    /// The fetch session continued, 0 for none (version 7, KIP-227).
    pub session_id: i32,
    /// 0 asks for a new session, -1 for none; anything else continues one.
    pub session_epoch: i32,
    /// What to read, by topic.
    pub topics: Vec<Topic>,
}

/// What to read from one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The topic's name, up to version 12; empty from 13 on.
    pub name: String,
    /// The topic's id, from version 13 on; zero before.
    pub id: TopicId,
    /// By partition.
    pub partitions: Vec<Partition>,
}

/// What to read from one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The partition's number in its topic.
    pub index: i32,
    /// The client's idea of the leader epoch, -1 for none (version 9).
    pub current_leader_epoch: i32,
    /// The first offset wanted.
    pub offset: i64,
    /// The epoch of the last record that the client has, -1 for none (version 12).
    pub last_fetched_epoch: i32,
    /// Bytes of records from this partition; the first batch may exceed it.
    pub max_bytes: i32,
}

/// The answer. The session id is always 0: sessions are refused, every request is a full one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// An error of the whole request (from version 7).
    pub error: ErrorCode,
    /// By topic and partition as asked.
    pub topics: Vec<TopicResponse>,
}

/// The answer for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResponse {
    /// As in the request.
    pub name: String,
    /// As in the request.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: Vec<PartitionResponse>,
}

/// The answer for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionResponse {
    /// The partition's number in its topic.
    pub index: i32,
    /// 0, or why there are no records.
    pub error: ErrorCode,
    /// The end of what consumers may read; the last stable offset too, without transactions.
    pub high_watermark: i64,
    /// The first offset that the partition still holds.
    pub log_start_offset: i64,
    /// Where the client's history left ours: our last epoch before it, and where that ends.
    pub diverging: Option<EpochEnd>,
    /// An empty list of aborted transactions for a reader of committed ones, null for others.
    pub read_committed: bool,
    /// Whole batches in order; they go out as they are, without being copied.
    pub records: Vec<Bytes>,
}

/// The end of a leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: i32,
    /// The offset behind its last record.
    pub end_offset: i64,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        writer::write(self, header, flexible)
    }
}

fn request(decoded: FetchRequest) -> Request {
    let topics = decoded.topics.into_iter().map(|topic| Topic {
        name: topic.topic.as_str().to_owned(),
        id: topic.topic_id.into_bytes(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| Partition {
                index: partition.partition,
                current_leader_epoch: partition.current_leader_epoch,
                offset: partition.fetch_offset,
                last_fetched_epoch: partition.last_fetched_epoch,
                max_bytes: partition.partition_max_bytes,
            })
            .collect(),
    });
    Request {
        topics: topics.collect(),
        max_wait_ms: decoded.max_wait_ms,
        min_bytes: decoded.min_bytes,
        max_bytes: decoded.max_bytes,
        isolation_level: decoded.isolation_level,
        session_id: decoded.session_id,
        session_epoch: decoded.session_epoch,
    }
}
