//! `POST /api/v1/streams/{s}/records`: records from JSON or NDJSON into the log.
//!
//! The body is taken in as it arrives (`body`), its records are read one by one (`json`) and put
//! into one batch for each partition (`batches`), and the answer waits until each batch is durable.
//! A record that is wrong refuses the whole request; a batch is appended whole or not at all.

mod batches;
mod body;
mod json;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use headwater_broker_core::{PartitionId, Stream};
use serde::Serialize;
use tokio::task::block_in_place;

use super::body::json_holding;
use super::error::ApiError;
use super::query::Params;
use super::streams::{self, StreamName};
use crate::backend::AppendError;
use crate::clock::now_ms;
use crate::door::Door;
use crate::limits::Reserved;
use crate::metrics::DoorName;
use batches::{Batches, Made};
pub(super) use json::Format;

/// Most records of one request.
pub(super) const RECORDS_MAX: usize = 10_000;
/// Most bytes of a request's body.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;
/// A body above this is read where it does not keep other connections waiting.
const INLINE_BYTES_MAX: usize = 32 << 10;
/// What each record of an answer takes, as text and before.
const ANSWER_BYTES: usize = 64;

/// Where each record came to lie, in the order of the request.
#[derive(Debug, Serialize)]
struct Appended {
    offsets: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Place {
    partition: u32,
    offset: i64,
}

/// Appends the records of the body; answers once they are durable.
pub(super) async fn append(
    State(door): State<Door>,
    StreamName(name): StreamName,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let format = Format::of(&headers)?;
    let stream = streams::find(&door.backend, &name)?;
    if stream.internal {
        return Err(ApiError::internal_stream());
    }
    let mut memory = door.limits.reserve();
    let text = body::collect(&headers, body, &mut memory).await?;
    let (keyless, now_ms) = (turn(&stream), now_ms());
    let mut read = || read(&stream, keyless, format, &text, now_ms, &mut memory);
    let made = if text.len() > INLINE_BYTES_MAX {
        block_in_place(read)
    } else {
        read()
    }?;
    drop(text);
    let bytes: usize = made.batches.values().map(|batch| batch.bytes.len()).sum();
    memory.shrink_to(bytes + made.places.len() * ANSWER_BYTES);
    let answer = commit(&door, &stream, made).await?;
    Ok(json_holding(&answer, memory))
}

/// The batches that a body becomes.
pub(super) fn read(
    stream: &Stream,
    keyless: u32,
    format: Format,
    text: &[u8],
    now_ms: i64,
    memory: &mut Reserved,
) -> Result<Made, ApiError> {
    let held = memory.bytes();
    let mut batches = Batches::new(stream, keyless, now_ms, held, memory);
    json::read(format, text, &mut batches)?;
    Ok(batches.finish())
}

/// Puts every batch in line, then waits for all of them.
async fn commit(door: &Door, stream: &Stream, made: Made) -> Result<Appended, ApiError> {
    let mut waiting = Vec::with_capacity(made.batches.len());
    for (partition, batch) in made.batches {
        let place = partition_id(stream, partition)?;
        let submitted = door.backend.submit(place, batch.bytes, batch.topics).await;
        waiting.push((partition, batch.records, submitted));
    }
    let mut bases = BTreeMap::new();
    let mut refused = None;
    for (partition, records, submitted) in waiting {
        let appended = match submitted {
            Ok(pending) => pending.await,
            Err(error) => Err(error),
        };
        match appended {
            Ok(appended) => {
                door.metrics.records_in.of(DoorName::Http).add(records);
                bases.insert(partition, appended.base_offset);
            }
            Err(error) => refused = refused.or(Some((partition, error))),
        }
    }
    match refused {
        None => Ok(Appended {
            offsets: made.places.iter().map(|place| place.at(&bases)).collect(),
        }),
        Some((partition, error)) => Err(partly(partition, error, bases.into_keys())),
    }
}

/// The refusal of one partition's records, with what became of the others.
fn partly(partition: u32, error: AppendError, appended: impl Iterator<Item = u32>) -> ApiError {
    let appended: Vec<String> = appended.map(|number| number.to_string()).collect();
    let refusal = ApiError::from(error).at(format!("Partition {partition}"));
    match appended.is_empty() {
        true => refusal,
        false => refusal.and(format!(
            "the records of partition {} were appended",
            appended.join(", ")
        )),
    }
}

fn partition_id(stream: &Stream, partition: u32) -> Result<PartitionId, ApiError> {
    let found = stream.partitions.get(partition as usize);
    found
        .copied()
        .ok_or_else(|| ApiError::from(AppendError::NoPartition))
}

/// The partition for a request's records without a key: all of them lie in one, in their order,
/// and the next request's in the next.
fn turn(stream: &Stream) -> u32 {
    static REQUESTS: AtomicU32 = AtomicU32::new(0);
    let partitions = u32::try_from(stream.partitions.len()).unwrap_or(u32::MAX);
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    number.checked_rem(partitions).unwrap_or(0)
}

impl batches::Place {
    fn at(&self, bases: &BTreeMap<u32, i64>) -> Place {
        let base = bases.get(&self.partition).copied().unwrap_or(0);
        Place {
            partition: self.partition,
            offset: base.saturating_add(self.index.into()),
        }
    }
}
