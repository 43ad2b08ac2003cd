//! ApiVersions: what we speak, and what the client is.

use headwater_kafka::ErrorCode;
use headwater_kafka::api_versions::{Request, Response};

use super::session::Session;

pub(super) fn handle(session: &Session, request: Request) -> Response {
    let error = match request {
        Request::TooHigh => ErrorCode::UNSUPPORTED_VERSION,
        Request::Asked {
            software: Some(software),
        } if !software.is_legal() => ErrorCode::INVALID_REQUEST,
        Request::Asked { software } => {
            if let Some(software) = software {
                session.remember(software);
            }
            ErrorCode::NONE
        }
    };
    Response { error }
}
