//! Topics that clients make and delete.

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Broker, Client, batch};

fn topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(StrBytes::from_string(name.to_owned()).into())
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
}

fn configured(name: &str, configs: &[(&'static str, &'static str)]) -> CreatableTopic {
    let config = |(key, value): &(&'static str, &'static str)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(key))
            .with_value(Some(StrBytes::from_static_str(value)))
    };
    topic(name, 1).with_configs(configs.iter().map(config).collect())
}

fn creation(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics)
}

async fn create(client: &mut Client, topic: CreatableTopic) -> CreatableTopicResult {
    let answer = client.call(7, &creation(vec![topic])).await;
    answer.topics[0].clone()
}

async fn delete(client: &mut Client, name: &str) -> i16 {
    let name = StrBytes::from_string(name.to_owned());
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name.into()]);
    client.call(5, &request).await.responses[0].error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_with_its_configuration() {
    let broker = Broker::start("[kafka]\nauto_create_partitions = 3");
    let mut client = broker.client().await;
    let set = [("cleanup.policy", "compact"), ("retention.ms", "-1")];
    let made = create(&mut client, configured("new", &set)).await;
    assert_eq!(
        (
            made.error_code,
            made.num_partitions,
            made.replication_factor
        ),
        (0, 1, 1)
    );
    let stream = broker.stream("new");
    assert_eq!(made.topic_id, Uuid::from_bytes(stream.id));
    assert_eq!(stream.spec.retention_ms, None);
    let configs = made.configs.expect("version 5 and later");
    let found = |key: &str| {
        let found = configs.iter().find(|config| config.name.as_str() == key);
        let value = found.expect("it is listed").value.as_deref();
        value.expect("it has a value").to_owned()
    };
    assert_eq!(
        (found("cleanup.policy"), found("retention.bytes")),
        ("compact".into(), "-1".into())
    );
    let default = create(&mut client, topic("default", -1).with_replication_factor(3)).await;
    assert_eq!((default.error_code, default.num_partitions), (0, 3));
    let answer = client
        .call(12, &MetadataRequest::default().with_topics(None))
        .await;
    assert_eq!((answer.topics.len(), answer.controller_id.0), (4, 0));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_is_refused_topic_by_topic() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let place = |partition: i32, brokers: &[i32]| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
    };
    let assigned = |places| topic("x", -1).with_assignments(places);
    for (topic, error) in [
        (topic("events", 1), 36),
        (topic("a b", 1), 17),
        (topic("..", 1), 17),
        (topic("__mine", 1), 17),
        (topic("x", 0), 37),
        (topic("x", -2), 37),
        (topic("x", 10_001), 37),
        (topic("x", 1).with_replication_factor(0), 38),
        (configured("x", &[("no.such.key", "1")]), 40),
        (configured("x", &[("retention.ms", "soon")]), 40),
        (assigned(vec![place(0, &[1])]), 39),
        (assigned(vec![place(0, &[0]), place(2, &[0])]), 39),
        (assigned(vec![place(0, &[])]), 39),
        (topic("x", 1).with_assignments(vec![place(0, &[0])]), 42),
    ] {
        let refused = create(&mut client, topic.clone()).await;
        assert_eq!(refused.error_code, error, "{topic:?}");
        assert!(
            refused
                .error_message
                .is_some_and(|message| !message.is_empty())
        );
    }
    let twice = creation(vec![topic("x", 1), topic("y", 1), topic("x", 2)]);
    let codes = client.call(7, &twice).await.topics;
    assert_eq!(
        codes
            .iter()
            .map(|topic| topic.error_code)
            .collect::<Vec<_>>(),
        [42, 0, 42]
    );
    let placed = create(&mut client, assigned(vec![place(1, &[0]), place(0, &[0])])).await;
    assert_eq!((placed.error_code, placed.num_partitions), (0, 2));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_validated_is_not_made() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let request = creation(vec![topic("new", 5), topic("a b", 1)]).with_validate_only(true);
    let answer = client.call(7, &request).await;
    let made = &answer.topics[0];
    assert_eq!((made.error_code, made.num_partitions), (0, 5));
    assert!(made.topic_id.is_nil());
    assert_eq!(answer.topics[1].error_code, 17);
    assert!(broker.door.backend.catalog().by_name("new").is_none());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_deleted_by_name_and_by_id() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let id = create(&mut client, topic("one", 1)).await.topic_id;
    create(&mut client, topic("two", 1)).await;
    let by_id = |id| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id)
    };
    let by_name = |name: &'static str| {
        let name = StrBytes::from_static_str(name);
        DeleteTopicState::default().with_name(Some(name.into()))
    };
    let topics = vec![
        by_id(id),
        by_name("two"),
        by_name("three"),
        by_id(Uuid::from_u128(5)),
        by_name("__lanes"),
        by_name("two"),
    ];
    let request = DeleteTopicsRequest::default().with_topics(topics);
    let answer = client.call(6, &request).await;
    let codes: Vec<_> = answer
        .responses
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    assert_eq!(codes, [0, 0, 3, 100, 17, 3]);
    assert_eq!(
        answer.responses[0].name.as_ref().map(|name| name.as_str()),
        Some("one")
    );
    assert_eq!(delete(&mut client, "one").await, 3);
    let internal = StrBytes::from_static_str("__catalog").into();
    let request = DeleteTopicsRequest::default().with_topic_names(vec![internal]);
    assert_eq!(client.call(1, &request).await.responses[0].error_code, 17);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_waits_hears_that_its_topic_is_gone() {
    let broker = Broker::start("");
    let mut admin = broker.client().await;
    for (version, error) in [(12, 3), (16, 100)] {
        let made = create(&mut admin, topic("short", 1)).await;
        let mut consumer = broker.client().await;
        consumer.append("short", 0, batch(1000, 1)).await;
        let partition = FetchPartition::default()
            .with_partition_max_bytes(1 << 20)
            .with_fetch_offset(1);
        let waited_for = FetchTopic::default().with_partitions(vec![partition]);
        let waited_for = match version {
            13.. => waited_for.with_topic_id(made.topic_id),
            _ => waited_for.with_topic(made.name.clone()),
        };
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_min_bytes(1)
            .with_max_wait_ms(60_000)
            .with_topics(vec![waited_for]);
        consumer.send(version, &request).await;
        assert_eq!(delete(&mut admin, "short").await, 0);
        let answer = consumer.receive::<FetchRequest>(version).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, error);
        let refused = consumer.produce("short", 0, batch(1000, 1)).await;
        assert_eq!(refused.0.error_code, 3);
    }
    broker.stop().await;
}
