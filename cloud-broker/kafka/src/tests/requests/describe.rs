//! What admin clients and careful consumers ask.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeConfigsRequest, OffsetForLeaderEpochRequest,
};

use super::*;

pub(super) fn epochs(version: i16) -> impl Strategy<Value = Bytes> {
    let partition = any::<[i32; 3]>().prop_map(|[index, current, epoch]| {
        OffsetForLeaderPartition::default()
            .with_partition(index)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch)
    });
    let topic = (text(), vec(partition, 0..4)).prop_map(|(name, partitions)| {
        OffsetForLeaderTopic::default()
            .with_topic(name.into())
            .with_partitions(partitions)
    });
    (vec(topic, 0..4), tags(version >= 4)).prop_map(move |(topics, tags)| {
        let body = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(if version >= 3 { -1 } else { -2 }))
            .with_topics(topics)
            .with_unknown_tagged_fields(tags);
        frame(23, version, &body)
    })
}

pub(super) fn configs(version: i16) -> impl Strategy<Value = Bytes> {
    let keys = option::of(vec(text(), 0..4));
    let resource = (any::<i8>(), text(), keys).prop_map(|(kind, name, keys)| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(name)
            .with_configuration_keys(keys)
    });
    let fields = (vec(resource, 0..4), any::<[bool; 2]>());
    (fields, tags(version >= 4)).prop_map(move |((resources, flags), tags)| {
        let body = DescribeConfigsRequest::default()
            .with_resources(resources)
            .with_include_synonyms(flags[0])
            .with_include_documentation(version >= 3 && flags[1])
            .with_unknown_tagged_fields(tags);
        frame(32, version, &body)
    })
}

pub(super) fn cluster(version: i16) -> impl Strategy<Value = Bytes> {
    (any::<bool>(), any::<i8>(), tags(true)).prop_map(move |(operations, endpoints, tags)| {
        let body = DescribeClusterRequest::default()
            .with_include_cluster_authorized_operations(operations)
            .with_endpoint_type(if version >= 1 { endpoints } else { 1 })
            .with_unknown_tagged_fields(tags);
        frame(60, version, &body)
    })
}

#[test]
fn keys_that_are_asked_arrive() {
    for version in 1..=4 {
        let keys = [None, Some(vec![StrBytes::from_static_str("retention.ms")])];
        let resources = keys.map(|keys| {
            DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(StrBytes::from_static_str("t"))
                .with_configuration_keys(keys)
        });
        let body = DescribeConfigsRequest::default()
            .with_resources(resources.to_vec())
            .with_include_synonyms(true);
        let Request::DescribeConfigs(request) = parse(&frame(32, version, &body)).unwrap().request
        else {
            panic!("not a DescribeConfigs request");
        };
        assert!(request.include_synonyms);
        let [all, one] = &request.resources[..] else {
            panic!("{request:?}");
        };
        assert_eq!((all.kind, all.name.as_str(), &all.keys), (2, "t", &None));
        assert_eq!(one.keys, Some(vec!["retention.ms".to_owned()]));
    }
}
