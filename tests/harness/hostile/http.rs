//! Sessions at the HTTP door.

use std::net::SocketAddr;

use super::Session;
use super::bytes::{below, mutate, noise, pick};
use super::link::Link;
use crate::rng::Rng;

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "get", "G T", "",
];
const PATHS: &[&str] = &[
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/streams",
    "/api/v1/streams/events",
    "/api/v1/streams/nope",
    "/api/v1/streams/t1",
    "/api/v1/streams/events/records?partition=0&offset=0&limit=2",
    "/api/v1/streams/events/records?partition=99&offset=-1",
    "/api/v1/streams/events/records?partition=0&offset=latest&wait_ms=1",
    "/api/v1/streams/events/records?offset=time:2026-01-01T00:00:00Z&max_bytes=1",
    "/api/v1/streams/events/records?limit=99999999999999999999",
    "/api/v1/streams/events/live?from=latest",
    "/api/v1/streams/events/live?from=0:0,1:0&filter=%23",
    "/api/v1/streams/events/live?from=x&filter=%2B%2B",
    "/api/v1/streams/events/records",
    "/api/v1/streams/%2e%2e/records",
    "/api/v1/devices",
    "/api/v1/cluster",
    "/api/v1/groups",
    "/api/v1/groups/g0",
    "/api/v1/groups/%00",
    "/api/v1/streams?internal=true",
    "/api/v1/streams/t1/records",
    "/api/v1/streams/__groups/records",
    "/api/v1/backup",
    "/../../etc/passwd",
    "*",
    "http://other/",
];
const BODIES: &[&str] = &[
    "",
    "{}",
    r#"{"records":[]}"#,
    r#"{"records":[{"key":"t/x","value":"v"}]}"#,
    r#"{"records":[{"value":"!!","encoding":"base64"}]}"#,
    r#"{"records":[{"value":"v","partition":77}]}"#,
    r#"{"name":"t1","filters":[],"partitions":2}"#,
    r#"{"name":"__lanes"}"#,
    r#"{"name":"t2","partitions":99999999}"#,
    r##"{"name":"t1","filters":["x/#"],"cleanup":"compact","partition_by":"topic","retention":"1h"}"##,
    r#"{"name":"t1","retention":"1h","retention_ms":1}"#,
    "{\"value\":\"1\"}\n{\"key\":\"k\",\"value\":null}\n",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"\\ud800\"",
];
const HEADERS: &[&str] = &[
    "Accept: text/html",
    "Content-Type: application/json",
    "Content-Type: application/x-ndjson",
    "Connection: close",
    "Expect: 100-continue",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Last-Event-ID: 0:1",
    "Content-Length: 3",
    "Content-Length: 99999999999",
    "Transfer-Encoding: chunked",
    "Authorization: Basic !!!",
    "X: \u{1}",
    ": empty",
];
const PLAIN: &[&str] = &[
    "/healthz",
    "/readyz",
    "/api/v1/streams",
    "/api/v1/devices",
    "/api/v1/streams/nope",
];
const HEAD_END: &[u8] = b"\r\n\r\n";

pub(super) fn session(address: SocketAddr, random: &mut Rng) -> Result<Session, String> {
    let mut link = Link::connect(address)?;
    if random.one_in(4) {
        return plain(&mut link, random);
    }
    for _ in 0..=random.below(4) {
        let mut request = request(random);
        if random.one_in(2) {
            mutate(random, &mut request);
        }
        link.send(random, &request);
        link.glance();
        if link.is_closed {
            break;
        }
    }
    if random.one_in(2) {
        link.half_close();
    }
    link.glance();
    let is_http = link.received.is_empty() || link.received.starts_with(b"HTTP/1.");
    if !is_http {
        let start = link.received.len().min(40);
        return Err(format!(
            "No HTTP: {:?}",
            String::from_utf8_lossy(&link.received[..start])
        ));
    }
    Ok(Session {
        answers: u64::from(!link.received.is_empty()),
        is_plain: false,
    })
}

/// Some requests one after the other on one connection, each answered in full.
fn plain(link: &mut Link, random: &mut Rng) -> Result<Session, String> {
    let mut answers = 0;
    for _ in 0..=random.below(3) {
        let path = pick(random, PLAIN);
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        link.send(random, request.as_bytes());
        link.wait(|received| answer_bytes(received).is_some())?;
        let Some((head, body)) = answer_bytes(&link.received) else {
            return Err(format!("{path}: closed before its answer was whole"));
        };
        let is_json = String::from_utf8_lossy(&link.received[..head]).contains("application/json");
        let json = &link.received[head..head + body];
        if is_json && serde_json::from_slice::<serde_json::Value>(json).is_err() {
            return Err(format!(
                "{path}: not JSON: {}",
                String::from_utf8_lossy(json)
            ));
        }
        link.received.drain(..head + body);
        answers += 1;
    }
    Ok(Session {
        answers,
        is_plain: true,
    })
}

/// Length of the first answer's head and body, once both have come.
fn answer_bytes(received: &[u8]) -> Option<(usize, usize)> {
    let head = received
        .windows(HEAD_END.len())
        .position(|bytes| bytes == HEAD_END)?
        + HEAD_END.len();
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let length: usize = length.trim().parse().ok()?;
    (received.len() >= head + length).then_some((head, length))
}

fn request(random: &mut Rng) -> Vec<u8> {
    let method = pick(random, METHODS);
    // What others need is not deleted.
    let path = match method {
        "DELETE" => pick(
            random,
            &[
                "/api/v1/streams/t1",
                "/api/v1/streams/nope",
                "/api/v1/streams/__lanes",
                "/api/v1/groups/g0",
                "/",
            ],
        ),
        _ => pick(random, PATHS),
    };
    let version = pick(
        random,
        &["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/1.1 x"],
    );
    let mut request = format!("{method} {path} {version}\r\nHost: h\r\n").into_bytes();
    for _ in 0..random.below(4) {
        request.extend_from_slice(pick(random, HEADERS).as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    let body = match random.below(5) {
        0 => noise(random, 2_000),
        _ => pick(random, BODIES).as_bytes().to_vec(),
    };
    match random.below(4) {
        0 => request.extend_from_slice(HEAD_END),
        1 => {
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let size = pick(random, &[body.len(), body.len() + 1, 0, usize::MAX]);
            request.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            request.extend_from_slice(&body);
            request.extend_from_slice(b"\r\n0\r\n\r\n");
        }
        2 => {
            let length = below(random, body.len() + 2);
            request.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
            request.extend_from_slice(&body);
        }
        _ => {
            request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            request.extend_from_slice(&body);
        }
    }
    request
}
