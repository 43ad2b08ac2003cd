//! `/api/v1/streams` and `/api/v1/streams/{s}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use headwater_broker_core::Stream;
use headwater_broker_core::catalog::{Cleanup, PartitionBy};
use serde::Serialize;
use uuid::Uuid;

use super::error::ApiError;
use super::query::{Params, bad};
use crate::backend::{Backend, Bounds};
use crate::door::Door;

/// One stream, as JSON.
#[derive(Serialize)]
struct Summary<'a> {
    name: &'a str,
    id: String,
    filters: &'a [String],
    partitions: usize,
    retention_ms: Option<i64>,
    retention_bytes: Option<u64>,
    cleanup: Cleanup,
    partition_by: PartitionBy,
    records: i64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<Vec<Part>>,
}

/// One partition of it.
#[derive(Serialize)]
struct Part {
    id: usize,
    start: i64,
    end: i64,
    bytes: u64,
    leader: i32,
    epoch: i32,
}

/// All streams; `?internal=true` those that headwater keeps for itself, too.
pub(super) async fn list(State(door): State<Door>, uri: Uri) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let internal: bool = match params.take("internal").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(bad("internal must be true or false")),
    };
    params.finish()?;
    let catalog = door.backend.catalog();
    let streams: Vec<Summary<'_>> = catalog
        .streams()
        .filter(|stream| internal || !stream.internal)
        .map(|stream| summary(stream, &all_bounds(&door.backend, stream), None))
        .collect();
    Ok(Json(BTreeMap::from([("streams", streams)])).into_response())
}

/// One stream, with each of its partitions.
pub(super) async fn describe(
    State(door): State<Door>,
    StreamName(name): StreamName,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    Ok(described(&door.backend, &*find(&door.backend, &name)?))
}

/// The stream as `GET` of it gives it.
pub(super) fn described(backend: &Backend, stream: &Stream) -> Response {
    let bounds = all_bounds(backend, stream);
    let part = |(id, bounds): (usize, &Bounds)| Part {
        id,
        start: bounds.start,
        end: bounds.end,
        bytes: bounds.bytes,
        leader: 0,
        epoch: bounds.epoch,
    };
    let parts = bounds.iter().enumerate().map(part).collect();
    Json(summary(stream, &bounds, Some(parts))).into_response()
}

/// The stream's name in the path, decoded.
#[derive(Debug)]
pub(super) struct StreamName(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for StreamName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => Err(ApiError::bad_request("bad-path", error.to_string())),
        }
    }
}

/// The stream called `name`.
pub(super) fn find(backend: &Backend, name: &str) -> Result<Arc<Stream>, ApiError> {
    let catalog = backend.catalog();
    let found = catalog.by_name(name).cloned();
    found.ok_or_else(|| {
        ApiError::not_found("no-such-stream", format!("There is no stream \"{name}\""))
    })
}

fn all_bounds(backend: &Backend, stream: &Stream) -> Vec<Bounds> {
    let partitions = stream.partitions.iter();
    partitions
        .map(|partition| backend.bounds(*partition))
        .collect()
}

fn summary<'a>(stream: &'a Stream, bounds: &[Bounds], parts: Option<Vec<Part>>) -> Summary<'a> {
    let spec = &stream.spec;
    Summary {
        name: &spec.name,
        id: Uuid::from_bytes(stream.id).to_string(),
        filters: &spec.filters,
        partitions: stream.partitions.len(),
        retention_ms: spec.retention_ms,
        retention_bytes: spec.retention_bytes,
        cleanup: spec.cleanup,
        partition_by: spec.partition_by,
        records: bounds.iter().map(|b| b.end.saturating_sub(b.start)).sum(),
        bytes: bounds.iter().map(|b| b.bytes).sum(),
        partition: parts,
    }
}
