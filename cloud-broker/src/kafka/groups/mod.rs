//! Consumer groups at this door: requests become the coordinator's, its answers Kafka's.

pub(super) mod admin;
pub(super) mod members;
pub(super) mod offsets;

use headwater_broker_core::groups::{Answer, GroupError, Request};
use headwater_broker_core::{Catalog, StreamId};
use headwater_kafka::ErrorCode;
use headwater_kafka::find_coordinator::{self, Coordinator};

use super::session::{NODE_ID, Session};

/// FindCoordinator: it is this broker. Transactions have none, but clients that look for theirs
/// come on to InitProducerId, where they are told so at once.
pub(super) fn find(
    session: &Session,
    request: find_coordinator::Request,
) -> find_coordinator::Response {
    let known = [find_coordinator::GROUP, find_coordinator::TRANSACTION];
    let one = |key: String| match known.contains(&request.key_type) {
        false => Coordinator::none(key, ErrorCode::INVALID_REQUEST),
        true => Coordinator {
            key,
            error: ErrorCode::NONE,
            node_id: NODE_ID,
            host: session.host.clone(),
            port: i32::from(session.port),
        },
    };
    find_coordinator::Response {
        coordinators: request.keys.into_iter().map(one).collect(),
    }
}

/// Asks the coordinator. `None`: the broker stops, [`ErrorCode::NOT_COORDINATOR`].
async fn ask(session: &Session, request: Request) -> Option<Answer> {
    tokio::select! {
        answer = session.backend().coordinator().ask(request) => answer,
        () = session.door().stop.requested() => None,
    }
}

/// The number of an error.
fn code(error: GroupError) -> ErrorCode {
    match error {
        GroupError::NotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        GroupError::Busy => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        GroupError::InvalidGroup => ErrorCode::INVALID_GROUP_ID,
        GroupError::UnknownMember => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupError::Fenced => ErrorCode::FENCED_INSTANCE_ID,
        GroupError::MemberIdRequired => ErrorCode::MEMBER_ID_REQUIRED,
        GroupError::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        GroupError::Rebalancing => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupError::InconsistentProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        GroupError::InvalidSession => ErrorCode::INVALID_SESSION_TIMEOUT,
        GroupError::Full => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::AssignmentTooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
        GroupError::CommitTooLarge => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        GroupError::MetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        GroupError::NotFound => ErrorCode::GROUP_ID_NOT_FOUND,
        GroupError::NotEmpty => ErrorCode::NON_EMPTY_GROUP,
        GroupError::Subscribed => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
    }
}

fn result_code(result: Result<(), GroupError>) -> ErrorCode {
    result.map_or_else(code, |()| ErrorCode::NONE)
}

/// The stream's id and the partition's number, if there is such a partition.
fn place(catalog: &Catalog, topic: &str, index: i32) -> Option<(StreamId, u32)> {
    let stream = catalog.by_name(topic)?;
    let number = u32::try_from(index).ok()?;
    let known = (number as usize) < stream.partitions.len();
    known.then_some((stream.id, number))
}
