//! A request's body, held as far as it has arrived.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures_util::StreamExt;

use super::BODY_BYTES_MAX;
use crate::http::error::ApiError;
use crate::limits::Reserved;
use crate::pace::{ARRIVAL, Pace};

/// The whole body. `memory` grows as it arrives.
pub(super) async fn collect(
    headers: &HeaderMap,
    body: Body,
    memory: &mut Reserved,
) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut pieces = body.into_data_stream();
    let mut text = BytesMut::new();
    let mut pace = Pace::new(ARRIVAL);
    loop {
        let piece = match pace.next(pieces.next()).await {
            Ok(None) => return Ok(text.freeze()),
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => {
                let message = format!("The body has ended early: {error}");
                return Err(ApiError::bad_request("bad-body", message));
            }
            Err(slow) => return Err(ApiError::bad_request("too-slow", slow.to_string())),
        };
        pace.count(piece.len());
        let bytes = text.len() + piece.len();
        if bytes > BODY_BYTES_MAX {
            return Err(too_large());
        }
        // A buffer that grows is copied: for a moment there are two of it.
        if !memory.grow_to(bytes) {
            return Err(ApiError::busy(RETRY));
        }
        text.extend_from_slice(&piece);
    }
}

/// When to try again while other requests hold the memory.
const RETRY: Duration = Duration::from_secs(1);

fn too_large() -> ApiError {
    ApiError::too_large(format!("A body has at most {BODY_BYTES_MAX} bytes"))
}
