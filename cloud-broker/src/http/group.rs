//! `/api/v1/groups/{g}`: one consumer group, who is in it and how far it has read; and its end.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use headwater_broker_core::groups::{Answer, DescribedMember, GroupError, Position, Request};
use headwater_broker_core::{PartitionId, StreamId};
use serde_json::{Value, json};

use super::error::ApiError;
use super::groups::word;
use super::query::Params;
use crate::backend::Backend;
use crate::door::Door;

/// `{"group","state","members":[{"id","instance","client","host"}],"offsets":[{"stream","partition","next","end","lag"}]}`
pub(super) async fn describe(
    State(door): State<Door>,
    Path(group): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    Params::of(&uri)?.finish()?;
    let coordinator = door.backend.coordinator();
    let asked = Request::Describe {
        group: group.clone(),
    };
    let described = match coordinator.ask(asked).await {
        Some(Answer::Describe(Some(described))) => described,
        Some(_) => return Err(unknown(&group)),
        None => return Err(stopping()),
    };
    let asked = Request::Fetch {
        group: group.clone(),
        wanted: None,
    };
    let Some(Answer::Fetch(positions)) = coordinator.ask(asked).await else {
        return Err(stopping());
    };
    let offsets = positions
        .iter()
        .filter_map(|(place, position)| offset(&door.backend, place, position));
    Ok(Json(json!({
        "group": group,
        "state": word(described.listed.state),
        "members": described.members.iter().map(member).collect::<Vec<_>>(),
        "offsets": offsets.collect::<Vec<_>>(),
    })))
}

/// Forgets a group without members: 204 once that is durable.
pub(super) async fn delete(
    State(door): State<Door>,
    Path(group): Path<String>,
    uri: Uri,
) -> Result<StatusCode, ApiError> {
    Params::of(&uri)?.finish()?;
    let asked = Request::Delete {
        groups: vec![group.clone()],
    };
    let Some(Answer::Delete(results)) = door.backend.coordinator().ask(asked).await else {
        return Err(stopping());
    };
    match results.into_iter().next() {
        Some(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Some(Err(GroupError::NotEmpty)) => {
            let message = format!("Group \"{group}\" has members");
            Err(ApiError::conflict("group-not-empty", message))
        }
        Some(Err(error @ (GroupError::NotAvailable | GroupError::Busy))) => {
            Err(ApiError::unavailable(error.to_string()))
        }
        Some(Err(_)) | None => Err(unknown(&group)),
    }
}

fn member(member: &DescribedMember) -> Value {
    json!({
        "id": member.id,
        "instance": member.instance,
        "client": member.client_id,
        "host": member.client_host,
    })
}

/// A position in a stream that is still there.
fn offset(backend: &Backend, (id, number): &(StreamId, u32), position: &Position) -> Option<Value> {
    let catalog = backend.catalog();
    let stream = catalog.by_id(id)?;
    let partition: PartitionId = *stream.partitions.get(usize::try_from(*number).ok()?)?;
    let bounds = backend.bounds(partition);
    let lag = bounds.end - position.offset.max(bounds.start);
    Some(json!({
        "stream": stream.spec.name,
        "partition": number,
        "next": position.offset,
        "end": bounds.end,
        "lag": lag.max(0),
    }))
}

fn unknown(group: &str) -> ApiError {
    ApiError::not_found("no-such-group", format!("There is no group \"{group}\""))
}

fn stopping() -> ApiError {
    ApiError::unavailable("The broker is stopping")
}
