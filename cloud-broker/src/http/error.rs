//! Errors as every resource gives them: `{"error":{"code":"no-such-stream","message":"…"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::backend::ReadError;

/// What went wrong, for the client.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// 400: the request cannot be meant.
    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
        }
    }

    /// 401: who the client is, is not known, and must be.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: "unauthorized",
            message: message.into(),
        }
    }

    /// 404: there is no such thing.
    pub(super) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code,
            message: message.into(),
        }
    }

    /// 405: the thing is there, and cannot be treated so.
    pub(super) fn method(message: impl Into<String>) -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self {
            status,
            code: "no-such-method",
            message: message.into(),
        }
    }

    /// 503: later, it may work.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self {
            status,
            code: "unavailable",
            message: message.into(),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::OffsetOutOfRange => {
                Self::bad_request("offset-out-of-range", error.to_string())
            }
            ReadError::NoPartition => Self::not_found("no-such-partition", error.to_string()),
            ReadError::Store(_) | ReadError::Damaged(_) => {
                // What exactly is damaged concerns the operator, not every client.
                tracing::error!(%error, "Reading for an HTTP client failed");
                Self::unavailable("The log cannot be read")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        (self.status, Json(body)).into_response()
    }
}
