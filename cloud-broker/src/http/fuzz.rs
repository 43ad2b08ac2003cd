//! What comes from a client and is parsed here, for the fuzz targets.

use std::ops::ControlFlow;

use axum::http::Uri;
use bytes::Bytes;
use headwater_broker_core::{PartitionId, Stream, StreamSpec};
use serde_json::Value;

use super::append::{self, Format};
use super::cursor::{From, Start};
use super::query::Params;
use super::record::{RecordJson, each_record};
use super::{declare, devices};
use crate::backend::{DeviceView, LaneView, StoredBatch};
use crate::config::LimitsConfig;
use crate::limits::Limits;

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

/// The stream that a body declares.
pub fn declaration(body: &[u8]) -> Option<StreamSpec> {
    declare::declaration(body).ok()
}

/// Partitions of the stream that [`posted`] writes to.
pub const POSTED_PARTITIONS: u32 = 3;

/// The batches that a body becomes, by partition.
///
/// # Errors
/// What the client is told.
pub fn posted(body: &[u8], lines: bool) -> Result<Vec<(u32, Bytes)>, String> {
    let spec = StreamSpec {
        filters: vec!["#".to_owned()],
        partitions: POSTED_PARTITIONS,
        ..StreamSpec::new("s")
    };
    let stream = Stream {
        id: [1; 16],
        spec,
        partitions: (0..POSTED_PARTITIONS).map(PartitionId).collect(),
        internal: false,
        created: 0,
    };
    let format = if lines { Format::Lines } else { Format::Json };
    let mut memory = Limits::new(&LimitsConfig::default(), Default::default()).reserve();
    let made = append::read(&stream, 1, format, body, 1_760_000_000_000, &mut memory);
    let made = made.map_err(|error| error.message().to_owned())?;
    let batches = made.batches.into_iter();
    Ok(batches
        .map(|(number, batch)| (number, batch.bytes))
        .collect())
}

/// A device with one lane as it is shown after it sent this status.
pub fn device(status: &[u8]) -> Value {
    let view = DeviceView {
        device: "d".into(),
        status: Some(Bytes::copy_from_slice(status)),
        last_seen_ms: 0,
        lanes: vec![LaneView {
            stream: "s".into(),
            lane: "main".into(),
            generation: 0,
            partition: 0,
            next: 456,
        }],
    };
    devices::describe(&view, true)
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
