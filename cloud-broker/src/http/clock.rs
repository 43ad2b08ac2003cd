//! `/api/v1/clock`: whether the broker's clock can be trusted with deletions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use headwater_broker_core::segments::Doubt;
use serde_json::{Value, json};

use super::error::ApiError;
use crate::door::Door;

/// What the clock says, and what is wrong with it.
pub(super) async fn describe(State(door): State<Door>) -> Json<Value> {
    let (now, suspicion) = door.backend.clock();
    Json(json!({
        "now_ms": now.0,
        "suspect": suspicion.is_some(),
        "doubt": suspicion.map(|found| match found.doubt {
            Doubt::Ahead => "ahead",
            Doubt::Behind => "behind",
            Doubt::Away => "away",
        }),
        "jumped_ms": suspicion.map_or(0, |found| found.jumped_ms),
        "left_ms": suspicion.map_or(0, |found| found.left_ms),
    }))
}

/// The clock is right as it is: what is old may go.
pub(super) async fn accept(State(door): State<Door>) -> Result<StatusCode, ApiError> {
    door.backend.accept_clock().await?;
    Ok(StatusCode::NO_CONTENT)
}
