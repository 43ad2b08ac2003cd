//! Answers that take memory until they have been sent.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::limits::Reserved;

/// What is given to the connection at a time.
const PIECE_BYTES: usize = 64 << 10;

/// `value` as JSON; `memory` is given back once the client has taken nearly all of it.
pub(super) fn json_holding(value: &impl Serialize, memory: Reserved) -> Response {
    let json = serde_json::to_vec(value).expect("texts and numbers are always JSON");
    let kind = [(header::CONTENT_TYPE, "application/json")];
    if json.len() <= PIECE_BYTES {
        return (kind, json).into_response();
    }
    let pieces = futures_util::stream::unfold((Bytes::from(json), memory), |state| async move {
        let (mut rest, memory) = state;
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        Some((Ok::<_, Infallible>(piece), (rest, memory)))
    });
    (kind, Body::from_stream(pieces)).into_response()
}
