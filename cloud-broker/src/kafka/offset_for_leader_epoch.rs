//! OffsetForLeaderEpoch: where the records of each life of this broker end.

use headwater_broker_core::PartitionId;
use headwater_kafka::ErrorCode;
use headwater_kafka::offset_for_leader_epoch::{
    Partition, PartitionResponse, Request, Response, TopicResponse,
};

use super::dispatch::{check_epoch, unreadable};
use super::session::Session;

pub(super) fn handle(session: &Session, request: Request) -> Response {
    let catalog = session.backend().catalog();
    let topics = request.topics.into_iter().map(|topic| {
        let stream = catalog.by_name(&topic.name);
        let partitions = topic.partitions.iter().map(|asked| {
            let place = usize::try_from(asked.index)
                .ok()
                .and_then(|index| stream?.partitions.get(index).copied());
            let place = place.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            answer(
                asked.index,
                place.and_then(|place| find(session, place, asked)),
            )
        });
        TopicResponse {
            partitions: partitions.collect(),
            name: topic.name,
        }
    });
    Response {
        topics: topics.collect(),
    }
}

fn find(
    session: &Session,
    place: PartitionId,
    asked: &Partition,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let backend = session.backend();
    let bounds = backend.try_bounds(place);
    let bounds = bounds.map_err(|reason| unreadable(&reason))?;
    check_epoch(asked.current_leader_epoch, bounds.epoch)?;
    let end = backend.end_of_epoch(place, asked.leader_epoch);
    end.map_err(|reason| unreadable(&reason))
}

fn answer(index: i32, found: Result<Option<(i32, i64)>, ErrorCode>) -> PartitionResponse {
    let (error, found) = match found {
        Ok(found) => (ErrorCode::NONE, found),
        Err(error) => (error, None),
    };
    let (leader_epoch, end_offset) = found.unwrap_or((-1, -1));
    PartitionResponse {
        index,
        error,
        leader_epoch,
        end_offset,
    }
}
