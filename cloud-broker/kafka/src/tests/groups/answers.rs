//! Answers in every version.

use bytes::Bytes;
use kafka_protocol::messages::{
    DeleteGroupsResponse, DescribeGroupsResponse, FindCoordinatorResponse, HeartbeatResponse,
    JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse, OffsetCommitResponse,
    OffsetDeleteResponse, OffsetFetchResponse, SyncGroupResponse,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::responses::{error, text, through, versions};
use super::bytes;
use crate::{
    ErrorCode, Response, delete_groups, describe_groups, find_coordinator, heartbeat, join_group,
    leave_group, list_groups, offset_commit, offset_delete, offset_fetch, sync_group,
};

/// By topic and partition, a number and an error.
fn coded() -> impl Strategy<Value = Vec<(String, Vec<(i32, ErrorCode)>)>> {
    vec((text(), vec((any::<i32>(), error()), 0..4)), 0..4)
}

fn member() -> impl Strategy<Value = describe_groups::Member> {
    let words = (text(), option::of(text()), text(), text());
    (words, bytes(), bytes()).prop_map(
        |((id, instance, client_id, client_host), metadata, assignment)| describe_groups::Member {
            id,
            instance,
            client_id,
            client_host,
            metadata,
            assignment,
        },
    )
}

fn joined() -> impl Strategy<Value = join_group::Response> {
    let member = (text(), option::of(text()), bytes());
    let member = member.prop_map(|(id, instance, metadata)| join_group::Member {
        id,
        instance,
        metadata,
    });
    let words = (option::of(text()), option::of(text()), text(), text());
    (
        error(),
        any::<i32>(),
        words,
        any::<bool>(),
        vec(member, 0..4),
    )
        .prop_map(
            |(
                error,
                generation,
                (protocol_type, protocol, leader, member),
                skip_assignment,
                members,
            )| join_group::Response {
                error,
                generation,
                protocol_type,
                protocol,
                leader,
                skip_assignment,
                member,
                members,
            },
        )
}

fn fetched() -> impl Strategy<Value = offset_fetch::Response> {
    let numbers = (any::<i32>(), any::<i64>(), any::<i32>(), text(), error());
    let partition = numbers.prop_map(|(index, offset, leader_epoch, metadata, error)| {
        offset_fetch::Partition {
            index,
            offset,
            leader_epoch,
            metadata,
            error,
        }
    });
    let topics = vec((text(), vec(partition, 0..4)), 0..4);
    let group = (text(), error(), topics);
    let group = group.prop_map(|(name, error, topics)| offset_fetch::GroupResponse {
        name,
        error,
        topics,
    });
    vec(group, 1..3).prop_map(|groups| offset_fetch::Response { groups })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn join_reads_back(sent in joined()) {
        for version in versions(11) {
            let read: JoinGroupResponse = through(11, version, &Response::JoinGroup(sent.clone()));
            prop_assert_eq!((read.error_code, read.generation_id), (sent.error.0, sent.generation));
            prop_assert_eq!((read.leader.as_str(), read.member_id.as_str()), (sent.leader.as_str(), sent.member.as_str()));
            prop_assert_eq!(read.skip_assignment, sent.skip_assignment && version >= 9);
            let protocol = sent.protocol.as_deref().or_else(|| (version < 7).then_some(""));
            prop_assert_eq!(read.protocol_name.as_ref().map(|name| name.as_str()), protocol);
            for (read, sent) in read.members.iter().zip(&sent.members) {
                let instance = sent.instance.as_deref().filter(|_| version >= 5);
                prop_assert_eq!(read.group_instance_id.as_ref().map(|name| name.as_str()), instance);
                prop_assert_eq!(&read.metadata, &sent.metadata);
            }
        }
    }

    #[test]
    fn sync_reads_back(error in error(), protocol in option::of(text()), assignment in bytes()) {
        let sent = sync_group::Response { error, protocol_type: protocol.clone(), protocol, assignment };
        for version in versions(14) {
            let read: SyncGroupResponse = through(14, version, &Response::SyncGroup(sent.clone()));
            prop_assert_eq!((read.error_code, &read.assignment), (error.0, &sent.assignment));
            prop_assert_eq!(read.protocol_name.is_some(), version >= 5 && sent.protocol.is_some());
        }
    }

    #[test]
    fn offset_fetch_reads_back(sent in fetched()) {
        for version in versions(9) {
            let read: OffsetFetchResponse = through(9, version, &Response::OffsetFetch(sent.clone()));
            if version >= 8 {
                prop_assert_eq!(read.groups.len(), sent.groups.len());
                for (read, sent) in read.groups.iter().zip(&sent.groups) {
                    prop_assert_eq!(read.error_code, sent.error.0);
                    let found = read.topics.iter().flat_map(|t| &t.partitions);
                    let found = found.map(|p| (p.partition_index, p.committed_offset, p.committed_leader_epoch, p.error_code));
                    let sent = sent.topics.iter().flat_map(|(_, partitions)| partitions);
                    prop_assert!(found.eq(sent.map(|p| (p.index, p.offset, p.leader_epoch, p.error.0))));
                }
                continue;
            }
            let sent = &sent.groups[0];
            prop_assert_eq!(read.error_code, if version >= 2 { sent.error.0 } else { 0 });
            let down = (version < 2 && sent.error.0 != 0).then_some(sent.error.0);
            let found = read.topics.iter().flat_map(|t| &t.partitions);
            let found = found.map(|p| (p.partition_index, p.committed_offset, p.error_code));
            let sent = sent.topics.iter().flat_map(|(_, partitions)| partitions);
            prop_assert!(found.eq(sent.map(|p| (p.index, p.offset, down.unwrap_or(p.error.0)))));
        }
    }

    #[test]
    fn commits_and_deletions_read_back(topics in coded(), error in error()) {
        let expected: Vec<_> = topics.iter().flat_map(|(_, all)| all.iter().map(|(index, error)| (*index, error.0))).collect();
        for version in versions(8) {
            let sent = offset_commit::Response { topics: topics.clone() };
            let read: OffsetCommitResponse = through(8, version, &Response::OffsetCommit(sent));
            let found = read.topics.iter().flat_map(|t| &t.partitions).map(|p| (p.partition_index, p.error_code));
            prop_assert!(found.eq(expected.iter().copied()));
        }
        let sent = offset_delete::Response { error, topics };
        let read: OffsetDeleteResponse = through(47, 0, &Response::OffsetDelete(sent));
        let found = read.topics.iter().flat_map(|t| &t.partitions).map(|p| (p.partition_index, p.error_code));
        prop_assert!(found.eq(expected.iter().copied()));
        prop_assert_eq!(read.error_code, error.0);
    }

    #[test]
    fn leave_and_heartbeat_read_back(error in error(), of_member in error(), id in text(), instance in option::of(text())) {
        let member = leave_group::Member { id, instance };
        let sent = leave_group::Response { error, members: vec![(member.clone(), of_member)] };
        for version in versions(13) {
            let read: LeaveGroupResponse = through(13, version, &Response::LeaveGroup(sent.clone()));
            if version >= 3 {
                prop_assert_eq!((read.error_code, read.members[0].error_code), (error.0, of_member.0));
                prop_assert_eq!(read.members[0].member_id.as_str(), member.id.as_str());
            } else {
                let whole = if error.is_none() { of_member } else { error };
                prop_assert_eq!(read.error_code, whole.0);
            }
        }
        for version in versions(12) {
            let read: HeartbeatResponse = through(12, version, &Response::Heartbeat(heartbeat::Response { error }));
            prop_assert_eq!(read.error_code, error.0);
        }
    }

    #[test]
    fn coordinators_read_back(keys in vec(text(), 1..4), error in error(), port in any::<u16>()) {
        let found = |key: &String| find_coordinator::Coordinator {
            key: key.clone(), error, node_id: 3, host: "host".into(), port: i32::from(port),
        };
        let sent = find_coordinator::Response { coordinators: keys.iter().map(found).collect() };
        for version in versions(10) {
            let read: FindCoordinatorResponse = through(10, version, &Response::FindCoordinator(sent.clone()));
            if version >= 4 {
                prop_assert_eq!(read.coordinators.len(), keys.len());
                prop_assert!(read.coordinators.iter().all(|one| (one.error_code, one.port) == (error.0, i32::from(port))));
            } else {
                prop_assert_eq!((read.error_code, read.node_id.0, read.port), (error.0, 3, i32::from(port)));
            }
        }
    }

    #[test]
    fn lists_and_descriptions_read_back(name in text(), error in error(), members in vec(member(), 0..4)) {
        let listed = list_groups::Group { name: name.clone(), protocol_type: "consumer".into(), state: "Stable".into() };
        for version in versions(16) {
            let sent = list_groups::Response { error, groups: vec![listed.clone()] };
            let read: ListGroupsResponse = through(16, version, &Response::ListGroups(sent));
            prop_assert_eq!((read.error_code, read.groups[0].group_id.as_str()), (error.0, name.as_str()));
            prop_assert_eq!(read.groups[0].group_state.as_str(), if version >= 4 { "Stable" } else { "" });
            prop_assert_eq!(read.groups[0].group_type.as_str(), if version >= 5 { "classic" } else { "" });
        }
        let group = describe_groups::Group {
            error, name: name.clone(), state: "Stable".into(), protocol_type: "consumer".into(),
            protocol: "range".into(), members: members.clone(),
        };
        for version in versions(15) {
            let sent = describe_groups::Response { groups: vec![group.clone()] };
            let read: DescribeGroupsResponse = through(15, version, &Response::DescribeGroups(sent));
            let read = &read.groups[0];
            prop_assert_eq!((read.protocol_data.as_str(), read.members.len()), ("range", members.len()));
            let parts = |part: (&Bytes, &Bytes)| (part.0.clone(), part.1.clone());
            let found = read.members.iter().map(|m| parts((&m.member_metadata, &m.member_assignment)));
            prop_assert!(found.eq(members.iter().map(|m| parts((&m.metadata, &m.assignment)))));
        }
        for version in versions(42) {
            let sent = delete_groups::Response { groups: vec![(name.clone(), error)] };
            let read: DeleteGroupsResponse = through(42, version, &Response::DeleteGroups(sent));
            prop_assert_eq!(read.results[0].error_code, error.0);
        }
    }
}
