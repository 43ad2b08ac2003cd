//! `/api/v1/streams/{s}/records`: some records of one partition, or a wait for them.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use headwater_broker_core::PartitionId;
use headwater_settings::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::body::json_holding;
use super::cursor::{self, Start};
use super::error::ApiError;
use super::query::{Params, bad};
use super::record::{RecordJson, each_record, record_bytes};
use super::streams::{self, StreamName};
use crate::door::Door;
use crate::limits::Reserved;

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 10_000;
const BYTES_DEFAULT: Bytes = Bytes::mib(1);
const BYTES_MAX: Bytes = Bytes::mib(16);
const WAIT_MS_MAX: u64 = 60_000;
/// Stored bytes that are taken from the log at a time.
const READ_BYTES: usize = 256 << 10;
/// A record is in memory twice: as text, and in the answer.
const COPIES: usize = 2;

/// What was found; `next` is the offset to ask for next time.
#[derive(Debug, Serialize)]
struct Page {
    partition: u32,
    start: i64,
    end: i64,
    next: i64,
    records: Vec<RecordJson>,
}

struct Wanted {
    partition: u32,
    start: Start,
    limit: usize,
    max_bytes: usize,
    wait: Duration,
}

/// Records from an offset on: at most `limit`, and no more bytes than `max_bytes` after the first.
pub(super) async fn read(
    State(door): State<Door>,
    StreamName(name): StreamName,
    uri: Uri,
) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&uri)?;
    let stream = streams::find(&door.backend, &name)?;
    let partition = stream.partitions.get(wanted.partition as usize).copied();
    let partition = partition.ok_or_else(|| {
        let message = format!(
            "Stream \"{name}\" has {} partitions",
            stream.partitions.len()
        );
        ApiError::not_found("no-such-partition", message)
    })?;
    let deadline = Instant::now() + wanted.wait;
    // Before the first look: a commit between look and wait is not missed.
    let watch = door.backend.watch(&[partition]);
    let mut page = wanted.begin(&door, partition).await?;
    let mut memory = door.limits.reserve_answer();
    loop {
        wanted
            .fill(&door, partition, &mut page, &mut memory)
            .await?;
        if !page.records.is_empty() || Instant::now() >= deadline {
            return Ok(json_holding(&page, memory));
        }
        tokio::select! {
            () = watch.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = door.stop.requested() => return Ok(json_holding(&page, memory)),
        }
    }
}

impl Wanted {
    fn of(uri: &Uri) -> Result<Self, ApiError> {
        let mut params = Params::of(uri)?;
        let partition = params.take_number("partition", 0, u32::MAX.into())?;
        let limit = params.take_number("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
        let max_bytes = params
            .take_as::<Bytes>("max_bytes")?
            .unwrap_or(BYTES_DEFAULT);
        let wait_ms = params.take_number("wait_ms", 0, WAIT_MS_MAX)?;
        let start = params.take_as("offset")?.unwrap_or(Start::Earliest);
        params.finish()?;
        if limit == 0 {
            return Err(bad("limit must be at least 1"));
        }
        if max_bytes > BYTES_MAX {
            return Err(bad(format!("max_bytes must be at most {BYTES_MAX}")));
        }
        Ok(Self {
            partition: u32::try_from(partition).unwrap_or(u32::MAX),
            start,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            max_bytes: max_bytes.as_usize(),
            wait: Duration::from_millis(wait_ms),
        })
    }

    async fn begin(&self, door: &Door, partition: PartitionId) -> Result<Page, ApiError> {
        let next = self.start.resolve(&door.backend, partition).await?;
        Ok(Page {
            partition: self.partition,
            start: 0,
            end: 0,
            next,
            records: Vec::new(),
        })
    }

    /// Takes records until a limit or the end is reached, or there is no more memory for answers.
    async fn fill(
        &self,
        door: &Door,
        partition: PartitionId,
        page: &mut Page,
        memory: &mut Reserved,
    ) -> Result<(), ApiError> {
        let bounds = door.backend.try_bounds(partition)?;
        (page.start, page.end) = (bounds.start, bounds.end);
        let mut bytes = 0;
        while page.next < page.end {
            let batches = cursor::read(&door.backend, partition, page.next, READ_BYTES).await?;
            if batches.is_empty() {
                break;
            }
            for batch in batches {
                let from = page.next;
                let flow = each_record(&batch, from, |record, offset| {
                    bytes += record_bytes(record);
                    let full = page.records.len() == self.limit || bytes > self.max_bytes;
                    let full = full && !page.records.is_empty();
                    if full || !memory.grow_to(bytes.saturating_mul(COPIES)) {
                        return ControlFlow::Break(());
                    }
                    page.records.push(RecordJson::of(record, offset, None));
                    page.next = offset.saturating_add(1);
                    ControlFlow::Continue(())
                })?;
                if flow.is_break() && page.records.is_empty() {
                    return Err(ApiError::unavailable("Too much is being read, try again"));
                }
                if flow.is_break() {
                    return Ok(());
                }
                // Records that compaction has removed leave gaps at the end, too.
                page.next = page.next.max(batch.last_offset.saturating_add(1));
            }
        }
        Ok(())
    }
}
