//! Every event that a log holds, as NDJSON.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::super::{DONE, FAILED, fail};
use crate::log::{self, LogOptions, StoredRecord};

/// A record as the broker's HTTP API gives it, with stream and lane before it; `offset` is the
/// position in the lane.
#[derive(Debug, Serialize)]
struct Line {
    stream: String,
    lane: String,
    offset: u64,
    timestamp: i64,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_encoding: Option<&'static str>,
    value: Option<String>,
    encoding: &'static str,
    headers: Vec<(String, Option<String>, &'static str)>,
}

const UTF8: &str = "utf8";

/// Writes to `to`, or to standard output.
pub(super) fn run(options: LogOptions, to: Option<&Path>) -> Result<u8, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    match to {
        None => write(options, io::stdout().lock()),
        Some(path) => {
            let file = File::create(path)
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
            let code = write(options, &file)?;
            file.sync_all().map_err(|error| failed(&error))?;
            Ok(code)
        }
    }
}

fn write(options: LogOptions, out: impl Write) -> Result<u8, String> {
    let mut out = BufWriter::new(out);
    let mut outcome = Ok(());
    let found = log::inspect(options, |record| {
        if outcome.is_ok() {
            outcome = put(&mut out, record);
        }
    });
    let found = found.map_err(|error| error.to_string())?;
    match outcome.and_then(|()| out.flush()) {
        Ok(()) => {}
        // Whoever read has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(DONE),
        Err(error) => return Err(format!("Export cannot be written: {error}")),
    }
    if found.damage.is_empty() {
        return Ok(DONE);
    }
    Ok(fail(&found.damage.join("\n"), FAILED))
}

fn put(out: &mut impl Write, record: StoredRecord) -> io::Result<()> {
    let line = Line::from(record);
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

impl From<StoredRecord> for Line {
    fn from(record: StoredRecord) -> Self {
        let (key, key_encoding) = text(record.key.as_deref());
        let (value, encoding) = text(record.value.as_deref());
        let headers = record.headers.iter().map(|(name, value)| {
            let (value, encoding) = text(value.as_deref());
            (name.clone(), value, encoding)
        });
        Self {
            stream: record.lane.stream.to_string(),
            lane: record.lane.lane.to_string(),
            offset: record.position.0,
            timestamp: record.timestamp,
            key,
            key_encoding: Some(key_encoding).filter(|encoding| *encoding != UTF8),
            value,
            encoding,
            headers: headers.collect(),
        }
    }
}

fn text(bytes: Option<&[u8]>) -> (Option<String>, &'static str) {
    match bytes.map(|bytes| str::from_utf8(bytes).map_err(|_| bytes)) {
        None => (None, UTF8),
        Some(Ok(text)) => (Some(text.to_owned()), UTF8),
        Some(Err(bytes)) => (Some(STANDARD.encode(bytes)), "base64"),
    }
}
