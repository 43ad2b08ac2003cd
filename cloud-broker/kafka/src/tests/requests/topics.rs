//! Topics that are made and deleted.

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};

use super::*;
use crate::metadata;

pub(super) fn create(version: i16) -> impl Strategy<Value = Bytes> {
    let assignment = (any::<i32>(), vec(any::<i32>(), 0..4)).prop_map(|(index, brokers)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(brokers.into_iter().map(BrokerId).collect())
    });
    let config = (text(), option::of(text())).prop_map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(name)
            .with_value(value)
    });
    let parts = (vec(assignment, 0..3), vec(config, 0..4));
    let topic = (text(), any::<i32>(), any::<i16>(), parts);
    let topic = topic.prop_map(|(name, partitions, copies, (assignments, configs))| {
        CreatableTopic::default()
            .with_name(name.into())
            .with_num_partitions(partitions)
            .with_replication_factor(copies)
            .with_assignments(assignments)
            .with_configs(configs)
    });
    let fields = (vec(topic, 0..4), any::<i32>(), any::<bool>());
    (fields, tags(version >= 5)).prop_map(move |((topics, timeout_ms, validate), tags)| {
        let body = CreateTopicsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(timeout_ms)
            .with_validate_only(validate)
            .with_unknown_tagged_fields(tags);
        frame(19, version, &body)
    })
}

pub(super) fn delete(version: i16) -> impl Strategy<Value = Bytes> {
    let topics = vec((text(), any::<u128>(), any::<bool>()), 0..5);
    (topics, any::<i32>(), tags(version >= 4)).prop_map(move |(topics, timeout_ms, tags)| {
        let body = DeleteTopicsRequest::default()
            .with_timeout_ms(timeout_ms)
            .with_unknown_tagged_fields(tags);
        let state = |(name, id, by_id): (StrBytes, u128, bool)| {
            let state = DeleteTopicState::default();
            match by_id {
                true => state.with_name(None).with_topic_id(Uuid::from_u128(id)),
                false => state.with_name(Some(name.into())),
            }
        };
        let body = match version {
            6.. => body.with_topics(topics.into_iter().map(state).collect()),
            _ => body.with_topic_names(topics.into_iter().map(|(name, ..)| name.into()).collect()),
        };
        frame(20, version, &body)
    })
}

#[test]
fn what_is_to_be_made_arrives() {
    for version in 2..=7 {
        let assignment = CreatableReplicaAssignment::default()
            .with_partition_index(1)
            .with_broker_ids(vec![BrokerId(2), BrokerId(3)]);
        let config = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("k"))
            .with_value(None);
        let topic = CreatableTopic::default()
            .with_name(StrBytes::from_static_str("t").into())
            .with_num_partitions(-1)
            .with_replication_factor(3)
            .with_assignments(vec![assignment])
            .with_configs(vec![config]);
        let body = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_validate_only(true);
        let Request::CreateTopics(request) = parse(&frame(19, version, &body)).unwrap().request
        else {
            panic!("not a CreateTopics request");
        };
        let topic = &request.topics[0];
        assert_eq!((topic.name.as_str(), request.validate_only), ("t", true));
        assert_eq!((topic.partitions, topic.replication_factor), (-1, 3));
        let place = &topic.assignments[0];
        assert_eq!((place.partition, &place.brokers[..]), (1, &[2, 3][..]));
        assert_eq!(topic.configs, [("k".to_owned(), None)]);
    }
}

#[test]
fn what_is_to_be_deleted_arrives() {
    for version in 1..=6 {
        let name = StrBytes::from_static_str("t");
        let by_id = DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(Uuid::from_u128(9));
        let by_name = DeleteTopicState::default().with_name(Some(name.clone().into()));
        let body = match version {
            6.. => DeleteTopicsRequest::default().with_topics(vec![by_name, by_id]),
            _ => DeleteTopicsRequest::default().with_topic_names(vec![name.into()]),
        };
        let Request::DeleteTopics(request) = parse(&frame(20, version, &body)).unwrap().request
        else {
            panic!("not a DeleteTopics request");
        };
        assert_eq!(request.topics[0], metadata::Topic::Name("t".to_owned()));
        let id = Uuid::from_u128(9).into_bytes();
        let second = (version >= 6).then_some(metadata::Topic::Id(id));
        assert_eq!(request.topics.get(1), second.as_ref());
    }
    let both = DeleteTopicState::default()
        .with_name(Some(StrBytes::from_static_str("t").into()))
        .with_topic_id(Uuid::from_u128(9));
    let body = DeleteTopicsRequest::default().with_topics(vec![both]);
    assert!(parse(&frame(20, 6, &body)).is_err());
}
