//! What comes from a client and is parsed here, for the fuzz targets.

use std::ops::ControlFlow;

use axum::http::Uri;
use bytes::Bytes;

use super::cursor::{From, Start};
use super::query::Params;
use super::record::{RecordJson, each_record};
use crate::backend::StoredBatch;

/// Reads a query as `records` does; whether every parameter is known and right.
pub fn query(text: &str) -> bool {
    let read = || {
        let uri = format!("/x?{text}").parse::<Uri>().ok()?;
        let mut params = Params::of(&uri).ok()?;
        params.take_as::<Start>("offset").ok()?;
        params.take_as::<From>("from").ok()?;
        params.take_number("limit", 100, 10_000).ok()?;
        params.finish().ok()
    };
    read().is_some()
}

/// Partitions and offsets of a cursor that names them.
pub fn cursor(text: &str) -> Option<Vec<(u32, i64)>> {
    let _ = text.parse::<Start>();
    match text.parse() {
        Ok(From::Each(offsets)) => Some(offsets),
        Ok(From::Everywhere(_)) | Err(_) => None,
    }
}

/// Whether a body declares a stream.
pub fn declaration(body: &[u8]) -> bool {
    super::declare::declaration(body).is_ok()
}

/// The records of a batch as they are shown, as far as they can be read.
pub fn records_as_json(bytes: Bytes) -> Vec<String> {
    let stored = StoredBatch {
        base_offset: i64::MAX - 5,
        last_offset: i64::MAX,
        arrival_ms: 0,
        max_timestamp: 0,
        bytes,
        topics: Bytes::new(),
    };
    let mut shown = Vec::new();
    let _ = each_record(&stored, 0, |record, offset| {
        shown.extend(serde_json::to_string(&RecordJson::of(record, offset, Some(1))).ok());
        ControlFlow::Continue(())
    });
    shown
}
