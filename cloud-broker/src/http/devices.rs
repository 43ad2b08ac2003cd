//! `/api/v1/devices`: agents, what they still hold, and what troubles them.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Params;
use crate::backend::{DeviceView, LaneView};
use crate::door::Door;

/// All agents that were ever heard of.
pub(super) async fn list(State(door): State<Door>, uri: Uri) -> Result<Json<Value>, ApiError> {
    Params::of(&uri)?.finish()?;
    let devices: Vec<Value> = door
        .backend
        .devices()
        .iter()
        .map(|view| describe(view, door.presence.is_here(&view.device)))
        .collect();
    Ok(Json(json!({ "devices": devices })))
}

/// One agent, as JSON.
pub(super) fn describe(view: &DeviceView, connected: bool) -> Value {
    // The status is the agent's own word: anything in it may be missing or of another type.
    let status: Value = view
        .status
        .as_ref()
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let lanes = status["lanes"].as_array().map_or(&[][..], Vec::as_slice);
    let backlog = Backlog::of(lanes, &view.lanes);
    let lost = lanes.iter().map(|lane| number(lane, "lost_events"));
    json!({
        "device": view.device,
        "connected": connected,
        "last_seen_ms": view.last_seen_ms,
        "agent": status["version"].as_str(),
        "backlog": {
            "events": backlog.events,
            "bytes": backlog.bytes,
            "oldest_ms": backlog.oldest_ms,
        },
        "lost_events": lost.fold(0, u64::saturating_add),
        "alarms": alarms(&status),
        "lanes": view.lanes.iter().map(lane).collect::<Vec<_>>(),
    })
}

/// What an agent held when it sent its status, less what has arrived since: a status is up to a
/// minute old, and in a quiet one there may be nothing new to say.
#[derive(Debug, Default)]
struct Backlog {
    events: u64,
    bytes: u64,
    oldest_ms: Option<i64>,
}

impl Backlog {
    fn of(held: &[Value], arrived: &[LaneView]) -> Self {
        let mut backlog = Self::default();
        for lane in held {
            let events = number(lane, "events");
            let end = number(lane, "acked").saturating_add(events);
            let same = |view: &&LaneView| {
                lane["stream"].as_str() == Some(&view.stream)
                    && lane["lane"].as_str() == Some(&view.lane)
                    && lane["generation"].as_u64() == Some(view.generation.into())
            };
            let next = arrived.iter().find(same).map_or(0, |view| view.next);
            let left = end.saturating_sub(next).min(events);
            if left == 0 {
                continue;
            }
            let bytes = u128::from(number(lane, "bytes")) * u128::from(left) / u128::from(events);
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            backlog.events = backlog.events.saturating_add(left);
            backlog.bytes = backlog.bytes.saturating_add(bytes);
            let oldest = [backlog.oldest_ms, lane["oldest_ms"].as_i64()];
            backlog.oldest_ms = oldest.into_iter().flatten().min();
        }
        backlog
    }
}

fn number(lane: &Value, field: &str) -> u64 {
    lane[field].as_u64().unwrap_or(0)
}

fn lane(view: &LaneView) -> Value {
    json!({
        "stream": view.stream,
        "lane": view.lane,
        "generation": view.generation,
        "partition": view.partition,
        "next": view.next,
    })
}

fn alarms(status: &Value) -> Vec<Value> {
    let alarms = status["alarms"].as_array().map_or(&[][..], Vec::as_slice);
    let copy = |alarm: &Value| {
        json!({
            "code": alarm["code"].as_str().unwrap_or_default(),
            "text": alarm["text"].as_str().unwrap_or_default(),
            "since_ms": alarm["since_ms"].as_i64(),
        })
    };
    alarms.iter().map(copy).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn view(status: Option<&'static str>) -> DeviceView {
        DeviceView {
            device: "gw-1".into(),
            status: status.map(|text| Bytes::from_static(text.as_bytes())),
            last_seen_ms: 7,
            lanes: vec![LaneView {
                stream: "events".into(),
                lane: "main".into(),
                generation: 0,
                partition: 3,
                next: 456,
            }],
        }
    }

    #[test]
    fn the_status_is_summed_up() {
        let status = r#"{"version":"0.1.0","lanes":[
            {"stream":"a","lane":"main","generation":0,"acked":5,"events":2,"bytes":30,
             "oldest_ms":9,"lost_events":1},
            {"stream":"b","lane":"main","generation":0,"acked":0,"events":1,"bytes":10,
             "oldest_ms":null,"lost_events":0}],
            "alarms":[{"code":"clone","text":"Two of them","since_ms":5}]}"#;
        let expected = json!({
            "device": "gw-1", "connected": true, "last_seen_ms": 7, "agent": "0.1.0",
            "backlog": {"events": 3, "bytes": 40, "oldest_ms": 9}, "lost_events": 1,
            "alarms": [{"code": "clone", "text": "Two of them", "since_ms": 5}],
            "lanes": [{"stream": "events", "lane": "main", "generation": 0, "partition": 3,
                       "next": 456}],
        });
        assert_eq!(describe(&view(Some(status)), true), expected);
    }

    #[test]
    fn what_has_arrived_since_is_taken_off() {
        let backlog = |acked: u64, events: u64, generation: u32| {
            let held = json!({
                "stream": "events", "lane": "main", "generation": generation, "acked": acked,
                "events": events, "bytes": events * 10, "oldest_ms": 9,
            });
            let found = Backlog::of(&[held], &view(None).lanes);
            (found.events, found.bytes, found.oldest_ms)
        };
        assert_eq!(backlog(400, 50, 0), (0, 0, None));
        assert_eq!(backlog(400, 60, 0), (4, 40, Some(9)));
        assert_eq!(backlog(456, 60, 0), (60, 600, Some(9)));
        assert_eq!(backlog(500, 60, 0), (60, 600, Some(9)));
        assert_eq!(backlog(400, 50, 1), (50, 500, Some(9)));
    }

    #[test]
    fn any_status_is_borne() {
        for status in [
            None,
            Some(""),
            Some("[]"),
            Some("{\"lanes\":{},\"alarms\":[1]}"),
        ] {
            let described = describe(&view(status), false);
            assert_eq!(described["backlog"]["events"], 0, "{status:?}");
        }
    }
}
