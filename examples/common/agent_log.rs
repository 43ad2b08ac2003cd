//! What the log of a stopped agent holds.

use std::path::Path;
use std::time::Duration;

use headwater_agent::log::{LogOptions, StoredRecord, device_of, read_records};

use crate::books::Record;

/// Longer than any example runs: reading must not trim what it reads.
const KEEP_ACKED: Duration = Duration::from_secs(24 * 3600);

/// Records of `stream` in the log in `folder`, in order.
///
/// # Errors
/// What the log's reader says.
pub fn records(folder: &Path, stream: &str) -> Result<Vec<Record>, String> {
    let device = device_of(folder)
        .map_err(|e| e.to_string())?
        .ok_or("The agent has no log")?;
    let options = LogOptions {
        keep_acked: KEEP_ACKED,
        ..LogOptions::new(folder, device)
    };
    let mut records = Vec::new();
    let take = |record: StoredRecord| {
        if &*record.lane.stream == stream {
            records.push(owned(record));
        }
    };
    read_records(options, take).map_err(|e| e.to_string())?;
    Ok(records)
}

fn owned(record: StoredRecord) -> Record {
    let headers = record
        .headers
        .into_iter()
        .map(|(name, value)| (name, value.map(Vec::from)));
    Record {
        timestamp_ms: record.timestamp,
        key: record.key.map(Vec::from),
        value: record.value.map(Vec::from),
        headers: headers.collect(),
    }
}
