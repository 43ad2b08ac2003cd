//! The APIs of consumer groups: what clients send, and what they read of the answers.

mod answers;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::frame;
use super::requests::{tags, text};
use crate::{Request, parse};

/// Any request of one of these APIs in a version served; none for another API.
pub(super) fn of_version(key: i16, version: i16) -> Option<BoxedStrategy<Bytes>> {
    Some(match key {
        8 => offset_commit(version).boxed(),
        9 => offset_fetch(version).boxed(),
        10 => find_coordinator(version).boxed(),
        11 => join_group(version).boxed(),
        12 => heartbeat(version).boxed(),
        13 => leave_group(version).boxed(),
        14 => sync_group(version).boxed(),
        15 => describe_groups(version).boxed(),
        16 => list_groups(version).boxed(),
        42 => delete_groups(version).boxed(),
        47 => offset_delete().boxed(),
        _ => return None,
    })
}

/// How many things the decoder built; 0 for another API.
pub(super) fn elements(request: &Request) -> usize {
    match request {
        Request::OffsetCommit(it) => it.topics.iter().map(|t| 1 + t.partitions.len()).sum(),
        Request::OffsetFetch(it) => {
            let topics = |group: &crate::offset_fetch::Group| {
                let topics = group.topics.iter().flatten();
                topics
                    .map(|(_, partitions)| 1 + partitions.len())
                    .sum::<usize>()
            };
            it.groups.iter().map(topics).sum()
        }
        Request::FindCoordinator(it) => it.keys.len().saturating_sub(1),
        Request::JoinGroup(it) => it.protocols.len(),
        Request::LeaveGroup(it) => it.members.len().saturating_sub(1),
        Request::SyncGroup(it) => it.assignments.len(),
        Request::DescribeGroups(it) => it.groups.len(),
        Request::ListGroups(it) => it.states.len() + it.types.len(),
        Request::DeleteGroups(it) => it.groups.len(),
        Request::OffsetDelete(it) => it.topics.iter().map(|(_, p)| 1 + p.len()).sum(),
        _ => 0,
    }
}

/// Names and partitions.
type Topics = Vec<(StrBytes, Vec<i32>)>;

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..100).prop_map(Bytes::from)
}

/// A static member's name, in versions that have it.
fn instance(has: bool) -> impl Strategy<Value = Option<StrBytes>> {
    option::of(text()).prop_map(move |name| name.filter(|_| has))
}

fn offset_commit(version: i16) -> impl Strategy<Value = Bytes> {
    let numbers = (any::<i32>(), any::<i64>(), any::<i32>(), option::of(text()));
    let partition = numbers.prop_map(move |(index, offset, epoch, metadata)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(if version >= 6 { epoch } else { -1 })
            .with_committed_metadata(metadata)
    });
    let topic = (text(), vec(partition, 0..4)).prop_map(|(name, partitions)| {
        OffsetCommitRequestTopic::default()
            .with_name(name.into())
            .with_partitions(partitions)
    });
    let fields = (
        text(),
        any::<i32>(),
        text(),
        instance(version >= 7),
        vec(topic, 0..4),
    );
    (fields, tags(version >= 8)).prop_map(
        move |((group, generation, member, instance, topics), tags)| {
            let body = OffsetCommitRequest::default()
                .with_group_id(group.into())
                .with_generation_id_or_member_epoch(generation)
                .with_member_id(member)
                .with_group_instance_id(instance)
                .with_topics(topics)
                .with_unknown_tagged_fields(tags);
            frame(8, version, &body)
        },
    )
}

