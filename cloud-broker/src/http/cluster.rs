//! `/api/v1/cluster`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::door::Door;

/// The brokers; on one machine, this one.
pub(super) async fn describe(State(door): State<Door>) -> Json<Value> {
    let host = match &door.config.advertise {
        Some(host) => host.clone(),
        None => match door.addresses.first() {
            Some((_, address)) => address.ip().to_string(),
            None => String::from("localhost"),
        },
    };
    Json(json!({
        "brokers": [{"id": 0, "host": host, "state": "active"}],
        "controller": 0,
        "store": "file",
    }))
}
