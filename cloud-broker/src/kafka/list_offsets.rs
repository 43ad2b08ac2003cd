//! ListOffsets: offsets by time, exact to the record.

use std::sync::Arc;

use headwater_broker_core::PartitionId;
use headwater_kafka::ErrorCode;
use headwater_kafka::list_offsets::{
    EARLIEST, EARLIEST_LOCAL, LATEST, LATEST_TIERED, MAX_TIMESTAMP, Partition, PartitionResponse,
    Request, Response, TopicResponse,
};
use tokio::task::spawn_blocking;

use super::dispatch::{check_epoch, unreadable};
use super::session::Session;
use crate::backend::{Backend, Bounds, ReadError};

pub(super) async fn handle(session: &Session, request: Request, version: i16) -> Response {
    let catalog = session.backend().catalog();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let stream = catalog.by_name(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let place = usize::try_from(asked.index)
                .ok()
                .and_then(|index| stream?.partitions.get(index).copied());
            let found = match place {
                Some(place) => find(session.backend(), place, &asked, version).await,
                None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            };
            partitions.push(answer(asked.index, found));
        }
        topics.push(TopicResponse {
            name: topic.name,
            partitions,
        });
    }
    Response { topics }
}

/// An offset, its record's timestamp (-1 if that was not asked) and the leader epoch.
type Found = Option<(i64, i64, i32)>;

async fn find(
    backend: &Arc<Backend>,
    place: PartitionId,
    asked: &Partition,
    version: i16,
) -> Result<Found, ErrorCode> {
    let bounds = backend.try_bounds(place);
    let bounds = bounds.map_err(|reason| unreadable(&reason))?;
    check_epoch(asked.current_leader_epoch, bounds.epoch)?;
    if version < known_since(asked.timestamp) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    let at = |offset| Ok(Some((offset, -1, bounds.epoch)));
    match asked.timestamp {
        LATEST => at(bounds.end),
        EARLIEST | EARLIEST_LOCAL => at(bounds.start),
        LATEST_TIERED => Ok(None),
        MAX_TIMESTAMP => {
            let look = move |backend: &Backend| backend.latest_by_time(place);
            Ok(blocking(backend, look)
                .await?
                .map(|found| with_epoch(found, bounds)))
        }
        timestamp => {
            let look = move |backend: &Backend| backend.offset_for_time(place, timestamp);
            Ok(blocking(backend, look)
                .await?
                .map(|found| with_epoch(found, bounds)))
        }
    }
}

/// The first version in which a timestamp means something.
fn known_since(timestamp: i64) -> i16 {
    match timestamp {
        EARLIEST.. => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => i16::MAX,
    }
}

/// Finding a record may read the disk and open a batch.
async fn blocking<T: Send + 'static>(
    backend: &Arc<Backend>,
    look: impl FnOnce(&Backend) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ErrorCode> {
    let backend = Arc::clone(backend);
    match spawn_blocking(move || look(&backend)).await {
        Ok(found) => found.map_err(|reason| unreadable(&reason)),
        Err(_) => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

fn with_epoch((offset, timestamp): (i64, i64), bounds: Bounds) -> (i64, i64, i32) {
    (offset, timestamp, bounds.epoch)
}

fn answer(index: i32, found: Result<Found, ErrorCode>) -> PartitionResponse {
    let (error, found) = match found {
        Ok(found) => (ErrorCode::NONE, found),
        Err(error) => (error, None),
    };
    let (offset, timestamp, leader_epoch) = found.unwrap_or((-1, -1, -1));
    PartitionResponse {
        index,
        error,
        timestamp,
        offset,
        leader_epoch,
    }
}
