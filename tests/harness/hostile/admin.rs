//! Kafka requests of administrators, with random fields.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiKey, BrokerId, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, GroupId,
    OffsetDeleteRequest, OffsetForLeaderEpochRequest, RequestKind,
};

use super::bytes::pick;
use super::requests::{GROUPS, OWN_TOPICS, TOPICS, number, text, topic};
use crate::rng::Rng;

const KEYS: &[&str] = &[
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "max.message.bytes",
    "compression.type",
    "min.insync.replicas",
    "message.timestamp.type",
    "segment.bytes",
    "no.such.key",
    "",
];
const VALUES: &[&str] = &[
    "compact",
    "delete",
    "compact,delete",
    "-1",
    "0",
    "1",
    "-2",
    "9223372036854775807",
    "lz4",
    "CreateTime",
    "",
    "x",
];

/// A request, if it is one of these.
pub(super) fn request(random: &mut Rng, api: ApiKey) -> Option<RequestKind> {
    let request = match api {
        ApiKey::CreateTopics => create_topics(random).into(),
        ApiKey::DeleteTopics => DeleteTopicsRequest::default()
            .with_topic_names(vec![topic(pick(random, OWN_TOPICS))])
            .into(),
        ApiKey::DescribeConfigs => describe_configs(random).into(),
        ApiKey::DescribeCluster => DescribeClusterRequest::default().into(),
        ApiKey::OffsetForLeaderEpoch => leader_epochs(random).into(),
        ApiKey::OffsetDelete => offset_delete(random).into(),
        ApiKey::AlterConfigs => alter_configs(random).into(),
        ApiKey::CreatePartitions => {
            let of_topic = CreatePartitionsTopic::default()
                .with_name(topic(pick(random, OWN_TOPICS)))
                .with_count(number(random));
            CreatePartitionsRequest::default()
                .with_topics(vec![of_topic])
                .into()
        }
        _ => return None,
    };
    Some(request)
}

fn create_topics(random: &mut Rng) -> CreateTopicsRequest {
    let one = |random: &mut Rng| {
        let configs = (0..random.below(3)).map(|_| {
            CreatableTopicConfig::default()
                .with_name(text(pick(random, KEYS)))
                .with_value((!random.one_in(8)).then(|| text(pick(random, VALUES))))
        });
        let configs = configs.collect();
        let is_placed = random.one_in(4);
        let count = if is_placed { random.below(3) } else { 0 };
        let places = (0..count).map(|_| {
            CreatableReplicaAssignment::default()
                .with_partition_index(number(random))
                .with_broker_ids(vec![BrokerId(number(random))])
        });
        let places = places.collect();
        CreatableTopic::default()
            .with_name(topic(pick(random, OWN_TOPICS)))
            .with_num_partitions(pick(random, &[1, 2, -1, 0, i32::MAX]))
            .with_replication_factor(pick(random, &[1, -1, 3, 0]))
            .with_assignments(places)
            .with_configs(configs)
    };
    let topics = (0..=random.below(2)).map(|_| one(random)).collect();
    CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(1_000)
        .with_validate_only(random.one_in(4))
}

fn describe_configs(random: &mut Rng) -> DescribeConfigsRequest {
    let resources = (0..=random.below(3)).map(|_| {
        let keys = [text(pick(random, KEYS)), text(pick(random, KEYS))];
        DescribeConfigsResource::default()
            .with_resource_type(pick(random, &[2, 4, 8, 0, -1]))
            .with_resource_name(text(pick(
                random,
                &["events", "t0", "0", "1", "x", "", "nope"],
            )))
            .with_configuration_keys(random.one_in(2).then(|| keys.into()))
    });
    DescribeConfigsRequest::default()
        .with_resources(resources.collect())
        .with_include_synonyms(random.one_in(2))
}

fn leader_epochs(random: &mut Rng) -> OffsetForLeaderEpochRequest {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(number(random))
        .with_current_leader_epoch(number(random))
        .with_leader_epoch(number(random));
    let of_topic = OffsetForLeaderTopic::default()
        .with_topic(topic(pick(random, TOPICS)))
        .with_partitions(vec![partition]);
    OffsetForLeaderEpochRequest::default().with_topics(vec![of_topic])
}

fn offset_delete(random: &mut Rng) -> OffsetDeleteRequest {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(number(random));
    let of_topic = OffsetDeleteRequestTopic::default()
        .with_name(topic(pick(random, TOPICS)))
        .with_partitions(vec![partition]);
    OffsetDeleteRequest::default()
        .with_group_id(GroupId(text(pick(random, GROUPS))))
        .with_topics(vec![of_topic])
}

fn alter_configs(random: &mut Rng) -> AlterConfigsRequest {
    let config = AlterableConfig::default()
        .with_name(text(pick(random, KEYS)))
        .with_value(Some(text(pick(random, VALUES))));
    let resource = AlterConfigsResource::default()
        .with_resource_type(pick(random, &[2, 4]))
        .with_resource_name(text(pick(random, OWN_TOPICS)))
        .with_configs(vec![config]);
    AlterConfigsRequest::default().with_resources(vec![resource])
}
