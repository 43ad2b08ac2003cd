//! Consumer groups as clients of every version see them.

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
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::{Broker, Client};

/// One group from its first member to its end, with this version of one API and a middle one of
/// all others; gives false for an API that has nothing to do with groups.
pub(super) async fn served(client: &mut Client, key: i16, version: i16) -> bool {
    if ![8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47].contains(&key) {
        return false;
    }
    let of = |api: i16, usual: i16| if api == key { version } else { usual };
    let group = format!("group-{key}-{version}");
    find(client, of(10, 3), &group).await;
    let joined = join(client, of(11, 5), &group, "").await;
    let member = joined.member_id.as_str();
    assert_eq!(joined.members.len(), 1, "the leader is told of all");
    let generation = joined.generation_id;
    let part = sync(client, of(14, 3), &group, generation, member).await;
    assert_eq!(part, "its part");
    let beat = HeartbeatRequest::default()
        .with_group_id(text(&group).into())
        .with_generation_id(generation)
        .with_member_id(text(member));
    assert_eq!(client.call(of(12, 2), &beat).await.error_code, 0);
    assert_eq!(
        commit(client, of(8, 7), &group, generation, member, 7).await,
        [0, 3]
    );
    assert_eq!(
        commit(client, of(8, 7), &group, generation + 1, member, 9).await,
        [22, 22]
    );
    assert_eq!(
        fetch(client, of(9, 5), &group).await,
        [(7, "words".to_owned()), (-1, String::new())]
    );
    described(client, (of(15, 4), of(16, 3)), &group).await;
    assert_eq!(
        delete(client, of(42, 1), &group).await,
        68,
        "not while it has members"
    );
    leave(client, of(13, 2), &group, member).await;
    assert_eq!(delete_offset(client, of(47, 0), &group).await, 0);
    assert_eq!(fetch(client, of(9, 5), &group).await[0].0, -1);
    assert_eq!(delete(client, of(42, 1), &group).await, 0);
    assert_eq!(delete(client, of(42, 1), &group).await, 69);
    true
}

fn text(words: &str) -> StrBytes {
    StrBytes::from_string(words.to_owned())
}

async fn find(client: &mut Client, version: i16, group: &str) {
    let request = FindCoordinatorRequest::default();
    let request = match version {
        4.. => request.with_coordinator_keys(vec![text(group), text("other")]),
        _ => request.with_key(text(group)),
    };
    let answer = client.call(version, &request).await;
    let (error, port, count) = match version {
        4.. => {
            let first = &answer.coordinators[0];
            assert_eq!(first.key.as_str(), group);
            (first.error_code, first.port, answer.coordinators.len())
        }
        _ => (answer.error_code, answer.port, 2),
    };
    assert_eq!((error, port != 0, count), (0, true, 2), "v{version}");
}

fn join_request(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\0"));
    JoinGroupRequest::default()
        .with_group_id(text(group).into())
        .with_session_timeout_ms(30_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// Joins, twice where the first time only gives an id.
async fn join(client: &mut Client, version: i16, group: &str, member: &str) -> JoinGroupResponse {
    let mut request = join_request(group, member);
    if version >= 1 {
        request = request.with_rebalance_timeout_ms(30_000);
    }
    let mut answer = client.call(version, &request).await;
    if version >= 4 && member.is_empty() {
        assert_eq!(
            (answer.error_code, answer.generation_id),
            (79, -1),
            "v{version}"
        );
        let request = request.with_member_id(answer.member_id);
        answer = client.call(version, &request).await;
    }
    assert_eq!(answer.error_code, 0, "v{version}");
    assert_eq!(
        answer.protocol_name.as_ref().map(|name| name.as_str()),
        Some("range")
    );
    answer
}

async fn sync(
    client: &mut Client,
    version: i16,
    group: &str,
    generation: i32,
    member: &str,
) -> Bytes {
    let part = SyncGroupRequestAssignment::default()
        .with_member_id(text(member))
        .with_assignment(Bytes::from_static(b"its part"));
    let mut request = SyncGroupRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(vec![part]);
    if version >= 5 {
        let wrong = request.clone().with_protocol_name(Some(text("other")));
        assert_eq!(client.call(version, &wrong).await.error_code, 23);
        request = request
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")));
    }
    let answer = client.call(version, &request).await;
    assert_eq!(answer.error_code, 0, "v{version}");
    answer.assignment
}

/// Commits to partition 1, which is there, and to partition 2, which is not.
async fn commit(
    client: &mut Client,
    version: i16,
    group: &str,
    generation: i32,
    member: &str,
    offset: i64,
) -> Vec<i16> {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("words")))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text("events").into())
        .with_partitions(vec![partition(1), partition(2)]);
    let request = OffsetCommitRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(member))
        .with_topics(vec![topic]);
    let answer = client.call(version, &request).await;
    answer.topics[0]
        .partitions
        .iter()
        .map(|partition| partition.error_code)
        .collect()
}

