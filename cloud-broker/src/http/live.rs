//! `/api/v1/streams/{s}/live`: records as they come, as server-sent events.

use std::convert::Infallible;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use headwater_broker_core::PartitionId;
use headwater_broker_core::replay::Merge;
use headwater_wire::batch::Record;
use headwater_wire::topic;
use tokio::time::Instant;

use super::cursor::{self, From, Start};
use super::error::ApiError;
use super::query::{Params, bad};
use super::record::{RecordJson, each_record};
use super::streams::{self, StreamName};
use crate::backend::{ReadError, StoredBatch, Watch};
use crate::door::Door;
use crate::limits::Reserved;

/// A sign of life on a quiet connection.
const PING: Duration = Duration::from_secs(15);
/// Text that is made at a time; more is made when the client has taken it.
const TEXT_BYTES: usize = 128 << 10;
/// Stored bytes that one connection holds while it decides which batch comes next.
const HELD_BYTES_MAX: usize = 1 << 20;
/// What is said last to those who follow a stream that is deleted. A browser that connects again
/// gets 404, and then gives up.
const DELETED: &[u8] = b"event: end\n\
    data: {\"error\":{\"code\":\"no-such-stream\",\"message\":\"The stream was deleted\"}}\n\n";

/// Begins to follow a stream.
pub(super) async fn follow(
    State(door): State<Door>,
    StreamName(name): StreamName,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let filter = params.take("filter");
    let from = params
        .take_as("from")?
        .unwrap_or(From::Everywhere(Start::Latest));
    params.finish()?;
    if filter
        .as_ref()
        .is_some_and(|filter| topic::check_filter(filter.as_bytes()).is_err())
    {
        return Err(bad("filter is not a topic filter"));
    }
    // A browser that connects again sends the id of the last event and the same parameters.
    let from = last_event_id(&headers)?.unwrap_or(from);
    let stream = streams::find(&door.backend, &name)?;
    let live = Live::open(door, &stream.partitions, from, filter).await?;
    let events = futures_util::stream::unfold(live, |mut live| async move {
        let text = live.next().await?;
        Some((Ok::<_, Infallible>(text), live))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((kind, Body::from_stream(events)).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<From>, ApiError> {
    let Some(id) = headers.get("last-event-id") else {
        return Ok(None);
    };
    match id.to_str().unwrap_or_default().parse() {
        Ok(from @ From::Each(_)) => Ok(Some(from)),
        Ok(From::Everywhere(_)) | Err(_) => Err(bad("Last-Event-ID is not the id of an event")),
    }
}

/// One connection's place in a stream.
struct Live {
    door: Door,
    watch: Watch,
    /// By number.
    partitions: Vec<PartitionId>,
    place: Merge<StoredBatch>,
    /// Memory for the batches that the place holds.
    held: Reserved,
    filter: Option<String>,
    /// The id has changed since the client was last told.
    moved: bool,
    ping_at: Instant,
    /// The stream was deleted, and the client was told.
    ended: bool,
}

impl Live {
    async fn open(
        door: Door,
        partitions: &[PartitionId],
        from: From,
        filter: Option<String>,
    ) -> Result<Self, ReadError> {
        // Before the places: a commit in between is not missed.
        let watch = door.backend.watch(partitions);
        let mut next = Vec::with_capacity(partitions.len());
        for (number, partition) in (0..).zip(partitions.iter().copied()) {
            next.push(from.start(number).resolve(&door.backend, partition).await?);
        }
        let ping_at = Instant::now() + PING;
        let held = door.limits.reserve_answer();
        Ok(Self {
            door,
            watch,
            partitions: partitions.to_vec(),
            place: Merge::new(next, HELD_BYTES_MAX),
            held,
            filter,
            moved: true,
            ping_at,
            ended: false,
        })
    }

    /// What to send next; `None` ends the connection.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        // A client that connects again before any event came knows where it was.
        if self.moved && !self.place.knows_more() {
            self.moved = false;
            return Some(self.id_line().into());
        }
        loop {
            match self.read().await {
                Ok(Some(text)) => {
                    self.ping_at = Instant::now() + PING;
                    return Some(text.into());
                }
                Ok(None) => {}
                Err(ReadError::NoPartition) => {
                    self.ended = true;
                    return Some(Bytes::from_static(DELETED));
                }
                Err(error) => {
                    tracing::error!(%error, "Live events ended, the log cannot be read");
                    return None;
                }
            }
            tokio::select! {
                () = self.watch.changed() => {}
                () = tokio::time::sleep_until(self.ping_at) => {
                    self.ping_at = Instant::now() + PING;
                    return Some(self.ping().into());
                }
                () = self.door.stop.requested() => return None,
            }
        }
    }

    /// Text of the next records, in order of arrival, then partition; `None` at the end of all.
    async fn read(&mut self) -> Result<Option<String>, ReadError> {
        loop {
            self.fill().await?;
            let Some(earliest) = self.place.pop() else {
                return Ok(None);
            };
            self.held.shrink_to(self.place.held_bytes());
            let batch = match earliest.batch {
                Some(batch) => Some(batch),
                None => self.first(earliest.partition).await?,
            };
            let Some(batch) = batch else { continue };
            let text = self.write_events(earliest.partition, batch)?;
            if !text.is_empty() {
                return Ok(Some(text));
            }
            // Much may be read that the filter leaves out; others want the thread too.
            tokio::task::yield_now().await;
        }
    }

    /// Reads the next batch of every partition that has one.
    async fn fill(&mut self) -> Result<(), ReadError> {
        let mut ends = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            ends.push(self.door.backend.try_bounds(*partition)?.end);
        }
        let unknown: Vec<_> = self.place.unknown(&ends).collect();
        for (number, _) in unknown {
            if let Some(batch) = self.first(number).await? {
                self.hold(number, batch);
            }
        }
        Ok(())
    }

    fn hold(&mut self, number: usize, batch: StoredBatch) {
        let (arrival_ms, bytes) = (batch.arrival_ms, batch.bytes.len());
        self.place.offer(number, arrival_ms, bytes, batch);
        if !self.held.grow_to(self.place.held_bytes()) {
            self.place.let_go(number);
        }
    }

    /// The batch that contains a partition's next record. A record that was deleted meanwhile is
    /// passed over: the gap shows in the offsets.
    async fn first(&mut self, number: usize) -> Result<Option<StoredBatch>, ReadError> {
        let partition = self.partitions[number];
        let backend = Arc::clone(&self.door.backend);
        let read = match cursor::read(&backend, partition, self.place.next(number), 1).await {
            Err(ReadError::OffsetOutOfRange) => {
                self.place.skip_to(number, backend.bounds(partition).start);
                cursor::read(&backend, partition, self.place.next(number), 1).await
            }
            read => read,
        };
        Ok(read?.into_iter().next())
    }

    /// Events of `batch` from the place on; what is too much for now comes next.
    fn write_events(&mut self, number: usize, batch: StoredBatch) -> Result<String, ReadError> {
        let mut text = String::new();
        let from = self.place.next(number);
        let filter = self.filter.clone();
        let flow = each_record(&batch, from, |record, offset| {
            if text.len() >= TEXT_BYTES {
                return ControlFlow::Break(());
            }
            self.place.skip_to(number, offset.saturating_add(1));
            let wanted = matches(filter.as_deref(), record);
            if wanted {
                self.write_event(&mut text, number, record, offset);
            }
            self.moved = !wanted;
            ControlFlow::Continue(())
        })?;
        if flow.is_break() {
            self.hold(number, batch);
        } else {
            let end = batch.last_offset.saturating_add(1);
            self.place.skip_to(number, end);
        }
        Ok(text)
    }

    fn write_event(&self, text: &mut String, number: usize, record: &Record<'_>, offset: i64) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let json = serde_json::to_string(&RecordJson::of(record, offset, Some(number)))
            .expect("texts and numbers are always JSON");
        text.push_str("id: ");
        self.write_id(text);
        write!(text, "\nevent: record\ndata: {json}\n\n").expect("a String takes all text");
    }

    fn ping(&mut self) -> String {
        let moved = std::mem::take(&mut self.moved);
        let id = if moved { self.id_line() } else { String::new() };
        format!(": ping\n\n{id}")
    }

    /// An event without data: it is not given to the page, and its id counts.
    fn id_line(&self) -> String {
        let mut text = String::from("id: ");
        self.write_id(&mut text);
        text.push_str("\n\n");
        text
    }

    /// Every partition's next offset.
    fn write_id(&self, text: &mut String) {
        for number in 0..self.partitions.len() {
            let comma = if number == 0 { "" } else { "," };
            write!(text, "{comma}{number}:{}", self.place.next(number))
                .expect("a String takes all text");
        }
    }
}

fn matches(filter: Option<&str>, record: &Record<'_>) -> bool {
    let Some(filter) = filter else {
        return true;
    };
    let key = record.key.and_then(|key| topic::check_name(key).ok());
    key.is_some_and(|key| topic::matches(filter, key))
}