fn offset_fetch(version: i16) -> impl Strategy<Value = Bytes> {
    let topics = option::of(vec((text(), vec(any::<i32>(), 0..4)), 0..3));
    let groups = vec((text(), topics, any::<i32>()), 1..3);
    (groups, any::<bool>(), tags(version >= 6)).prop_map(move |(groups, stable, tags)| {
        let mut body = OffsetFetchRequest::default()
            .with_require_stable(stable && version >= 7)
            .with_unknown_tagged_fields(tags);
        if version >= 8 {
            let group = |(name, topics, epoch): (StrBytes, Option<Topics>, i32)| {
                let topic = |(name, partitions): (StrBytes, Vec<i32>)| {
                    OffsetFetchRequestTopics::default()
                        .with_name(name.into())
                        .with_partition_indexes(partitions)
                };
                OffsetFetchRequestGroup::default()
                    .with_group_id(name.into())
                    .with_member_epoch(if version >= 9 { epoch } else { -1 })
                    .with_topics(topics.map(|all| all.into_iter().map(topic).collect()))
            };
            body = body.with_groups(groups.into_iter().map(group).collect());
        } else {
            let (name, topics, _) = groups[0].clone();
            let topic = |(name, partitions): (StrBytes, Vec<i32>)| {
                OffsetFetchRequestTopic::default()
                    .with_name(name.into())
                    .with_partition_indexes(partitions)
            };
            let topics = topics.map(|all| all.into_iter().map(topic).collect());
            let topics = topics.or_else(|| (version == 1).then(Vec::new));
            body = body.with_group_id(name.into()).with_topics(topics);
        }
        frame(9, version, &body)
    })
}

fn find_coordinator(version: i16) -> impl Strategy<Value = Bytes> {
    (vec(text(), 1..5), any::<i8>(), tags(version >= 3)).prop_map(move |(keys, kind, tags)| {
        let body = FindCoordinatorRequest::default()
            .with_key_type(if version >= 1 { kind } else { 0 })
            .with_unknown_tagged_fields(tags);
        let body = match version {
            4.. => body.with_coordinator_keys(keys),
            _ => body.with_key(keys[0].clone()),
        };
        frame(10, version, &body)
    })
}

fn join_group(version: i16) -> impl Strategy<Value = Bytes> {
    let protocol = (text(), bytes()).prop_map(|(name, metadata)| {
        JoinGroupRequestProtocol::default()
            .with_name(name)
            .with_metadata(metadata)
    });
    let words = (text(), text(), text(), instance(version >= 5));
    let fields = (words, any::<i32>(), vec(protocol, 0..4), option::of(text()));
    (fields, tags(version >= 6)).prop_map(move |((words, ms, protocols, reason), tags)| {
        let (group, member, protocol_type, instance) = words;
        let body = JoinGroupRequest::default()
            .with_group_id(group.into())
            .with_session_timeout_ms(ms)
            .with_rebalance_timeout_ms(if version >= 1 { ms } else { -1 })
            .with_member_id(member)
            .with_group_instance_id(instance)
            .with_protocol_type(protocol_type)
            .with_protocols(protocols)
            .with_reason(reason.filter(|_| version >= 8))
            .with_unknown_tagged_fields(tags);
        frame(11, version, &body)
    })
}

fn heartbeat(version: i16) -> impl Strategy<Value = Bytes> {
    let fields = (text(), any::<i32>(), text(), instance(version >= 3));
    (fields, tags(version >= 4)).prop_map(move |((group, generation, member, instance), tags)| {
        let body = HeartbeatRequest::default()
            .with_group_id(group.into())
            .with_generation_id(generation)
            .with_member_id(member)
            .with_group_instance_id(instance)
            .with_unknown_tagged_fields(tags);
        frame(12, version, &body)
    })
}

fn leave_group(version: i16) -> impl Strategy<Value = Bytes> {
    let member = (text(), instance(true), option::of(text()));
    let member = member.prop_map(move |(id, instance, reason)| {
        MemberIdentity::default()
            .with_member_id(id)
            .with_group_instance_id(instance)
            .with_reason(reason.filter(|_| version >= 5))
    });
    (text(), text(), vec(member, 0..4), tags(version >= 4)).prop_map(
        move |(group, id, members, tags)| {
            let body = LeaveGroupRequest::default()
                .with_group_id(group.into())
                .with_unknown_tagged_fields(tags);
            let body = match version {
                3.. => body.with_members(members),
                _ => body.with_member_id(id),
            };
            frame(13, version, &body)
        },
    )
}

