//! From a request to the file of its API.

use std::sync::Arc;

use headwater_kafka::{ErrorCode, Header, Request, Response};

use super::groups::{self, admin, members, offsets};
use super::room::Room;
use super::session::Session;
use super::{
    api_versions, create_topics, delete_topics, describe_cluster, describe_configs, fetch,
    init_producer_id, list_offsets, metadata, offset_for_leader_epoch, produce,
};
use crate::backend::{ReadError, Unavailable};

/// What a handler gives back.
#[derive(Debug)]
pub(super) struct Handled {
    /// The answer, if there is to be one.
    pub(super) response: Option<Response>,
    /// Memory that the answer's records hold.
    pub(super) room: Option<Room>,
}

impl From<Response> for Handled {
    fn from(response: Response) -> Self {
        Self {
            response: Some(response),
            room: None,
        }
    }
}

/// A request without acknowledgement failed: all that its client can be told is the end of the
/// connection.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("A request without acknowledgement failed: {0}")]
pub(super) struct Unacknowledged(pub(super) ErrorCode);

/// Works on one request to its end.
pub(super) async fn handle(
    session: &Arc<Session>,
    header: &Header,
    request: Request,
) -> Result<Handled, Unacknowledged> {
    let version = header.version;
    let response = match request {
        Request::Produce(request) => {
            let submitted = produce::submit(session, request, version).await;
            return submitted.finish(session).await;
        }
        Request::Fetch(request) => return Ok(fetch::handle(session, &request, version).await),
        Request::ListOffsets(request) => {
            Response::ListOffsets(list_offsets::handle(session, request, version).await)
        }
        Request::Metadata(request) => Response::Metadata(metadata::handle(session, request).await),
        Request::ApiVersions(request) => {
            Response::ApiVersions(api_versions::handle(session, request))
        }
        Request::CreateTopics(request) => {
            Response::CreateTopics(create_topics::handle(session, request).await)
        }
        Request::DeleteTopics(request) => {
            Response::DeleteTopics(delete_topics::handle(session, request).await)
        }
        Request::InitProducerId(request) => {
            Response::InitProducerId(init_producer_id::handle(session, &request).await)
        }
        Request::OffsetForLeaderEpoch(request) => {
            Response::OffsetForLeaderEpoch(offset_for_leader_epoch::handle(session, request))
        }
        Request::DescribeConfigs(request) => {
            Response::DescribeConfigs(describe_configs::handle(session, request))
        }
        Request::DescribeCluster(request) => {
            Response::DescribeCluster(describe_cluster::handle(session, &request))
        }
        Request::FindCoordinator(request) => {
            Response::FindCoordinator(groups::find(session, request))
        }
        Request::JoinGroup(request) => {
            Response::JoinGroup(members::join(session, header, request).await)
        }
        Request::SyncGroup(request) => Response::SyncGroup(members::sync(session, request).await),
        Request::Heartbeat(request) => {
            Response::Heartbeat(members::heartbeat(session, request).await)
        }
        Request::LeaveGroup(request) => {
            Response::LeaveGroup(members::leave(session, request).await)
        }
        Request::OffsetCommit(request) => {
            Response::OffsetCommit(offsets::commit(session, request).await)
        }
        Request::OffsetFetch(request) => {
            Response::OffsetFetch(offsets::fetch(session, request).await)
        }
        Request::OffsetDelete(request) => {
            Response::OffsetDelete(offsets::delete(session, request).await)
        }
        Request::ListGroups(request) => Response::ListGroups(admin::list(session, request).await),
        Request::DescribeGroups(request) => {
            Response::DescribeGroups(admin::describe(session, request).await)
        }
        Request::DeleteGroups(request) => {
            Response::DeleteGroups(admin::delete(session, request).await)
        }
    };
    Ok(response.into())
}

/// A code on which clients try again: with a fresh look at the cluster if this broker is about to
/// go, otherwise after a pause.
pub(super) fn unavailable(reason: Unavailable) -> ErrorCode {
    match reason {
        Unavailable::Failed | Unavailable::DiskFull => ErrorCode::KAFKA_STORAGE_ERROR,
        Unavailable::Stopped => ErrorCode::NOT_LEADER_OR_FOLLOWER,
    }
}

/// Why a partition cannot be read.
pub(super) fn unreadable(reason: &ReadError) -> ErrorCode {
    match reason {
        ReadError::OffsetOutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::NoPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ReadError::Store(_) | ReadError::Damaged(_) => {
            tracing::error!(%reason, "Committed records cannot be read");
            ErrorCode::KAFKA_STORAGE_ERROR
        }
    }
}

/// Compares a client's idea of the leader epoch, -1 for none, with ours.
pub(super) fn check_epoch(theirs: i32, ours: i32) -> Result<(), ErrorCode> {
    match theirs {
        -1 => Ok(()),
        _ if theirs < ours => Err(ErrorCode::FENCED_LEADER_EPOCH),
        _ if theirs > ours => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
        _ => Ok(()),
    }
}