/// Positions in partitions 1 and 2.
async fn fetch(client: &mut Client, version: i16, group: &str) -> Vec<(i64, String)> {
    let name = || text("events").into();
    if version >= 8 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(name())
            .with_partition_indexes(vec![1, 2]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(text(group).into())
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![group]);
        let answer = client.call(version, &request).await;
        let partitions = answer.groups[0].topics[0].partitions.iter();
        return partitions
            .map(|found| (found.committed_offset, words(found.metadata.as_ref())))
            .collect();
    }
    let topic = OffsetFetchRequestTopic::default()
        .with_name(name())
        .with_partition_indexes(vec![1, 2]);
    let request = OffsetFetchRequest::default()
        .with_group_id(text(group).into())
        .with_topics(Some(vec![topic]));
    let answer = client.call(version, &request).await;
    let partitions = answer.topics[0].partitions.iter();
    partitions
        .map(|found| (found.committed_offset, words(found.metadata.as_ref())))
        .collect()
}

fn words(metadata: Option<&StrBytes>) -> String {
    metadata.expect("never null").as_str().to_owned()
}

async fn described(client: &mut Client, (describe, list): (i16, i16), group: &str) {
    let names = vec![text(group).into(), text("nobody").into()];
    let request = DescribeGroupsRequest::default().with_groups(names);
    let answer = client.call(describe, &request).await;
    let states: Vec<_> = answer
        .groups
        .iter()
        .map(|group| (group.error_code, group.group_state.as_str()))
        .collect();
    assert_eq!(states, [(0, "Stable"), (0, "Dead")], "v{describe}");
    let member = &answer.groups[0].members[0];
    assert_eq!(
        (&member.member_assignment[..], member.client_id.as_str()),
        (&b"its part"[..], "tester")
    );
    let mut request = ListGroupsRequest::default();
    if list >= 4 {
        request = request.with_states_filter(vec![text("stable")]);
    }
    let answer = client.call(list, &request).await;
    assert!(
        answer
            .groups
            .iter()
            .any(|listed| listed.group_id.as_str() == group),
        "v{list}"
    );
    if list >= 4 {
        let request = ListGroupsRequest::default().with_states_filter(vec![text("Empty")]);
        let answer = client.call(list, &request).await;
        assert!(
            answer
                .groups
                .iter()
                .all(|listed| listed.group_id.as_str() != group),
            "v{list}"
        );
    }
}

async fn leave(client: &mut Client, version: i16, group: &str, member: &str) {
    let request = LeaveGroupRequest::default().with_group_id(text(group).into());
    let request = match version {
        3.. => {
            let one = |id| MemberIdentity::default().with_member_id(text(id));
            request.with_members(vec![one(member), one("nobody")])
        }
        _ => request.with_member_id(text(member)),
    };
    let answer = client.call(version, &request).await;
    assert_eq!(answer.error_code, 0, "v{version}");
    let errors: Vec<i16> = answer
        .members
        .iter()
        .map(|member| member.error_code)
        .collect();
    assert_eq!(errors, if version >= 3 { vec![0, 25] } else { vec![] });
}

async fn delete_offset(client: &mut Client, version: i16, group: &str) -> i16 {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(1);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(text("events").into())
        .with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default()
        .with_group_id(text(group).into())
        .with_topics(vec![topic]);
    let answer = client.call(version, &request).await;
    assert_eq!(answer.error_code, 0);
    answer.topics[0].partitions[0].error_code
}

async fn delete(client: &mut Client, version: i16, group: &str) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![text(group).into()]);
    client.call(version, &request).await.results[0].error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_waits_keeps_nobody_else_waiting() {
    let broker = Broker::start("");
    let (mut first, mut second) = (broker.client().await, broker.client().await);
    let joined = join(&mut first, 3, "g", "").await;
    let member = joined.member_id.as_str();
    sync(&mut first, 3, "g", joined.generation_id, member).await;
    // The second waits for the first, which does not come.
    second
        .send(3, &join_request("g", "").with_rebalance_timeout_ms(60_000))
        .await;
    let beat = HeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(joined.generation_id)
        .with_member_id(text(member));
    while first.call(3, &beat).await.error_code != 27 {}
    // It goes: nobody is left to wait for, and its place is free.
    drop(second);
    let describe = DescribeGroupsRequest::default().with_groups(vec![text("g").into()]);
    while first.call(2, &describe).await.groups[0].members.len() != 1 {}
    let again = join_request("g", member).with_rebalance_timeout_ms(60_000);
    let joined = first.call(3, &again).await;
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
    // One that waits when the broker stops is told so.
    let mut third = broker.client().await;
    let request = join_request("g", "").with_rebalance_timeout_ms(60_000);
    third.send(3, &request).await;
    let beat = beat.with_generation_id(joined.generation_id);
    while first.call(3, &beat).await.error_code != 27 {}
    broker.stop().await;
    assert_eq!(third.receive::<JoinGroupRequest>(3).await.error_code, 16);
}
