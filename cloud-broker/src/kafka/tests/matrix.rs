//! Every API in every version that is announced: asked, answered, understood, and right.

use headwater_kafka::APIS;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Broker, Client, batch, groups, produce_request};

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_every_api_is_served() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    client.append("events", 0, batch(1000, 10)).await;
    let id = Uuid::from_bytes(broker.stream("events").id);
    let mut appended = 10;
    for api in APIS {
        for version in api.served_min..=api.max {
            match api.key {
                0 => appended += produce(&mut client, version, appended).await,
                1 => fetch(&mut client, version, id).await,
                2 => list_offsets(&mut client, version).await,
                3 => metadata(&mut client, version, id).await,
                18 => api_versions(&mut client, version).await,
                19 => create_topics(&mut client, version).await,
                20 => delete_topics(&mut client, version).await,
                23 => offset_for_leader_epoch(&mut client, version).await,
                32 => describe_configs(&mut client, version).await,
                60 => describe_cluster(&mut client, version).await,
                22 => init_producer_id(&mut client, version).await,
                key => assert!(
                    groups::served(&mut client, key, version).await,
                    "API {key} is not in the matrix"
                ),
            }
        }
    }
    broker.stop().await;
}

async fn produce(client: &mut Client, version: i16, end: i64) -> i64 {
    let request = produce_request("events", 0, batch(2000, 3));
    let answer = client.call(version, &request).await;
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!(
        (partition.error_code, partition.base_offset),
        (0, end),
        "v{version}"
    );
    assert_eq!(partition.log_append_time_ms, -1);
    3
}

async fn fetch(client: &mut Client, version: i16, id: Uuid) {
    let partition = FetchPartition::default()
        .with_partition_max_bytes(1 << 20)
        .with_fetch_offset(5);
    let topic = FetchTopic::default().with_partitions(vec![partition]);
    let topic = match version {
        13.. => topic.with_topic_id(id),
        _ => topic.with_topic(StrBytes::from_static_str("events").into()),
    };
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_topics(vec![topic]);
    let answer = client.call(version, &request).await;
    assert_eq!((answer.error_code, answer.session_id), (0, 0), "v{version}");
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0, "v{version}");
    assert!(partition.high_watermark >= 10);
    assert_eq!(partition.high_watermark, partition.last_stable_offset);
    assert_eq!(
        partition.log_start_offset,
        if version >= 5 { 0 } else { -1 }
    );
    let records = partition.records.as_ref().expect("never null");
    assert_eq!(
        records[..8],
        0i64.to_be_bytes(),
        "the batch that contains the offset"
    );
}

async fn list_offsets(client: &mut Client, version: i16) {
    for (timestamp, offset) in [(-2, 0), (1004, 4), (1 << 50, -1)] {
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(StrBytes::from_static_str("events").into())
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let answer = client.call(version, &request).await;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(
            (partition.error_code, partition.offset),
            (0, offset),
            "v{version}"
        );
    }
}

async fn metadata(client: &mut Client, version: i16, id: Uuid) {
    let name = Some(StrBytes::from_static_str("events").into());
    let topic = MetadataRequestTopic::default().with_name(name);
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let answer = client.call(version, &request).await;
    let topic = &answer.topics[0];
    assert_eq!(
        (topic.error_code, topic.partitions.len()),
        (0, 2),
        "v{version}"
    );
    assert_eq!(topic.topic_id == id, version >= 10, "v{version}");
    assert_eq!(topic.partitions[0].isr_nodes.len(), 1);
    assert_eq!(answer.controller_id.0, if version >= 1 { 0 } else { -1 });
    assert_eq!(answer.cluster_id.is_some(), version >= 2);
}

async fn api_versions(client: &mut Client, version: i16) {
    let request = match version {
        3.. => ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("tester"))
            .with_client_software_version(StrBytes::from_static_str("1.0")),
        _ => ApiVersionsRequest::default(),
    };
    let answer = client.call(version, &request).await;
    assert_eq!(
        (answer.error_code, answer.api_keys.len()),
        (0, APIS.len()),
        "v{version}"
    );
}

fn name_of(version: i16) -> StrBytes {
    StrBytes::from_string(format!("made-{version}"))
}

async fn create_topics(client: &mut Client, version: i16) {
    let topic = CreatableTopic::default()
        .with_name(name_of(version).into())
        .with_num_partitions(2)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    for error in [0, 36] {
        let answer = client.call(version, &request).await;
        let made = &answer.topics[0];
        assert_eq!(made.error_code, error, "v{version}");
        assert_eq!(made.error_message.is_some(), error != 0, "v{version}");
        let has_id = version >= 7 && error == 0;
        assert_eq!(!made.topic_id.is_nil(), has_id, "v{version}");
    }
}

/// Of what was made in the same version, or in the next: there is no creation in version 1.
async fn delete_topics(client: &mut Client, version: i16) {
    let name = name_of(version + 1);
    let request = match version {
        6.. => {
            let topic = DeleteTopicState::default().with_name(Some(name.into()));
            DeleteTopicsRequest::default().with_topics(vec![topic])
        }
        _ => DeleteTopicsRequest::default().with_topic_names(vec![name.into()]),
    };
    for error in [0, 3] {
        let answer = client.call(version, &request).await;
        assert_eq!(answer.responses[0].error_code, error, "v{version}");
    }
}

async fn init_producer_id(client: &mut Client, version: i16) {
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let first = client.call(version, &request).await;
    let second = client.call(version, &request).await;
    assert_eq!(
        (first.error_code, first.producer_epoch),
        (0, 0),
        "v{version}"
    );
    assert!(first.producer_id.0 >= 0 && first.producer_id != second.producer_id);
    let name = Some(StrBytes::from_static_str("t").into());
    let transactional = request.with_transactional_id(name);
    let refused = client.call(version, &transactional).await;
    assert_eq!(
        (refused.error_code, refused.producer_id.0),
        (53, -1),
        "v{version}"
    );
}

async fn offset_for_leader_epoch(client: &mut Client, version: i16) {
    for (epoch, found) in [(1, (1, true)), (0, (-1, false)), (2, (-1, false))] {
        let partition = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(-1)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(StrBytes::from_static_str("events").into())
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topic]);
        let answer = client.call(version, &request).await;
        let end = &answer.topics[0].partitions[0];
        assert_eq!(end.error_code, 0, "v{version}");
        assert_eq!(
            (end.leader_epoch, end.end_offset >= 10),
            found,
            "v{version}"
        );
    }
}

async fn describe_configs(client: &mut Client, version: i16) {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("table"))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    let answer = client.call(version, &request).await;
    let policy = &answer.results[0].configs[0];
    assert_eq!(policy.name.as_str(), "cleanup.policy");
    assert_eq!(policy.value.as_deref(), Some("compact"), "v{version}");
    assert_eq!((policy.config_source, policy.synonyms.len()), (1, 2));
}

async fn describe_cluster(client: &mut Client, version: i16) {
    let request = DescribeClusterRequest::default().with_endpoint_type(1);
    let answer = client.call(version, &request).await;
    assert_eq!(
        (answer.error_code, answer.controller_id.0),
        (0, 0),
        "v{version}"
    );
    assert_eq!((answer.cluster_id.len(), answer.brokers.len()), (22, 1));
}
