//! InitProducerId: an id that was never given before.

use headwater_kafka::ErrorCode;
use headwater_kafka::init_producer_id::{Request, Response};

use super::session::Session;

pub(super) async fn handle(session: &Session, request: &Request) -> Response {
    match request.transactional_id.as_deref() {
        Some("") => return Response::refused(ErrorCode::INVALID_REQUEST),
        // The one code on which both Java and librdkafka stop at once, instead of trying again.
        Some(_) => return Response::refused(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        None => {}
    }
    match session.backend().producer_id().await {
        Ok(producer_id) => Response {
            error: ErrorCode::NONE,
            producer_id,
            producer_epoch: 0,
        },
        Err(reason) => {
            tracing::debug!(%reason, "No producer id");
            Response::refused(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
        }
    }
}
