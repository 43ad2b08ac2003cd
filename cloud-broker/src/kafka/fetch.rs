//! Fetch: whole batches as they lie in the log, or a wait until there are some.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_broker_core::PartitionId;
use headwater_kafka::fetch::{
    EpochEnd, Partition, PartitionResponse, Request, Response, TopicResponse,
};
use headwater_kafka::{ErrorCode, Response as AnyResponse};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::dispatch::{Handled, check_epoch, unreadable};
use super::room::Room;
use super::session::Session;
use crate::backend::{Bounds, StoredBatch};

/// Bytes of records in one answer, whatever the client permits; clients ask for the rest next.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// The longest that a client is kept waiting, whatever it permits.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The first version that names topics by id.
const IDS_SINCE: i16 = 13;

/// Answers when there are `min_bytes`, something to report, or the client's time is over.
pub(super) async fn handle(session: &Session, request: &Request, version: i16) -> Handled {
    if let Some(error) = no_session(request) {
        let topics = Vec::new();
        return AnyResponse::Fetch(Response { error, topics }).into();
    }
    let missing = missing(version);
    let places = resolve(session, request, version);
    let known: Vec<PartitionId> = places.iter().filter_map(|place| place.ok()).collect();
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait.min(WAIT_MAX);
    let enough = usize::try_from(request.min_bytes).unwrap_or(0);
    let enough = enough.min(bytes_max(request));
    // Made before reading, so that no commit is missed in between.
    let watch = session.backend().watch(&known);
    loop {
        let gathered = gather(session, request, &places, missing).await;
        let over = Instant::now() >= deadline || session.door().stop.is_requested();
        if gathered.bytes >= enough || gathered.urgent || known.is_empty() || over {
            return gathered.into_handled(request);
        }
        drop(gathered);
        tokio::select! {
            () = watch.changed() => {}
            () = sleep_until(deadline) => {}
            () = session.door().stop.requested() => {}
        }
    }
}

/// Fetch sessions are refused: every answer says that there is none, so that each request names
/// all that it wants. One that would continue a session names only changes; to take it for a full
/// request would lose data.
fn no_session(request: &Request) -> Option<ErrorCode> {
    match (request.session_id, request.session_epoch) {
        (0, -1 | 0) => None,
        (0, _) => Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH),
        _ => Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
    }
}

fn bytes_max(request: &Request) -> usize {
    usize::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(ANSWER_BYTES_MAX)
}

/// Where each partition asked lies, in the order of the request.
fn resolve(
    session: &Session,
    request: &Request,
    version: i16,
) -> Vec<Result<PartitionId, ErrorCode>> {
    let catalog = session.backend().catalog();
    let mut places = Vec::new();
    for topic in &request.topics {
        let stream = match version {
            IDS_SINCE.. => catalog.by_id(&topic.id),
            _ => catalog.by_name(&topic.name),
        };
        places.extend(topic.partitions.iter().map(|partition| {
            let stream = stream.ok_or_else(|| missing(version))?;
            let place = usize::try_from(partition.index)
                .ok()
                .and_then(|index| stream.partitions.get(index));
            place.copied().ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        }));
    }
    places
}

/// What a client is told of a topic that is not there, or not any more.
fn missing(version: i16) -> ErrorCode {
    match version {
        IDS_SINCE.. => ErrorCode::UNKNOWN_TOPIC_ID,
        _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    }
}

/// What there is at one moment.
struct Gathered {
    /// In the order of the request.
    partitions: Vec<PartitionResponse>,
    bytes: usize,
    /// Something that the client is not to wait for: an error, or a history that is not ours.
    urgent: bool,
    room: Room,
}

async fn gather(
    session: &Session,
    request: &Request,
    places: &[Result<PartitionId, ErrorCode>],
    missing: ErrorCode,
) -> Gathered {
    let mut gathered = Gathered {
        partitions: Vec::with_capacity(places.len()),
        bytes: 0,
        urgent: false,
        room: session.fetch_room(bytes_max(request)).await,
    };
    let most = gathered.room.bytes().min(bytes_max(request));
    // Without memory there is nothing, and the client asks again.
    let is_served = gathered.room.bytes() > 0;
    let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
    for (asked, place) in asked.zip(places) {
        let left = most.saturating_sub(gathered.bytes);
        let first = gathered.bytes == 0 && is_served;
        let mut answer = match place {
            Ok(place) => match partition(session, *place, asked, left, first).await {
                // Deleted while the client waited.
                gone if gone.error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                    empty(asked.index, missing)
                }
                answer => answer,
            },
            Err(error) => empty(asked.index, *error),
        };
        answer.read_committed = request.isolation_level == 1;
        gathered.urgent |= !answer.error.is_none() || answer.diverging.is_some();
        gathered.bytes += answer.records.iter().map(Bytes::len).sum::<usize>();
        gathered.partitions.push(answer);
    }
    gathered.room.fit(gathered.bytes);
    gathered
}

