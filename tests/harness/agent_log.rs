//! What the log of a stopped agent holds.

use std::path::Path;

/// One record as the agent committed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Records of `stream` in the log in `folder`, in order.
///
/// # Errors
/// What the log's reader says.
pub fn records(folder: &Path, stream: &str) -> Result<Vec<Record>, String> {
    let stored = headwater_agent::log::read_records(folder, stream).map_err(|e| e.to_string())?;
    Ok(stored
        .into_iter()
        .map(|record| Record {
            timestamp_ms: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        })
        .collect())
}
