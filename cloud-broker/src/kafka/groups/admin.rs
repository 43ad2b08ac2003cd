//! ListGroups, DescribeGroups, DeleteGroups.

use headwater_broker_core::groups::{Answer, Described, DescribedMember, Request};
use headwater_kafka::{ErrorCode, delete_groups, describe_groups, list_groups};

use super::super::session::Session;
use super::{ask, result_code};

/// The type of all groups here; the newer protocol's is `consumer`.
const CLASSIC: &str = "classic";

pub(in super::super) async fn list(
    session: &Session,
    request: list_groups::Request,
) -> list_groups::Response {
    let Some(Answer::List(all)) = ask(session, Request::List).await else {
        return list_groups::Response {
            error: ErrorCode::NOT_COORDINATOR,
            groups: Vec::new(),
        };
    };
    let among = |words: &[String], word: &str| {
        words.is_empty() || words.iter().any(|one| one.eq_ignore_ascii_case(word))
    };
    let wanted = all.into_iter().filter(|group| {
        among(&request.states, group.state.name()) && among(&request.types, CLASSIC)
    });
    let groups = wanted.map(|group| list_groups::Group {
        name: group.group,
        protocol_type: group.protocol_type,
        state: group.state.name().to_owned(),
    });
    list_groups::Response {
        error: ErrorCode::NONE,
        groups: groups.collect(),
    }
}

pub(in super::super) async fn describe(
    session: &Session,
    mut request: describe_groups::Request,
) -> describe_groups::Response {
    // Each once, however often it is named: the answer is bounded by what there is.
    request.groups.sort_unstable();
    request.groups.dedup();
    let mut groups = Vec::with_capacity(request.groups.len());
    for name in request.groups {
        let asked = Request::Describe {
            group: name.clone(),
        };
        let answer = ask(session, asked).await;
        groups.push(match answer {
            Some(Answer::Describe(Some(described))) => group(described),
            Some(Answer::Describe(None)) => describe_groups::Group {
                name,
                state: "Dead".to_owned(),
                ..describe_groups::Group::default()
            },
            _ => describe_groups::Group {
                name,
                error: ErrorCode::NOT_COORDINATOR,
                ..describe_groups::Group::default()
            },
        });
    }
    describe_groups::Response { groups }
}

fn group(described: Described) -> describe_groups::Group {
    let member = |member: DescribedMember| describe_groups::Member {
        id: member.id,
        instance: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        metadata: member.metadata,
        assignment: member.assignment,
    };
    describe_groups::Group {
        error: ErrorCode::NONE,
        state: described.listed.state.name().to_owned(),
        name: described.listed.group,
        protocol_type: described.listed.protocol_type,
        protocol: described.protocol,
        members: described.members.into_iter().map(member).collect(),
    }
}

pub(in super::super) async fn delete(
    session: &Session,
    mut request: delete_groups::Request,
) -> delete_groups::Response {
    request.groups.sort_unstable();
    request.groups.dedup();
    let asked = Request::Delete {
        groups: request.groups.clone(),
    };
    let codes: Vec<ErrorCode> = match ask(session, asked).await {
        Some(Answer::Delete(results)) => results.into_iter().map(result_code).collect(),
        _ => vec![ErrorCode::NOT_COORDINATOR; request.groups.len()],
    };
    delete_groups::Response {
        groups: request.groups.into_iter().zip(codes).collect(),
    }
}
