//! Metadata (3): brokers, topics and their partitions.

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::{Api, ParseError, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{BOOL, Field, Kind, UUID};
use crate::{ErrorCode, Header, TopicId};

/// The line of the version table.
pub const API: Api = Api {
    key: 3,
    name: "Metadata",
    min: 0,
    max: 12,
    served_min: 0,
    flexible_since: 9,
    flexible_response_header: true,
    request: &[
        Field::new(
            "topics",
            Kind::Array(&[
                Field::new("topic_id", UUID).since(10),
                Field::new("name", Kind::String),
            ]),
        ),
        Field::new("allow_auto_topic_creation", BOOL).since(4),
        Field::new("include_cluster_authorized_operations", BOOL)
            .since(8)
            .until(10),
        Field::new("include_topic_authorized_operations", BOOL).since(8),
    ],
    decode: |body, version| request(&decode(body, version)?, version),
};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `None` asks for all topics, an empty list for none.
    pub topics: Option<Vec<Topic>>,
    /// May topics that do not exist be made? Always true before version 4.
    pub allow_auto_create: bool,
}

/// How a topic is named in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// By its name.
    Name(String),
    /// By its id (version 12).
    Id(TopicId),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Every broker whose id stands anywhere below.
    pub brokers: Vec<Broker>,
    /// The cluster's id, never empty.
    pub cluster_id: String,
    /// Must name a broker: with -1 Java's admin client waits for ever.
    pub controller_id: i32,
    /// The topics asked.
    pub topics: Vec<TopicResponse>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// The host under which this client can reach it.
    pub host: String,
    /// The port of the listener that the client came in on.
    pub port: u16,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResponse {
    /// 0, or why there are no partitions.
    pub error: ErrorCode,
    /// `None` if an id was asked that does not exist.
    pub name: Option<String>,
    /// Never zero for a topic that exists.
    pub id: TopicId,
    /// One of the broker's own topics?
    pub internal: bool,
    /// Its partitions in order.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number in the topic.
    pub index: i32,
    /// The broker that leads it, also its only replica and its only one in sync: the copies are
    /// kept by the store below, and clients take empty lists for an unavailable partition.
    pub leader: i32,
    /// Grows with each change of leader, never negative.
    pub leader_epoch: i32,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let brokers = self.brokers.iter().map(|broker| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(broker.id))
                .with_host(text(&broker.host))
                .with_port(i32::from(broker.port))
        });
        let topics = self.topics.iter().map(|topic| {
            // Only version 12 knows a topic without a name.
            let name = topic
                .name
                .as_deref()
                .or_else(|| (header.version < 12).then_some(""));
            MetadataResponseTopic::default()
                .with_error_code(code(topic.error))
                .with_name(name.map(|name| text(name).into()))
                .with_topic_id(Uuid::from_bytes(topic.id))
                .with_is_internal(topic.internal)
                .with_partitions(topic.partitions.iter().map(partition).collect())
        });
        let body = MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(text(&self.cluster_id)))
            .with_controller_id(BrokerId(self.controller_id))
            .with_topics(topics.collect());
        whole(header, flexible, &body)
    }
}

fn partition(partition: &Partition) -> MetadataResponsePartition {
    MetadataResponsePartition::default()
        .with_partition_index(partition.index)
        .with_leader_id(BrokerId(partition.leader))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(vec![BrokerId(partition.leader)])
        .with_isr_nodes(vec![BrokerId(partition.leader)])
}

fn request(decoded: &MetadataRequest, version: i16) -> Result<super::Request, ParseError> {
    let topics = match &decoded.topics {
        None => None,
        Some(topics) if version == 0 && topics.is_empty() => None,
        Some(topics) => Some(
            topics
                .iter()
                .map(|topic| match (&topic.name, version) {
                    (Some(name), _) => Ok(Topic::Name(name.as_str().to_owned())),
                    (None, 12..) => Ok(Topic::Id(topic.topic_id.into_bytes())),
                    (None, _) => Err(ParseError::Value("Topic without a name".into())),
                })
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(super::Request::Metadata(Request {
        topics,
        allow_auto_create: decoded.allow_auto_topic_creation,
    }))
}
