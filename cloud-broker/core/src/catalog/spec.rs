//! What an operator says about a stream (`interfaces.md` 4, `[[stream]]`).

use headwater_wire::topic;
use serde::{Deserialize, Serialize};

use super::internal::INTERNAL_PREFIX;

/// Most partitions that one stream may have.
pub const PARTITIONS_MAX: u32 = 10_000;
/// Most partitions that all streams together may have.
pub const PARTITIONS_OF_ALL_MAX: usize = 20_000;
/// Most filters of one stream.
pub const FILTERS_MAX: usize = 100;
/// Longest filter of a stream, bytes.
pub const FILTER_BYTES_MAX: usize = 1024;
/// Longest stream name, bytes.
pub const NAME_BYTES_MAX: usize = 200;

/// A stream as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// `[A-Za-z0-9._-]{1,200}`.
    pub name: String,
    /// MQTT topic filters whose topics belong to the stream; none for streams made over Kafka.
    pub filters: Vec<String>,
    /// 1 to [`PARTITIONS_MAX`].
    pub partitions: u32,
    /// By arrival time, ms; `None` = for ever.
    pub retention_ms: Option<i64>,
    /// Per partition; `None` = unlimited.
    pub retention_bytes: Option<u64>,
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// What decides about a plain publish's partition.
    pub partition_by: PartitionBy,
    /// How much of a batch is looked into before it is taken.
    pub validation: Validation,
    /// Fan-out only, never stored.
    pub transient: bool,
}

/// What happens to old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cleanup {
    /// Deleted by age or size.
    #[serde(rename = "delete")]
    Delete,
    /// The newest of each key is kept.
    #[serde(rename = "compact")]
    Compact,
    /// The newest of each key, until it is too old.
    #[serde(rename = "compact,delete")]
    CompactDelete,
}

/// What decides about a plain publish's partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionBy {
    /// The client's id: one client, one partition, one order.
    Client,
    /// The topic, as Kafka's default partitioner does with the key.
    Topic,
}

/// How much of a batch is looked into before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// It is decompressed and every record is walked.
    Full,
    /// Header and CRC.
    Header,
}

/// Why a stream cannot be as declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The name has other characters, or is too long.
    #[error("Stream name must be 1 to 200 of A-Z a-z 0-9 . _ -")]
    Name,
    /// The name is kept for internal streams.
    #[error("Stream names that begin with __ are internal")]
    Internal,
    /// No partition, or too many.
    #[error("A stream has 1 to {PARTITIONS_MAX} partitions")]
    Partitions,
    /// Not a topic filter.
    #[error("Not a topic filter: {0}")]
    Filter(String),
    /// More filters, or longer ones, than anybody needs.
    #[error("A stream has at most {FILTERS_MAX} filters of {FILTER_BYTES_MAX} bytes")]
    Filters,
    /// Time before the record came.
    #[error("Records are kept for 0 ms or longer")]
    Retention,
    /// Compaction by key needs all records of a topic in one partition.
    #[error("A stream with filters and cleanup = compact must have partition_by = topic")]
    CompactByClient,
}

impl SpecError {
    /// The field of [`StreamSpec`] that is wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Name | Self::Internal => "name",
            Self::Partitions => "partitions",
            Self::Filter(_) | Self::Filters => "filters",
            Self::Retention => "retention_ms",
            Self::CompactByClient => "partition_by",
        }
    }
}

impl StreamSpec {
    /// A stream with the defaults of `interfaces.md` 4: 8 partitions, 7 days.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            filters: Vec::new(),
            partitions: 8,
            retention_ms: Some(7 * 24 * 3600 * 1000),
            retention_bytes: None,
            cleanup: Cleanup::Delete,
            partition_by: PartitionBy::Client,
            validation: Validation::Full,
            transient: false,
        }
    }

    /// Checks what a user declared.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let dots = matches!(self.name.as_str(), "." | "..");
        if !(1..=NAME_BYTES_MAX).contains(&self.name.len()) || dots || !self.name.bytes().all(legal)
        {
            return Err(SpecError::Name);
        }
        if self.name.starts_with(INTERNAL_PREFIX) {
            return Err(SpecError::Internal);
        }
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            return Err(SpecError::Partitions);
        }
        let too_long = |filter: &String| filter.len() > FILTER_BYTES_MAX;
        if self.filters.len() > FILTERS_MAX || self.filters.iter().any(too_long) {
            return Err(SpecError::Filters);
        }
        if self.retention_ms.is_some_and(|ms| ms < 0) {
            return Err(SpecError::Retention);
        }
        for filter in &self.filters {
            if topic::check_filter(filter.as_bytes()).is_err() {
                return Err(SpecError::Filter(filter.clone()));
            }
        }
        let compact = self.cleanup != Cleanup::Delete;
        if compact && !self.filters.is_empty() && self.partition_by == PartitionBy::Client {
            return Err(SpecError::CompactByClient);
        }
        Ok(())
    }
}
