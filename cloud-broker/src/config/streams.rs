//! `[[stream]]`: what is kept, and which topics belong to it.

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
    /// How many parts it has, from 1 to [`PARTITIONS_MAX`].
    #[serde(default = "partitions")]
    pub partitions: u32,
    /// How long records are kept after they arrived.
    #[serde(default = "retention")]
    pub retention: Retention,
    /// How much of each partition is kept.
    #[serde(default = "retention_bytes")]
    pub retention_bytes: Quota,
    /// How old records go.
    #[serde(default)]
    pub cleanup: Cleanup,
    /// What decides about a record's partition.
    #[serde(default)]
    pub partition_by: PartitionBy,
    /// How much of a batch is looked at before it is accepted.
    #[serde(default)]
    pub validation: Validation,
    /// Whether records are passed on and not kept.
    #[serde(default)]
    pub transient: bool,
}

/// The most partitions that a stream may be declared with.
pub const PARTITIONS_MAX: u32 = 10_000;

/// Values of `cleanup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Cleanup {
    /// By age and size.
    #[default]
    #[serde(rename = "delete")]
    Delete,
    /// All but the newest record of each key.
    #[serde(rename = "compact")]
    Compact,
    /// Both.
    #[serde(rename = "compact,delete")]
    CompactDelete,
}

/// Values of `partition_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionBy {
    /// The client (device) that sends it.
    #[default]
    Client,
    /// The record's key.
    Topic,
}

/// Values of `validation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// Decompress and look at each record.
    #[default]
    Full,
    /// Length, checksum and header.
    Header,
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
        cleanup: Cleanup::Delete,
        partition_by: PartitionBy::Client,
        validation: Validation::Full,
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
