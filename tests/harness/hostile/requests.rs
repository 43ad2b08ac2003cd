//! Kafka requests with random fields.

use bytes::{Bytes, BytesMut};
use headwater_wire::batch::{BatchBuilder, Producer};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DeleteGroupsRequest, DescribeGroupsRequest, FetchRequest,
    FindCoordinatorRequest, GroupId, HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest, ProduceRequest, RequestKind, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::admin;
use super::bytes::{below, mutate, noise, pick};
use crate::rng::Rng;

/// APIs of which a request is made here, whether the broker speaks them or not.
pub(super) const APIS: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::ApiVersions,
    ApiKey::InitProducerId,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::DeleteGroups,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DescribeConfigs,
    ApiKey::DescribeCluster,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::OffsetDelete,
    ApiKey::AlterConfigs,
    ApiKey::CreatePartitions,
];

pub(super) const TOPICS: &[&str] = &["events", "t0", "t1", "t2", "nope", "__lanes", "", "a b"];
/// Those that may be made and deleted while others need theirs.
pub(super) const OWN_TOPICS: &[&str] = &["t0", "t1", "t2"];
pub(super) const GROUPS: &[&str] = &["g0", "g1", ""];

/// A request, and whether its answer may be long in coming because others are waited for.
pub(super) fn request(random: &mut Rng, api: ApiKey) -> Option<RequestKind> {
    let request = match api {
        ApiKey::Produce => produce(random).into(),
        ApiKey::Fetch => fetch(random).into(),
        ApiKey::ListOffsets => list_offsets(random).into(),
        ApiKey::Metadata => metadata(random).into(),
        ApiKey::ApiVersions => ApiVersionsRequest::default()
            .with_client_software_name(text(pick(random, &["x", "", "bad name"])))
            .with_client_software_version(text("1"))
            .into(),
        ApiKey::InitProducerId => InitProducerIdRequest::default()
            .with_transaction_timeout_ms(number(random))
            .into(),
        _ => return admin::request(random, api).or_else(|| of_group(random, api)),
    };
    Some(request)
}

fn of_group(random: &mut Rng, api: ApiKey) -> Option<RequestKind> {
    let group = GroupId(text(pick(random, GROUPS)));
    let member = text(pick(random, &["", "m1"]));
    let request = match api {
        ApiKey::FindCoordinator => FindCoordinatorRequest::default().with_key(group.0).into(),
        ApiKey::JoinGroup => JoinGroupRequest::default()
            .with_group_id(group)
            .with_member_id(member)
            .with_group_instance_id(random.one_in(4).then(|| text("i1")))
            .with_session_timeout_ms(pick(random, &[6_000, 0, i32::MAX]))
            .with_rebalance_timeout_ms(1_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![
                JoinGroupRequestProtocol::default()
                    .with_name(text("range"))
                    .with_metadata(noise(random, 40).into()),
            ])
            .into(),
        ApiKey::SyncGroup => SyncGroupRequest::default()
            .with_group_id(group)
            .with_assignments(vec![
                SyncGroupRequestAssignment::default()
                    .with_member_id(member.clone())
                    .with_assignment(noise(random, 40).into()),
            ])
            .with_member_id(member)
            .with_generation_id(number(random))
            .into(),
        ApiKey::Heartbeat => HeartbeatRequest::default()
            .with_group_id(group)
            .with_member_id(member)
            .with_generation_id(number(random))
            .into(),
        ApiKey::LeaveGroup => LeaveGroupRequest::default()
            .with_group_id(group)
            .with_member_id(member)
            .into(),
        ApiKey::OffsetCommit => offset_commit(random, group).into(),
        ApiKey::OffsetFetch => {
            let of_topic = OffsetFetchRequestTopic::default()
                .with_name(topic("events"))
                .with_partition_indexes(vec![0, number(random)]);
            OffsetFetchRequest::default()
                .with_group_id(group)
                .with_topics(Some(vec![of_topic]))
                .into()
        }
        ApiKey::DescribeGroups => DescribeGroupsRequest::default()
            .with_groups(vec![group])
            .into(),
        ApiKey::ListGroups => ListGroupsRequest::default().into(),
        ApiKey::DeleteGroups => DeleteGroupsRequest::default()
            .with_groups_names(vec![group])
            .into(),
        _ => return None,
    };
    Some(request)
}

