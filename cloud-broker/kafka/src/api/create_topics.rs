//! CreateTopics (19): topics that are to be there, and how they are configured.

use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use super::config::Config;
use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{BOOL, Field, INT16, INT32, Kind};
use crate::{ErrorCode, Header, TopicId};

/// The line of the version table.
pub const API: Api = Api {
    key: 19,
    name: "CreateTopics",
    min: 2,
    max: 7,
    served_min: 2,
    flexible_since: 5,
    flexible_response_header: true,
    request: &[
        Field::new(
            "topics",
            Kind::Array(&[
                Field::new("name", Kind::String),
                Field::new("num_partitions", INT32),
                Field::new("replication_factor", INT16),
                Field::new(
                    "assignments",
                    Kind::Array(&[
                        Field::new("partition_index", INT32),
                        Field::new("broker_ids", Kind::FixedArray(4)),
                    ]),
                ),
                Field::new(
                    "configs",
                    Kind::Array(&[
                        Field::new("name", Kind::String),
                        Field::new("value", Kind::String),
                    ]),
                ),
            ]),
        ),
        Field::new("timeout_ms", INT32),
        Field::new("validate_only", BOOL),
    ],
    decode: |body, version| {
        Ok(super::Request::CreateTopics(request(decode(
            body, version,
        )?)))
    },
};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The topics.
    pub topics: Vec<Topic>,
    /// Say what would be done, and do nothing?
    pub validate_only: bool,
}

/// One topic that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Number of partitions, -1 for the default or for as many as are assigned.
    pub partitions: i32,
    /// Copies of each partition, -1 for the default or for as many as are assigned.
    pub replication_factor: i16,
    /// Brokers of each partition, if the client chooses them.
    pub assignments: Vec<Assignment>,
    /// Configuration keys and values.
    pub configs: Vec<(String, Option<String>)>,
}

/// Where one partition is to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition's number.
    pub partition: i32,
    /// Ids of the brokers, the first of which leads.
    pub brokers: Vec<i32>,
}

/// The answer, topic by topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The topics as asked.
    pub topics: Vec<TopicResponse>,
}

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResponse {
    /// Its name.
    pub name: String,
    /// Its id; zero if it was not made.
    pub id: TopicId,
    /// 0, or why it was not made.
    pub error: ErrorCode,
    /// The error in words.
    pub message: Option<String>,
    /// Number of partitions, -1 with an error.
    pub partitions: i32,
    /// Copies of each partition, -1 with an error.
    pub replication_factor: i16,
    /// How it is configured.
    pub configs: Vec<Config>,
}

impl TopicResponse {
    /// A topic that was not made.
    #[must_use]
    pub fn refused(name: String, error: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            name,
            id: [0; 16],
            error,
            message: Some(message.into()),
            partitions: -1,
            replication_factor: -1,
            configs: Vec::new(),
        }
    }
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let topics = self
            .topics
            .iter()
            .map(|topic| result(topic, header.version));
        let body = CreateTopicsResponse::default().with_topics(topics.collect());
        whole(header, flexible, &body)
    }
}

fn result(topic: &TopicResponse, version: i16) -> CreatableTopicResult {
    let result = CreatableTopicResult::default()
        .with_name(text(&topic.name).into())
        .with_error_code(code(topic.error))
        .with_error_message(topic.message.as_deref().map(text));
    if version < 5 {
        return result;
    }
    let config = |config: &Config| {
        CreatableTopicConfigs::default()
            .with_name(text(config.name))
            .with_value(Some(text(&config.value)))
            .with_read_only(config.read_only)
            .with_config_source(config.source as i8)
    };
    result
        .with_topic_id(Uuid::from_bytes(topic.id))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication_factor)
        .with_configs(Some(topic.configs.iter().map(config).collect()))
}

fn request(decoded: CreateTopicsRequest) -> Request {
    let topics = decoded.topics.into_iter().map(|topic| Topic {
        name: topic.name.as_str().to_owned(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|assigned| Assignment {
                partition: assigned.partition_index,
                brokers: assigned.broker_ids.iter().map(|id| id.0).collect(),
            })
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| {
                let value = config.value.as_ref().map(|value| value.as_str().to_owned());
                (config.name.as_str().to_owned(), value)
            })
            .collect(),
    });
    Request {
        topics: topics.collect(),
        validate_only: decoded.validate_only,
    }
}