fn sync_group(version: i16) -> impl Strategy<Value = Bytes> {
    let part = (text(), bytes()).prop_map(|(id, assignment)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(id)
            .with_assignment(assignment)
    });
    let words = (
        text(),
        text(),
        instance(version >= 3),
        instance(version >= 5),
    );
    let fields = (words, any::<i32>(), vec(part, 0..4));
    (fields, tags(version >= 4)).prop_map(move |((words, generation, parts), tags)| {
        let (group, member, instance, protocol) = words;
        let body = SyncGroupRequest::default()
            .with_group_id(group.into())
            .with_generation_id(generation)
            .with_member_id(member)
            .with_group_instance_id(instance)
            .with_protocol_type(protocol.clone())
            .with_protocol_name(protocol)
            .with_assignments(parts)
            .with_unknown_tagged_fields(tags);
        frame(14, version, &body)
    })
}

fn describe_groups(version: i16) -> impl Strategy<Value = Bytes> {
    (vec(text(), 0..5), any::<bool>(), tags(version >= 5)).prop_map(move |(groups, ask, tags)| {
        let body = DescribeGroupsRequest::default()
            .with_groups(groups.into_iter().map(Into::into).collect())
            .with_include_authorized_operations(ask && version >= 3)
            .with_unknown_tagged_fields(tags);
        frame(15, version, &body)
    })
}

fn list_groups(version: i16) -> impl Strategy<Value = Bytes> {
    (vec(text(), 0..3), vec(text(), 0..3), tags(version >= 3)).prop_map(
        move |(states, types, tags)| {
            let body = ListGroupsRequest::default()
                .with_states_filter(if version >= 4 { states } else { Vec::new() })
                .with_types_filter(if version >= 5 { types } else { Vec::new() })
                .with_unknown_tagged_fields(tags);
            frame(16, version, &body)
        },
    )
}

fn delete_groups(version: i16) -> impl Strategy<Value = Bytes> {
    (vec(text(), 0..5), tags(version >= 2)).prop_map(move |(groups, tags)| {
        let body = DeleteGroupsRequest::default()
            .with_groups_names(groups.into_iter().map(Into::into).collect())
            .with_unknown_tagged_fields(tags);
        frame(42, version, &body)
    })
}

fn offset_delete() -> impl Strategy<Value = Bytes> {
    let partition = any::<i32>()
        .prop_map(|index| OffsetDeleteRequestPartition::default().with_partition_index(index));
    let topic = (text(), vec(partition, 0..4)).prop_map(|(name, partitions)| {
        OffsetDeleteRequestTopic::default()
            .with_name(name.into())
            .with_partitions(partitions)
    });
    (text(), vec(topic, 0..3)).prop_map(|(group, topics)| {
        let body = OffsetDeleteRequest::default()
            .with_group_id(group.into())
            .with_topics(topics);
        frame(47, 0, &body)
    })
}

#[test]
fn values_arrive_where_they_belong() {
    for version in 0..=9 {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::from_static(b"topics"));
        let mut body = JoinGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_session_timeout_ms(10)
            .with_member_id(StrBytes::from_static_str("m"))
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        if version >= 1 {
            body = body.with_rebalance_timeout_ms(20);
        }
        if version >= 5 {
            body = body.with_group_instance_id(Some(StrBytes::from_static_str("")));
        }
        let Request::JoinGroup(join) = parse(&frame(11, version, &body)).unwrap().request else {
            panic!("not a JoinGroup request");
        };
        let words = (
            join.group.as_str(),
            join.member.as_str(),
            join.protocol_type.as_str(),
        );
        assert_eq!(words, ("g", "m", "consumer"));
        let rebalance = if version >= 1 { 20 } else { 10 };
        assert_eq!(
            (join.session_timeout_ms, join.rebalance_timeout_ms),
            (10, rebalance)
        );
        assert_eq!(join.instance, None, "an empty name is none");
        assert_eq!(
            join.protocols,
            [("range".to_owned(), Bytes::from_static(b"topics"))]
        );
    }
}
