//! `GET /status`, `/healthz`, `/readyz` and `/metrics`, by hand: a request's head is read up to a
//! limit, answered, and the connection closed. A framework would be larger than the agent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::status::Status;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Requests at a time; more wait to be accepted.
const REQUESTS_MAX: usize = 16;
/// From the connection to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The listener, bound.
#[derive(Debug)]
pub struct Http {
    listener: TcpListener,
}

impl Http {
    /// Binds `address`.
    ///
    /// # Errors
    /// The address is taken, not this machine's, or no address.
    pub async fn bind(address: &str) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped.
    pub async fn run(self, status: Status) {
        let permits = Arc::new(Semaphore::new(REQUESTS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    let status = status.clone();
                    tokio::spawn(async move {
                        let _permit = permit;
                        // A client that is gone or too slow needs no answer.
                        let _over = timeout(REQUEST_TIMEOUT, answer(socket, &status)).await;
                    });
                }
                Err(error) => {
                    tracing::warn!("HTTP connection not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn answer(mut socket: TcpStream, status: &Status) -> io::Result<()> {
    let mut head = Vec::with_capacity(512);
    let response = loop {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        if let Some(line) = request_line(&head) {
            break respond(&line?, status).await;
        }
        if head.len() > HEAD_BYTES_MAX {
            break Response::error(431, "too-large", "The request's head is too large");
        }
    };
    socket.write_all(&response.bytes()).await?;
    socket.shutdown().await
}

/// Method and path, once the head is complete.
fn request_line(head: &[u8]) -> Option<io::Result<Line>> {
    let complete = head.windows(4).any(|window| window == b"\r\n\r\n");
    if !complete && !head.windows(2).any(|window| window == b"\n\n") {
        return None;
    }
    Some(Line::parse(head).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData)))
}

/// Whether a request begins with a head that is whole and right, for the fuzz targets.
pub fn is_request_line(head: &[u8]) -> bool {
    request_line(head).is_some_and(|line| line.is_ok())
}

struct Line {
    method: String,
    path: String,
}

impl Line {
    fn parse(head: &[u8]) -> Option<Self> {
        let line = head.split(|&b| b == b'\n').next()?;
        let mut words = str::from_utf8(line).ok()?.split_ascii_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        words
            .next()
            .filter(|version| version.starts_with("HTTP/1."))?;
        let path = target.split('?').next().unwrap_or(target);
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
        })
    }
}

async fn respond(line: &Line, status: &Status) -> Response {
    let mut response = match line.path.as_str() {
        "/status" => Response::json(200, status.view().await.json()),
        "/healthz" => Response::text("ok"),
        "/readyz" => readiness(&status.not_ready()),
        "/metrics" => Response::text(&status.metrics().await),
        _ => Response::error(
            404,
            "not-found",
            "There are /status /healthz /readyz /metrics",
        ),
    };
    match line.method.as_str() {
        "GET" => {}
        "HEAD" => response.head_only = true,
        _ => return Response::error(405, "method-not-allowed", "Only GET is possible"),
    }
    response
}

fn readiness(reasons: &[&str]) -> Response {
    if reasons.is_empty() {
        return Response::json(200, b"{\"ready\":true}".to_vec());
    }
    let body = serde_json::json!({"ready": false, "reasons": reasons});
    Response::json(503, body.to_string().into_bytes())
}

struct Response {
    code: u16,
    content_type: &'static str,
    body: Vec<u8>,
    head_only: bool,
}

impl Response {
    fn json(code: u16, body: Vec<u8>) -> Self {
        Self {
            code,
            content_type: "application/json",
            body,
            head_only: false,
        }
    }

    fn text(body: &str) -> Self {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        Self {
            code: 200,
            content_type,
            body: body.as_bytes().to_vec(),
            head_only: false,
        }
    }

    fn error(code: u16, name: &str, message: &str) -> Self {
        let body = serde_json::json!({"error": {"code": name, "message": message}});
        Self::json(code, body.to_string().into_bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             connection: close\r\n\r\n",
            self.code,
            phrase(self.code),
            self.content_type,
            self.body.len()
        )
        .into_bytes();
        if !self.head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn phrase(code: u16) -> &'static str {
    match code {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(head: &str) -> Option<(String, String)> {
        request_line(head.as_bytes())?
            .ok()
            .map(|line| (line.method, line.path))
    }

    #[test]
    fn a_head_is_parsed_when_it_is_complete() {
        assert_eq!(line("GET /status HTTP/1.1\r\nHost: x\r\n"), None);
        let expected = Some(("GET".to_owned(), "/status".to_owned()));
        assert_eq!(
            line("GET /status?x=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
            expected
        );
        assert!(request_line(b"\xff\r\n\r\n").is_some_and(|line| line.is_err()));
        assert!(request_line(b"GET /\r\n\r\n").is_some_and(|line| line.is_err()));
    }

    #[test]
    fn readiness_names_its_reasons() {
        assert_eq!(readiness(&[]).code, 200);
        let response = readiness(&["source-rejects"]);
        assert_eq!(response.code, 503);
        assert_eq!(
            response.body,
            br#"{"ready":false,"reasons":["source-rejects"]}"#
        );
    }
}
