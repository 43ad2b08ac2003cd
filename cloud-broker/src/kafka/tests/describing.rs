//! Metadata and ApiVersions.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Broker, Client};

fn named(names: &[&str]) -> MetadataRequest {
    let topics = names.iter().map(|name| {
        let name = StrBytes::from_string((*name).to_owned());
        MetadataRequestTopic::default().with_name(Some(name.into()))
    });
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

fn names(answer: &MetadataResponse) -> Vec<String> {
    let names = answer.topics.iter().filter_map(|topic| topic.name.as_ref());
    let mut names: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
    names.sort();
    names
}

async fn codes(client: &mut Client, request: &MetadataRequest) -> Vec<i16> {
    let answer = client.call(12, request).await;
    answer.topics.iter().map(|topic| topic.error_code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_means_all_but_internal_streams() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let all = MetadataRequest::default().with_topics(None);
    assert_eq!(names(&client.call(12, &all).await), ["events", "table"]);
    // In version 0 an empty list asks for all, later it asks for none.
    let empty = MetadataRequest::default().with_topics(Some(vec![]));
    assert_eq!(names(&client.call(0, &empty).await), ["events", "table"]);
    assert!(client.call(1, &empty).await.topics.is_empty());
    let answer = client.call(12, &named(&["__lanes"])).await;
    assert!(answer.topics[0].is_internal && !answer.topics[0].partitions.is_empty());
    assert!(!answer.topics[0].topic_id.is_nil());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_broker_is_named_as_the_client_reached_it() {
    for (config, host) in [
        ("", "127.0.0.1"),
        ("advertise = \"hw.example\"", "hw.example"),
    ] {
        let broker = Broker::start(config);
        let mut client = broker.client().await;
        let answer = client.call(12, &named(&[])).await;
        let this = &answer.brokers[0];
        assert_eq!((this.host.as_str(), this.node_id.0), (host, 0));
        assert_eq!(this.port, i32::from(broker.address.port()));
        assert_eq!(answer.cluster_id.expect("set").len(), 22);
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_when_a_client_names_them() {
    let broker = Broker::start("[kafka]\nauto_create_partitions = 3");
    let mut client = broker.client().await;
    let forbidden = named(&["new"]).with_allow_auto_topic_creation(false);
    assert_eq!(codes(&mut client, &forbidden).await, [3]);
    let answer = client.call(12, &named(&["new"])).await;
    let topic = &answer.topics[0];
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 3));
    let stream = broker.stream("new");
    assert!(stream.spec.filters.is_empty());
    assert_eq!(topic.topic_id, Uuid::from_bytes(stream.id));
    // By its id, as version 12 can.
    let by_id = MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(topic.topic_id);
    let by_id = MetadataRequest::default().with_topics(Some(vec![by_id]));
    assert_eq!(names(&client.call(12, &by_id).await), ["new"]);
    let unknown = MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(Uuid::from_u128(3));
    let unknown = MetadataRequest::default().with_topics(Some(vec![unknown]));
    assert_eq!(codes(&mut client, &unknown).await, [100]);
    for illegal in ["a b", "..", "", "__mine", &"n".repeat(201)] {
        assert_eq!(
            codes(&mut client, &named(&[illegal])).await,
            [17],
            "{illegal}"
        );
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_not_made_where_the_operator_forbids_it() {
    let broker = Broker::start("[kafka]\nauto_create = false");
    let mut client = broker.client().await;
    assert_eq!(codes(&mut client, &named(&["new", "events"])).await, [3, 0]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_that_name_a_new_topic_get_the_same() {
    let broker = Broker::start("");
    let (mut one, mut other) = (broker.client().await, broker.client().await);
    let request = named(&["new"]);
    one.send(12, &request).await;
    other.send(12, &request).await;
    let one = one.receive::<MetadataRequest>(12).await;
    let other = other.receive::<MetadataRequest>(12).await;
    assert_eq!(one.topics[0].error_code, 0);
    assert_eq!(one.topics, other.topics);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn software_with_an_illegal_name_is_an_invalid_request() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("a b"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let answer = client.call(3, &request).await;
    assert_eq!((answer.error_code, answer.api_keys.len()), (42, 0));
    broker.stop().await;
}
