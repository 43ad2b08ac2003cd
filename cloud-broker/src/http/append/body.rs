//! A request's body, held as far as it has arrived.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures_util::StreamExt;

use super::BODY_BYTES_MAX;
use crate::http::error::{ApiError, hold};
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
        make_room(&mut text, piece.len(), memory)?;
        text.extend_from_slice(&piece);
    }
}

/// Room for so many bytes more, a power of two in all: how the body was cut on its way changes nothing.
/// A buffer that grows is copied, so for a moment there are two.
fn make_room(text: &mut BytesMut, more: usize, memory: &mut Reserved) -> Result<(), ApiError> {
    let bytes = text.len().saturating_add(more);
    if bytes > BODY_BYTES_MAX {
        return Err(too_large());
    }
    let before = text.capacity();
    if bytes <= before {
        return Ok(());
    }
    let room = bytes.next_power_of_two().min(BODY_BYTES_MAX);
    hold(memory, before + room)?;
    let mut larger = BytesMut::with_capacity(room);
    larger.extend_from_slice(text);
    *text = larger;
    memory.shrink_to(room);
    Ok(())
}

fn too_large() -> ApiError {
    ApiError::too_large(format!("A body has at most {BODY_BYTES_MAX} bytes"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::LimitsConfig;
    use crate::limits::Limits;

    fn limits(mib: u64) -> Arc<Limits> {
        let config = LimitsConfig {
            request_memory: headwater_settings::Bytes::mib(mib),
            ..LimitsConfig::default()
        };
        Limits::new(&config, Arc::default())
    }

    #[test]
    fn all_that_a_growing_body_takes_is_counted() {
        let limits = limits(128);
        let (mut memory, mut text) = (limits.reserve(), BytesMut::new());
        for piece in [1, 5000, 4, 100_000, 7, 1 << 20] {
            make_room(&mut text, piece, &mut memory).expect("room");
            text.resize(text.len() + piece, 0);
            assert!(text.capacity() <= memory.bytes(), "{memory:?}");
        }
        let refused = make_room(&mut text, BODY_BYTES_MAX, &mut memory);
        assert_eq!(refused.map_err(|error| error.code()), Err("too-large"));
    }

    #[test]
    fn what_can_never_fit_is_too_large_and_not_busy() {
        let limits = limits(16);
        let (mut memory, mut text) = (limits.reserve(), BytesMut::new());
        let mut others = limits.reserve();
        assert!(others.grow_to(10 << 20));
        for (bytes, code) in [(8 << 20, "busy"), ((8 << 20) + 1, "too-large")] {
            let refused = make_room(&mut text, bytes, &mut memory);
            assert_eq!(refused.map_err(|error| error.code()), Err(code));
        }
    }
}