fn produce(random: &mut Rng) -> ProduceRequest {
    let partitions = (0..=random.below(2)).map(|_| {
        PartitionProduceData::default()
            .with_index(number(random))
            .with_records(Some(records(random)))
    });
    let partitions = partitions.collect();
    let data = TopicProduceData::default()
        .with_name(topic(pick(random, TOPICS)))
        .with_partition_data(partitions);
    ProduceRequest::default()
        .with_acks(pick(random, &[-1, -1, 1, 1, 2]))
        .with_timeout_ms(1_000)
        .with_topic_data(vec![data])
}

fn records(random: &mut Rng) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..=random.below(5) {
        let value = noise(random, 200);
        builder
            .push(i64::from(number(random)), Some(b"t/k"), Some(&value), [])
            .expect("a short record");
    }
    let id = i64::try_from(random.below(8)).expect("small");
    let producer = match random.below(3) {
        0 => Producer {
            id,
            epoch: i16::try_from(random.below(3)).expect("small"),
            base_sequence: i32::try_from(random.below(20)).expect("small"),
        },
        _ => Producer::NONE,
    };
    let mut batch = Vec::new();
    builder.finish_into(producer, &mut batch);
    match random.below(6) {
        0 => mutate(random, &mut batch),
        1 => batch = noise(random, 100),
        _ => {}
    }
    batch.into()
}

fn fetch(random: &mut Rng) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(number(random))
        .with_fetch_offset(i64::from(number(random)))
        .with_partition_max_bytes(pick(random, &[1 << 20, 0, -1, i32::MAX]));
    let of_topic = FetchTopic::default()
        .with_topic(topic(pick(random, TOPICS)))
        .with_partitions(vec![partition; 1 + below(random, 3)]);
    FetchRequest::default()
        .with_max_wait_ms(pick(random, &[0, 1, 20]))
        .with_min_bytes(pick(random, &[0, 1, i32::MAX]))
        .with_max_bytes(pick(random, &[1 << 20, 0, -1]))
        .with_topics(vec![of_topic])
}

fn list_offsets(random: &mut Rng) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(number(random))
        .with_timestamp(pick(random, &[-1, -2, -3, 0, i64::MAX]));
    let of_topic = ListOffsetsTopic::default()
        .with_name(topic(pick(random, TOPICS)))
        .with_partitions(vec![partition]);
    ListOffsetsRequest::default().with_topics(vec![of_topic])
}

fn metadata(random: &mut Rng) -> MetadataRequest {
    let named = |name: &str| MetadataRequestTopic::default().with_name(Some(topic(name)));
    let topics = match random.below(3) {
        0 => None,
        1 => Some(vec![named(pick(random, OWN_TOPICS))]),
        _ => Some(vec![named(pick(random, TOPICS))]),
    };
    MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(random.one_in(2))
}

fn offset_commit(random: &mut Rng, group: GroupId) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(number(random))
        .with_committed_offset(i64::from(number(random)));
    let of_topic = OffsetCommitRequestTopic::default()
        .with_name(topic("events"))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group)
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![of_topic])
}

/// A small number, or one that is none.
pub(super) fn number(random: &mut Rng) -> i32 {
    pick(random, &[0, 0, 1, 2, 3, -1, -2, i32::MAX, i32::MIN])
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The frame of a request, or `None` if a field is not of this version.
pub(super) fn frame(
    request: &RequestKind,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
) -> Option<Vec<u8>> {
    use kafka_protocol::protocol::Encodable;

    let header = kafka_protocol::messages::RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(text("h")));
    let mut body = BytesMut::new();
    header
        .encode(&mut body, api.request_header_version(version))
        .ok()?;
    request.encode(&mut body, version).ok()?;
    let mut frame = u32::try_from(body.len()).ok()?.to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    Some(frame)
}
