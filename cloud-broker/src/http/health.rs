//! `/healthz`, `/readyz`, `/metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::door::Door;

/// The process turns.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Whether clients should be sent here.
pub(super) async fn readyz(State(door): State<Door>) -> Response {
    let mut reasons = door.backend.not_ready();
    if door.stop.is_requested() && !reasons.contains(&"stopping") {
        reasons.push("stopping");
    }
    if reasons.is_empty() {
        return Json(json!({"ready": true})).into_response();
    }
    let body = Json(json!({"ready": false, "reasons": reasons}));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

/// For Prometheus.
pub(super) async fn metrics(State(door): State<Door>) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, door.metrics.to_text()).into_response()
}
