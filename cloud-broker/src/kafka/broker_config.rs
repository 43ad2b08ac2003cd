//! Those of Kafka's broker settings that mean something here, and what they are.

use headwater_broker_core::StreamSpec;
use headwater_broker_core::producers::EXPIRATION_MS;
use headwater_kafka::config::{Config, ConfigType, Source};

use super::produce::BATCH_BYTES_MAX;
use super::session::NODE_ID;
use super::topic_config::{self, REPLICATION_FACTOR};
use crate::config::Config as Settings;

/// The release whose protocol this broker speaks: clients choose by it what they may ask.
const PROTOCOL_VERSION: &str = "3.9";

/// Every setting, with its value.
pub(super) fn all(settings: &Settings) -> Vec<Config> {
    let defaults = Settings::default();
    let flag = |flag: bool| flag.to_string();
    let (kafka, default) = (&settings.kafka, &defaults.kafka);
    let (boolean, int, text) = (ConfigType::Boolean, ConfigType::Int, ConfigType::String);
    let connections = &settings.limits.connections;
    let mut configs = vec![
        set(
            "auto.create.topics.enable",
            boolean,
            flag(kafka.auto_create),
            flag(default.auto_create),
        ),
        set(
            "max.connections",
            int,
            connections.to_string(),
            defaults.limits.connections.to_string(),
        ),
        set(
            "num.partitions",
            int,
            kafka.auto_create_partitions.to_string(),
            default.auto_create_partitions.to_string(),
        ),
        set(
            "socket.request.max.bytes",
            int,
            kafka.max_request.0.to_string(),
            default.max_request.0.to_string(),
        ),
        fixed("broker.id", int, NODE_ID),
        fixed("default.replication.factor", int, REPLICATION_FACTOR),
        fixed("delete.topic.enable", boolean, true),
        fixed("inter.broker.protocol.version", text, PROTOCOL_VERSION),
        fixed("message.max.bytes", int, BATCH_BYTES_MAX),
        fixed("producer.id.expiration.ms", int, EXPIRATION_MS),
    ];
    for (name, of_topic) in [
        ("log.cleanup.policy", "cleanup.policy"),
        ("log.message.timestamp.type", "message.timestamp.type"),
        ("log.retention.bytes", "retention.bytes"),
        ("log.retention.ms", "retention.ms"),
        ("min.insync.replicas", "min.insync.replicas"),
    ] {
        configs.extend(default_of(name, of_topic));
    }
    configs.sort_by_key(|config| config.name);
    configs
}

/// A default that topics have.
fn default_of(name: &'static str, of_topic: &str) -> Option<Config> {
    let configs = topic_config::all(&StreamSpec::new(""));
    let found = configs.into_iter().find(|config| config.name == of_topic)?;
    Some(fixed(name, found.kind, found.value))
}

/// Something that the settings can say.
fn set(name: &'static str, kind: ConfigType, value: String, default: String) -> Config {
    let source = match value == default {
        true => Source::Default,
        false => Source::StaticBroker,
    };
    Config {
        source,
        ..fixed(name, kind, value)
    }
}

/// Something that is as it is.
fn fixed(name: &'static str, kind: ConfigType, value: impl ToString) -> Config {
    Config {
        name,
        value: value.to_string(),
        source: Source::Default,
        kind,
        read_only: true,
        synonyms: Vec::new(),
    }
}
