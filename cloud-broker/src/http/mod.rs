//! The HTTP door: streams, records and devices as JSON, live events, metrics, and a page to watch.
//!
//! Each connection is admitted once ([`crate::auth::Auth`]), then served by `router`. One file for
//! each resource.

mod append;
mod body;
mod clock;
mod cluster;
mod connection;
mod cursor;
mod declare;
mod devices;
mod error;
pub(crate) mod fuzz;
mod group;
mod groups;
mod health;
mod live;
mod page;
mod query;
mod record;
mod records;
mod stall;
mod streams;

use std::io;

use axum::Router;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};

use crate::door::{Door, Listener};
use error::ApiError;

/// Serves one HTTP listener until [`Door::stop`] says so; returns once its connections have ended.
///
/// # Errors
/// The socket cannot be taken over by the runtime.
pub async fn serve(door: Door, listener: Listener) -> io::Result<()> {
    connection::accept(door, listener).await
}

fn router(door: Door) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/streams", get(streams::list).post(declare::create))
        .route(
            "/api/v1/streams/{stream}",
            get(streams::describe).delete(declare::delete),
        )
        .route(
            "/api/v1/streams/{stream}/records",
            get(records::read).post(append::append),
        )
        .route("/api/v1/streams/{stream}/live", get(live::follow))
        .route("/api/v1/devices", get(devices::list))
        .route("/api/v1/groups", get(groups::list))
        .route(
            "/api/v1/groups/{group}",
            get(group::describe).delete(group::delete),
        )
        .route("/api/v1/cluster", get(cluster::describe))
        .route("/api/v1/clock", get(clock::describe))
        .route("/api/v1/clock/accept", post(clock::accept))
        .merge(page::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::map_response(with_common_headers))
        .with_state(door)
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found(
        "no-such-path",
        format!("There is nothing at {}", uri.path()),
    )
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::method(format!("{method} is not possible at {}", uri.path()))
}

/// No browser may guess types, frame the page, keep data, or let the page speak to another host.
async fn with_common_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests;
