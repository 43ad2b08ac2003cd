//! Errors as every resource gives them: `{"error":{"code":"no-such-stream","message":"…"}}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::backend::{AppendError, CreateError, DeleteError, ReadError, Unavailable};
use crate::limits::Reserved;

/// What went wrong, for the client.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry: Option<Duration>,
}

/// When to try again while other requests hold the memory.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// When to try again while the disk takes nothing.
const STORE_RETRY: Duration = Duration::from_secs(5);

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry: None,
        }
    }

    /// 400: the request cannot be meant.
    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: who the client is, is not known, and must be.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403: what begins with `__` is the broker's own.
    pub(super) fn internal_stream() -> Self {
        let message = "Internal streams belong to the broker: they are neither created, written nor \
                       deleted by clients";
        Self::new(StatusCode::FORBIDDEN, "internal-stream", message)
    }

    /// 404: there is no such thing.
    pub(super) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 405: the thing is there, and cannot be treated so.
    pub(super) fn method(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", message)
    }

    /// 409: what is there already stands against it.
    pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 503: later, it may work.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// 413: less of it may be taken.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }

    /// 429: other requests hold the memory that there is.
    pub(super) fn busy() -> Self {
        let message = "Too many requests are being worked on, try again";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self {
            retry: Some(BUSY_RETRY),
            ..Self::new(status, "busy", message)
        }
    }

    /// The same with the place of the fault before it.
    pub(super) fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The same with something more to know behind it.
    pub(super) fn and(mut self, more: impl std::fmt::Display) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// The word for programs.
    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// What the client reads.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

/// Lets a request hold `bytes` altogether.
///
/// # Errors
/// 429 while others hold too much, 413 if there never is so much.
pub(super) fn hold(memory: &mut Reserved, bytes: usize) -> Result<(), ApiError> {
    if memory.grow_to(bytes) {
        return Ok(());
    }
    match memory.could_hold(bytes) {
        true => Err(ApiError::busy()),
        false => Err(ApiError::too_large(
            "The request needs more memory than limits.request_memory has for one",
        )),
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::OffsetOutOfRange => {
                Self::bad_request("offset-out-of-range", error.to_string())
            }
            // The partition was there when the request came.
            ReadError::NoPartition => Self::not_found("no-such-stream", "The stream was deleted"),
            ReadError::Store(_) | ReadError::Damaged(_) => {
                // What exactly is damaged concerns the operator, not every client.
                tracing::error!(%error, "Reading for an HTTP client failed");
                Self::unavailable("The log cannot be read")
            }
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        let message = error.to_string();
        let code = match error {
            AppendError::Unavailable(reason) => return Self::from(reason),
            AppendError::TooLarge => return Self::too_large(message),
            AppendError::NoPartition => return Self::not_found("no-such-partition", message),
            AppendError::OutOfOrderSequence | AppendError::InvalidProducerEpoch => "out-of-order",
            AppendError::InvalidRecord => "bad-record",
        };
        Self::bad_request(code, message)
    }
}

impl From<Unavailable> for ApiError {
    fn from(reason: Unavailable) -> Self {
        let code = match reason {
            Unavailable::DiskFull => "disk-full",
            Unavailable::Failed => "store-failed",
            Unavailable::Stopped => "stopping",
        };
        Self {
            retry: Some(STORE_RETRY),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, reason.to_string())
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        let message = error.to_string();
        match error {
            CreateError::Exists => Self::conflict("stream-exists", message),
            CreateError::TooManyPartitions => Self::conflict("too-many-partitions", message),
            CreateError::Spec(_) => Self::bad_request("bad-field", message),
            CreateError::Unavailable(reason) => reason.into(),
        }
    }
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> Self {
        let message = error.to_string();
        match error {
            DeleteError::NoStream => Self::not_found("no-such-stream", message),
            DeleteError::Internal => Self::internal_stream(),
            DeleteError::Unavailable(reason) => reason.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(retry) = self.retry {
            let seconds = HeaderValue::from(retry.as_secs());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
