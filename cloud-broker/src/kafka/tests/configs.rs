//! What admin clients are told of topics, brokers and epochs.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use super::{Broker, Client};

async fn describe(
    client: &mut Client,
    kind: i8,
    name: &'static str,
    keys: Option<&[&'static str]>,
) -> DescribeConfigsResult {
    let keys = keys.map(|keys| {
        keys.iter()
            .copied()
            .map(StrBytes::from_static_str)
            .collect()
    });
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_static_str(name))
        .with_configuration_keys(keys);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    client.call(4, &request).await.results[0].clone()
}

fn value<'a>(result: &'a DescribeConfigsResult, key: &str) -> (&'a str, i8) {
    let found = result
        .configs
        .iter()
        .find(|config| config.name.as_str() == key);
    let found = found.expect("it is listed");
    (
        found.value.as_deref().expect("it has a value"),
        found.config_source,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_brokers_are_described() {
    let broker = Broker::start("[kafka]\nauto_create_partitions = 7");
    let mut client = broker.client().await;
    let events = describe(&mut client, 2, "events", None).await;
    assert_eq!(value(&events, "cleanup.policy"), ("delete", 5));
    assert_eq!(value(&events, "retention.ms"), ("604800000", 5));
    let keys = ["retention.ms", "no.such.key"];
    let some = describe(&mut client, 2, "events", Some(&keys)).await;
    assert_eq!(some.configs.len(), 1);
    assert!(some.configs[0].synonyms.is_empty(), "they were not asked");
    let this = describe(&mut client, 4, "0", None).await;
    assert_eq!(value(&this, "num.partitions"), ("7", 4));
    assert_eq!(value(&this, "delete.topic.enable"), ("true", 5));
    assert_eq!(value(&this, "inter.broker.protocol.version"), ("3.9", 5));
    assert_eq!(value(&this, "log.retention.ms"), ("604800000", 5));
    let shared = describe(&mut client, 4, "", None).await;
    assert_eq!((shared.error_code, shared.configs.len()), (0, 0));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_described() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    for (kind, name, error) in [
        (2, "none", 3),
        (4, "1", 42),
        (4, "x", 42),
        (8, "0", 42),
        (77, "", 42),
    ] {
        let refused = describe(&mut client, kind, name, None).await;
        assert_eq!((refused.error_code, refused.configs.len()), (error, 0));
        assert!(refused.error_message.is_some() && refused.resource_type == kind);
    }
    for (endpoints, error) in [(2, 114), (3, 115)] {
        let request = DescribeClusterRequest::default().with_endpoint_type(endpoints);
        let refused = client.call(1, &request).await;
        assert_eq!((refused.error_code, refused.brokers.len()), (error, 0));
    }
    broker.stop().await;
}
