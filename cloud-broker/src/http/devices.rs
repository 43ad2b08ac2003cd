//! `/api/v1/devices`: agents, what they still hold, and what troubles them.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Params;
use crate::backend::DeviceView;
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

fn describe(view: &DeviceView, connected: bool) -> Value {
    // The status is the agent's own word: anything in it may be missing or of another type.
    let status: Value = view
        .status
        .as_ref()
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let held = status["lanes"].as_array().map_or(&[][..], Vec::as_slice);
    let sum = |field: &str| -> u64 {
        held.iter()
            .filter_map(|lane| lane[field].as_u64())
            .fold(0, u64::saturating_add)
    };
    let oldest_ms = held
        .iter()
        .filter_map(|lane| lane["oldest_ms"].as_i64())
        .min();
    let lanes: Vec<Value> = view
        .lanes
        .iter()
        .map(|lane| {
            json!({
                "stream": lane.stream,
                "lane": lane.lane,
                "generation": lane.generation,
                "partition": lane.partition,
                "next": lane.next,
            })
        })
        .collect();
    json!({
        "device": view.device,
        "connected": connected,
        "last_seen_ms": view.last_seen_ms,
        "agent": status["version"].as_str(),
        "backlog": {
            "events": sum("events"),
            "bytes": sum("bytes"),
            "oldest_ms": oldest_ms,
        },
        "lost_events": sum("lost_events"),
        "alarms": alarms(&status),
        "lanes": lanes,
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
    use crate::backend::LaneView;

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
            {"events":2,"bytes":30,"oldest_ms":9,"lost_events":1},
            {"events":1,"bytes":10,"oldest_ms":null,"lost_events":0}],
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
