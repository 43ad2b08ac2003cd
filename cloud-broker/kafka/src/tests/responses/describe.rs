//! What admin clients and careful consumers are told.

use kafka_protocol::messages::{
    DescribeClusterResponse, DescribeConfigsResponse, OffsetForLeaderEpochResponse,
};

use super::*;
use crate::config::{Config, ConfigType, Source, Synonym};
use crate::{describe_cluster, describe_configs, offset_for_leader_epoch};

fn config() -> impl Strategy<Value = Config> {
    let sources = vec![Source::Topic, Source::StaticBroker, Source::Default];
    let source = proptest::sample::select(sources);
    (text(), source, any::<bool>()).prop_map(|(value, source, read_only)| {
        let name = "retention.ms";
        let synonym = Synonym {
            name: "log.retention.ms",
            value: value.clone(),
            source,
        };
        Config {
            name,
            value,
            source,
            kind: ConfigType::Long,
            read_only,
            synonyms: vec![synonym],
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn configs_read_back(
        resources in vec((error(), option::of(text()), any::<i8>(), text(), vec(config(), 0..4)), 0..4)
    ) {
        let resources = resources.into_iter().map(|(error, message, kind, name, configs)| {
            describe_configs::ResourceResponse { error, message, kind, name, configs }
        });
        let sent = describe_configs::Response { resources: resources.collect() };
        for version in versions(32) {
            let read: DescribeConfigsResponse = through(32, version, &Response::DescribeConfigs(sent.clone()));
            prop_assert_eq!(read.results.len(), sent.resources.len());
            for (read, sent) in read.results.iter().zip(&sent.resources) {
                prop_assert_eq!((read.error_code, read.resource_type), (sent.error.0, sent.kind));
                prop_assert_eq!(read.configs.len(), sent.configs.len());
                for (read, sent) in read.configs.iter().zip(&sent.configs) {
                    prop_assert_eq!(read.value.as_deref(), Some(&*sent.value));
                    prop_assert_eq!((read.config_source, read.read_only), (sent.source as i8, sent.read_only));
                    prop_assert_eq!(read.config_type, if version >= 3 { 5 } else { 0 });
                    prop_assert_eq!(read.synonyms[0].name.as_str(), "log.retention.ms");
                }
            }
        }
    }

    #[test]
    fn ends_of_epochs_read_back(ends in vec((any::<i32>(), error(), any::<i32>(), any::<i64>()), 0..5)) {
        let partitions = ends.iter().map(|&(index, error, leader_epoch, end_offset)| {
            offset_for_leader_epoch::PartitionResponse { index, error, leader_epoch, end_offset }
        });
        let topic = offset_for_leader_epoch::TopicResponse { name: "t".into(), partitions: partitions.collect() };
        let sent = offset_for_leader_epoch::Response { topics: vec![topic] };
        for version in versions(23) {
            let read: OffsetForLeaderEpochResponse =
                through(23, version, &Response::OffsetForLeaderEpoch(sent.clone()));
            let read = read.topics[0].partitions.iter();
            let read: Vec<_> = read.map(|p| (p.partition, ErrorCode(p.error_code), p.leader_epoch, p.end_offset)).collect();
            prop_assert_eq!(&read, &ends);
        }
    }

    #[test]
    fn the_cluster_reads_back(host in text(), port in any::<u16>(), error in error()) {
        let broker = Broker { id: 0, host, port };
        let sent = describe_cluster::Response {
            error,
            message: None,
            cluster_id: "c".into(),
            controller_id: 0,
            brokers: vec![broker.clone()],
        };
        for version in versions(60) {
            let read: DescribeClusterResponse = through(60, version, &Response::DescribeCluster(sent.clone()));
            prop_assert_eq!((read.error_code, read.controller_id.0), (error.0, 0));
            prop_assert_eq!((read.brokers[0].host.as_str(), read.brokers[0].port), (&*broker.host, i32::from(broker.port)));
        }
    }
}
