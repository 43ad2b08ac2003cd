//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use headwater_broker_core::groups::{
    Answer, Caller, Join, JoinRefused, Joined, Leave, Request, Sync, Synced,
};
use headwater_kafka::{ErrorCode, Header, heartbeat, join_group, leave_group, sync_group};

use super::super::session::Session;
use super::{ask, code, result_code};
use crate::backend::Coordinator;

/// The first version whose clients learn their id before they join.
const ID_REQUIRED_SINCE: i16 = 4;
/// The first version whose clients understand that there is nothing to assign.
const SKIP_SINCE: i16 = 9;

pub(in super::super) async fn join(
    session: &Session,
    header: &Header,
    request: join_group::Request,
) -> join_group::Response {
    let member = request.member.clone();
    let join = Join {
        group: request.group,
        member: request.member,
        instance: request.instance,
        client_id: header.client_id.clone().unwrap_or_default(),
        client_host: session.client_host(),
        fresh: Coordinator::fresh_id(),
        session_ms: request.session_timeout_ms,
        rebalance_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: request.protocols,
        id_required: header.version >= ID_REQUIRED_SINCE,
        may_skip_assignment: header.version >= SKIP_SINCE,
    };
    match ask(session, Request::Join(join)).await {
        Some(Answer::Join(Ok(joined))) => welcome(joined),
        Some(Answer::Join(Err(JoinRefused { error, member }))) => {
            join_group::Response::refused(code(error), member)
        }
        _ => join_group::Response::refused(ErrorCode::NOT_COORDINATOR, member),
    }
}

fn welcome(joined: Joined) -> join_group::Response {
    let member = |(id, instance, metadata)| join_group::Member {
        id,
        instance,
        metadata,
    };
    join_group::Response {
        error: ErrorCode::NONE,
        generation: joined.generation,
        protocol_type: Some(joined.protocol_type),
        protocol: Some(joined.protocol),
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member: joined.member,
        members: joined.members.into_iter().map(member).collect(),
    }
}

pub(in super::super) async fn sync(
    session: &Session,
    request: sync_group::Request,
) -> sync_group::Response {
    let caller = Caller {
        group: request.group,
        generation: request.generation,
        member: request.member,
        instance: request.instance,
    };
    let sync = Sync {
        caller,
        protocol_type: request.protocol_type,
        protocol: request.protocol,
        assignments: request.assignments,
    };
    let refused = |error| sync_group::Response {
        error,
        ..sync_group::Response::default()
    };
    match ask(session, Request::Sync(sync)).await {
        Some(Answer::Sync(Ok(Synced {
            protocol_type,
            protocol,
            assignment,
        }))) => sync_group::Response {
            error: ErrorCode::NONE,
            protocol_type: Some(protocol_type),
            protocol: Some(protocol),
            assignment,
        },
        Some(Answer::Sync(Err(error))) => refused(code(error)),
        _ => refused(ErrorCode::NOT_COORDINATOR),
    }
}

pub(in super::super) async fn heartbeat(
    session: &Session,
    request: heartbeat::Request,
) -> heartbeat::Response {
    let caller = Caller {
        group: request.group,
        generation: request.generation,
        member: request.member,
        instance: request.instance,
    };
    let error = match ask(session, Request::Heartbeat(caller)).await {
        Some(Answer::Heartbeat(result)) => result_code(result),
        _ => ErrorCode::NOT_COORDINATOR,
    };
    heartbeat::Response { error }
}

pub(in super::super) async fn leave(
    session: &Session,
    request: leave_group::Request,
) -> leave_group::Response {
    let members = request.members.iter();
    let leave = Leave {
        group: request.group,
        members: members
            .map(|member| (member.id.clone(), member.instance.clone()))
            .collect(),
    };
    let refused = |error| leave_group::Response {
        error,
        members: Vec::new(),
    };
    match ask(session, Request::Leave(leave)).await {
        Some(Answer::Leave(Ok(results))) => leave_group::Response {
            error: ErrorCode::NONE,
            members: request
                .members
                .into_iter()
                .zip(results.into_iter().map(result_code))
                .collect(),
        },
        Some(Answer::Leave(Err(error))) => refused(code(error)),
        _ => refused(ErrorCode::NOT_COORDINATOR),
    }
}
