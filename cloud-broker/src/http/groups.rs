//! `/api/v1/groups`: consumer groups, and how far each is behind.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use headwater_broker_core::groups::{Answer, GroupState, Listed, Request};
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Params;
use crate::backend::Backend;
use crate::door::Door;

/// All groups. `lag` is the number of records behind the group's positions, in partitions of
/// which it has one.
pub(super) async fn list(State(door): State<Door>, uri: Uri) -> Result<Json<Value>, ApiError> {
    Params::of(&uri)?.finish()?;
    let answer = door.backend.coordinator().ask(Request::List).await;
    let Some(Answer::List(all)) = answer else {
        return Err(ApiError::unavailable("The broker is stopping"));
    };
    let mut groups = Vec::with_capacity(all.len());
    for group in all {
        let lag = lag(&door.backend, &group.group).await;
        groups.push(describe(&group, lag));
    }
    Ok(Json(json!({ "groups": groups })))
}

fn describe(group: &Listed, lag: i64) -> Value {
    json!({
        "group": group.group,
        "state": word(group.state),
        "members": group.members,
        "lag": lag,
    })
}

/// The state as this interface writes it.
pub(super) fn word(state: GroupState) -> &'static str {
    match state {
        GroupState::Empty => "empty",
        GroupState::PreparingRebalance => "preparing-rebalance",
        GroupState::CompletingRebalance => "completing-rebalance",
        GroupState::Stable => "stable",
    }
}

async fn lag(backend: &Backend, group: &str) -> i64 {
    let (group, wanted) = (group.to_owned(), None);
    let request = Request::Fetch { group, wanted };
    let Some(Answer::Fetch(positions)) = backend.coordinator().ask(request).await else {
        return 0;
    };
    let catalog = backend.catalog();
    let behind = positions
        .into_iter()
        .filter_map(|((stream, number), position)| {
            let bounds = backend.bounds(catalog.partition(&stream, number)?);
            // A position below what is still there is behind by what is there.
            Some((bounds.end - position.offset.max(bounds.start)).max(0))
        });
    behind.fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use headwater_broker_core::groups::{Caller, Commit, Position};

    use super::*;
    use crate::http::tests::Broker;

    #[test]
    fn a_group_is_listed_with_what_it_has_not_read() {
        let broker = Broker::start("");
        assert_eq!(broker.get("/api/v1/groups"), json!({"groups": []}));
        broker.append(1, &[("a", "0"), ("a", "1"), ("a", "2")]);
        let backend = broker.handle().backend();
        let stream = backend.catalog().by_name("events").expect("the default").id;
        let position = Position {
            offset: 1,
            ..Position::default()
        };
        let commit = Request::Commit(Commit {
            caller: Caller {
                group: "g".to_owned(),
                generation: -1,
                ..Caller::default()
            },
            offsets: vec![(stream, 1, position)],
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let answer = runtime
            .expect("a runtime")
            .block_on(backend.coordinator().ask(commit));
        assert_eq!(answer, Some(Answer::Commit(Ok(vec![Ok(())]))));
        let group = json!({"group": "g", "state": "empty", "members": 0, "lag": 2});
        assert_eq!(broker.get("/api/v1/groups"), json!({"groups": [group]}));
    }
}
