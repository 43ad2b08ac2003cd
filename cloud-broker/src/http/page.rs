//! `/`: a page that shows what arrives. All of it is in the program; it asks no other host.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use headwater_wire::crc::crc32c;

use crate::door::Door;

/// One file of the page.
#[derive(Debug)]
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// The chart is uPlot 1.6.32 (MIT), its released files unchanged.
static FILES: [File; 11] = [
    File {
        path: "/",
        kind: HTML,
        text: include_str!("page/index.html"),
    },
    File {
        path: "/page/style.css",
        kind: CSS,
        text: include_str!("page/style.css"),
    },
    File {
        path: "/page/icon.svg",
        kind: IMAGE,
        text: include_str!("page/icon.svg"),
    },
    File {
        path: "/page/main.js",
        kind: SCRIPT,
        text: include_str!("page/main.js"),
    },
    File {
        path: "/page/live.js",
        kind: SCRIPT,
        text: include_str!("page/live.js"),
    },
    File {
        path: "/page/series.js",
        kind: SCRIPT,
        text: include_str!("page/series.js"),
    },
    File {
        path: "/page/chart.js",
        kind: SCRIPT,
        text: include_str!("page/chart.js"),
    },
    File {
        path: "/page/tables.js",
        kind: SCRIPT,
        text: include_str!("page/tables.js"),
    },
    File {
        path: "/page/vendor/uPlot.iife.min.js",
        kind: SCRIPT,
        text: include_str!("page/vendor/uPlot.iife.min.js"),
    },
    File {
        path: "/page/vendor/uPlot.min.css",
        kind: CSS,
        text: include_str!("page/vendor/uPlot.min.css"),
    },
    File {
        path: "/page/vendor/uPlot.LICENSE",
        kind: TEXT,
        text: include_str!("page/vendor/uPlot.LICENSE"),
    },
];

/// One route for each file.
pub(super) fn routes() -> Router<Door> {
    FILES.iter().fold(Router::new(), |router, file| {
        router.route(
            file.path,
            get(async |headers: HeaderMap| serve(file, &headers)),
        )
    })
}

/// A browser keeps the files, and asks each time whether they are still those of this version.
fn serve(file: &'static File, headers: &HeaderMap) -> Response {
    let tag = format!("\"{:08x}\"", crc32c(file.text.as_bytes()));
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| *known == *tag);
    let cache = [
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, tag),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    (cache, [(header::CONTENT_TYPE, file.kind)], file.text).into_response()
}
