//! What the log of a stopped agent holds.

use std::path::Path;
use std::time::Duration;

use headwater_agent::log::{LogOptions, device_of, read_records};

/// Longer than any scenario: reading must not trim what it reads.
const KEEP_ACKED: Duration = Duration::from_secs(24 * 3600);

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
    let device = device_of(folder)
        .map_err(|e| e.to_string())?
        .ok_or("No log")?;
    let options = LogOptions {
        keep_acked: KEEP_ACKED,
        ..LogOptions::new(folder, device)
    };
    let mut records = Vec::new();
    read_records(options, |record| {
        if &*record.lane.stream == stream {
            let headers = record
                .headers
                .into_iter()
                .map(|(name, value)| (name, value.map(Vec::from)));
            records.push(Record {
                timestamp_ms: record.timestamp,
                key: record.key.map(Vec::from),
                value: record.value.map(Vec::from),
                headers: headers.collect(),
            });
        }
    })
    .map_err(|e| e.to_string())?;
    Ok(records)
}
