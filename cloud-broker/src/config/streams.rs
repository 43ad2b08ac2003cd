//! `[[stream]]`: what is kept, and which topics belong to it.

use headwater_broker_core::StreamSpec;
use headwater_broker_core::catalog::{Cleanup, PartitionBy, Validation};
use headwater_settings::{Quota, Retention, Span};
use serde::Deserialize;

use super::Config;

/// One `[[stream]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StreamConfig {
    /// `[A-Za-z0-9._-]{1,200}`, not beginning with `__`.
    pub name: String,
    /// MQTT topic filters; a topic goes to the first stream one of whose filters matches.
    #[serde(default)]
    pub filters: Vec<String>,
    /// How many parts it has.
    #[serde(default = "partitions")]
    pub partitions: u32,
    /// How long records are kept after they arrived.
    #[serde(default = "retention")]
    pub retention: Retention,
    /// How much of each partition is kept.
    #[serde(default = "retention_bytes")]
    pub retention_bytes: Quota,
    /// How old records go.
    #[serde(default = "cleanup")]
    pub cleanup: Cleanup,
    /// What decides about a record's partition.
    #[serde(default = "partition_by")]
    pub partition_by: PartitionBy,
    /// How much of a batch is looked at before it is accepted.
    #[serde(default = "validation")]
    pub validation: Validation,
    /// Whether records are passed on and not kept.
    #[serde(default)]
    pub transient: bool,
}

impl StreamConfig {
    /// As the log knows it. Retention is recorded with the stream.
    pub fn spec(&self) -> StreamSpec {
        StreamSpec {
            name: self.name.clone(),
            filters: self.filters.clone(),
            partitions: self.partitions,
            // Both are at most 2^63-1 by their types.
            retention_ms: self
                .retention
                .ms()
                .map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
            retention_bytes: self.retention_bytes.bytes(),
            cleanup: self.cleanup,
            partition_by: self.partition_by,
            validation: self.validation,
            transient: self.transient,
        }
    }
}

impl Config {
    /// `events` if no stream was declared, and always `rejected`.
    pub(super) fn add_default_streams(&mut self) {
        if self.stream.is_empty() {
            self.stream.push(default_stream("events", &["#"], 8));
        }
        if !self.stream.iter().any(|stream| stream.name == "rejected") {
            self.stream.push(default_stream("rejected", &[], 1));
        }
    }
}

fn default_stream(name: &str, filters: &[&str], partitions: u32) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        partitions,
        retention: retention(),
        retention_bytes: retention_bytes(),
        cleanup: cleanup(),
        partition_by: partition_by(),
        validation: validation(),
        transient: false,
    }
}

fn partitions() -> u32 {
    8
}

fn retention() -> Retention {
    Retention::Span(Span::from_secs(7 * 24 * 3600))
}

fn retention_bytes() -> Quota {
    Quota::Unlimited
}

fn cleanup() -> Cleanup {
    Cleanup::Delete
}

fn partition_by() -> PartitionBy {
    PartitionBy::Client
}

fn validation() -> Validation {
    Validation::Full
}
