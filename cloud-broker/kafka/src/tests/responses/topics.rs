//! Topics that were made and deleted.

use kafka_protocol::messages::{CreateTopicsResponse, DeleteTopicsResponse};

use super::*;
use crate::config::{Config, ConfigType, Source};
use crate::{create_topics, delete_topics};

fn config(value: String) -> Config {
    Config {
        name: "retention.ms",
        value,
        source: Source::Topic,
        kind: ConfigType::Long,
        read_only: false,
        synonyms: Vec::new(),
    }
}

fn created() -> impl Strategy<Value = create_topics::TopicResponse> {
    let numbers = (any::<i32>(), any::<i16>());
    let parts = (text(), id(), error(), option::of(text()), numbers, text());
    parts.prop_map(
        |(name, id, error, message, numbers, value)| create_topics::TopicResponse {
            name,
            id,
            error,
            message,
            partitions: numbers.0,
            replication_factor: numbers.1,
            configs: vec![config(value)],
        },
    )
}

fn deleted() -> impl Strategy<Value = delete_topics::TopicResponse> {
    let parts = (option::of(text()), id(), error(), option::of(text()));
    parts.prop_map(|(name, id, error, message)| delete_topics::TopicResponse {
        name,
        id,
        error,
        message,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn created_topics_read_back(topics in vec(created(), 0..5)) {
        let sent = create_topics::Response { topics };
        for version in versions(19) {
            let read: CreateTopicsResponse = through(19, version, &Response::CreateTopics(sent.clone()));
            prop_assert_eq!(read.topics.len(), sent.topics.len());
            for (topic, sent) in read.topics.iter().zip(&sent.topics) {
                prop_assert_eq!(topic.name.as_str(), &sent.name);
                prop_assert_eq!(topic.error_code, sent.error.0);
                prop_assert_eq!(topic.error_message.as_deref(), sent.message.as_deref());
                prop_assert!(version < 7 || topic.topic_id.into_bytes() == sent.id);
                if version >= 5 {
                    prop_assert_eq!(topic.num_partitions, sent.partitions);
                    prop_assert_eq!(topic.replication_factor, sent.replication_factor);
                    let configs = topic.configs.as_ref().expect("never null");
                    prop_assert_eq!(configs[0].value.as_deref(), Some(&*sent.configs[0].value));
                    prop_assert_eq!(configs[0].config_source, 1);
                }
            }
        }
    }

    #[test]
    fn deleted_topics_read_back(topics in vec(deleted(), 0..5)) {
        let sent = delete_topics::Response { topics };
        for version in versions(20) {
            let read: DeleteTopicsResponse = through(20, version, &Response::DeleteTopics(sent.clone()));
            prop_assert_eq!(read.responses.len(), sent.topics.len());
            for (topic, sent) in read.responses.iter().zip(&sent.topics) {
                prop_assert_eq!(topic.name.is_some(), version < 6 || sent.name.is_some());
                prop_assert_eq!(topic.error_code, sent.error.0);
                prop_assert!(version < 6 || topic.topic_id.into_bytes() == sent.id);
                prop_assert!(version < 5 || topic.error_message.as_deref() == sent.message.as_deref());
            }
        }
    }
}
