//! A stream as a record of `__catalog`: key = name, value = JSON, no value = deleted.

use serde::{Deserialize, Serialize};

use crate::{Stream, StreamId, StreamSpec, uuid};

/// The value of a catalog record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRecord {
    /// Identity, as UUID.
    pub id: String,
    /// Number in the order of creation.
    pub created: u64,
    /// The stream as declared.
    #[serde(flatten)]
    pub spec: StreamSpec,
}

/// A record of `__catalog` that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or a field is missing or wrong.
    #[error("Catalog record is not as expected: {0}")]
    Json(#[from] serde_json::Error),
    /// The identity is no UUID.
    #[error("Catalog record has no valid id: {0}")]
    Id(String),
}

impl CatalogRecord {
    /// The record of a stream.
    #[must_use]
    pub fn new(stream: &Stream) -> Self {
        Self {
            id: uuid::format(&stream.id),
            created: stream.created,
            spec: stream.spec.clone(),
        }
    }

    /// The record's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data without maps becomes JSON")
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// [`RecordError`], if it is not what [`CatalogRecord::encode`] writes.
    pub fn decode(value: &[u8]) -> Result<(StreamId, Self), RecordError> {
        let record: Self = serde_json::from_slice(value)?;
        match uuid::parse(&record.id) {
            Some(id) => Ok((id, record)),
            None => Err(RecordError::Id(record.id)),
        }
    }
}