impl Gathered {
    fn into_handled(self, request: &Request) -> Handled {
        let mut partitions = self.partitions.into_iter();
        let topics = request.topics.iter().map(|topic| TopicResponse {
            name: topic.name.clone(),
            id: topic.id,
            partitions: partitions.by_ref().take(topic.partitions.len()).collect(),
        });
        let response = AnyResponse::Fetch(Response {
            error: ErrorCode::NONE,
            topics: topics.collect(),
        });
        Handled {
            response: Some(response),
            room: Some(self.room),
        }
    }
}

/// One partition's part, within `left` bytes; only the first that has anything may exceed that,
/// with one batch, or a large batch would stop its consumers for ever (KIP-74).
async fn partition(
    session: &Session,
    place: PartitionId,
    asked: &Partition,
    left: usize,
    first: bool,
) -> PartitionResponse {
    let before = match session.backend().try_bounds(place) {
        Ok(bounds) => bounds,
        Err(reason) => return empty(asked.index, unreadable(&reason)),
    };
    let mut answer = empty(asked.index, ErrorCode::NONE);
    answer.high_watermark = before.end;
    answer.log_start_offset = before.start;
    if let Err(error) = check_epoch(asked.current_leader_epoch, before.epoch) {
        answer.error = error;
        return answer;
    }
    answer.diverging = diverging(session, place, asked, before);
    if answer.diverging.is_some() {
        return answer;
    }
    if !(before.start..=before.end).contains(&asked.offset) {
        answer.error = ErrorCode::OFFSET_OUT_OF_RANGE;
        return answer;
    }
    if asked.offset == before.end || (left == 0 && !first) {
        return answer;
    }
    let most = usize::try_from(asked.max_bytes).unwrap_or(0).min(left);
    match read(session, place, asked.offset, most).await {
        Ok(batches) => {
            let fits = |batch: &StoredBatch| batch.bytes.len() <= most;
            if first || batches.first().is_some_and(fits) {
                let end = batches
                    .last()
                    .map_or(before.end, |last| last.last_offset + 1);
                answer.high_watermark = before.end.max(end);
                answer.records = batches.into_iter().map(|batch| batch.bytes).collect();
            }
        }
        Err(error) => answer.error = error,
    }
    answer
}

/// Where the client's history and ours part, if what it read last is not on ours.
fn diverging(
    session: &Session,
    place: PartitionId,
    asked: &Partition,
    bounds: Bounds,
) -> Option<EpochEnd> {
    if asked.last_fetched_epoch < 0 {
        return None;
    }
    let found = session
        .backend()
        .end_of_epoch(place, asked.last_fetched_epoch);
    let (epoch, end_offset) = match found {
        Ok(Some(found)) => found,
        // Of a leader that never was, or of before the first record.
        Ok(None) if asked.last_fetched_epoch > bounds.epoch => (bounds.epoch, bounds.end),
        Ok(None) | Err(_) => return None,
    };
    let parted = epoch < asked.last_fetched_epoch || end_offset < asked.offset;
    parted.then_some(EpochEnd { epoch, end_offset })
}

/// From memory if the batches are recent, else from the disk, where it keeps nobody waiting.
async fn read(
    session: &Session,
    place: PartitionId,
    offset: i64,
    bytes_max: usize,
) -> Result<Vec<StoredBatch>, ErrorCode> {
    let backend = session.backend();
    let read = match backend.read_recent(place, offset, bytes_max) {
        Some(read) => read,
        None => {
            let backend = Arc::clone(backend);
            let reading = spawn_blocking(move || backend.read(place, offset, bytes_max));
            reading.await.map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?
        }
    };
    read.map_err(|reason| unreadable(&reason))
}

/// An answer without records. Of a partition that does not exist nothing is known, and clients
/// are told -1.
fn empty(index: i32, error: ErrorCode) -> PartitionResponse {
    PartitionResponse {
        index,
        error,
        high_watermark: -1,
        log_start_offset: -1,
        diverging: None,
        read_committed: false,
        records: Vec::new(),
    }
}
