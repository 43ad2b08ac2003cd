//! One request over a plain socket: enough to ask a broker or an agent how it is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Status code and body of `GET path`.
///
/// # Errors
/// What the socket says, or that the answer is no HTTP.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    request(address, "GET", path, None)
}

/// Status code and body of a request, with a JSON body if there is to be one.
///
/// # Errors
/// As [`get`].
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    json: Option<&serde_json::Value>,
) -> Result<(u16, String), String> {
    let mut link = TcpStream::connect(address).map_err(|e| e.to_string())?;
    link.set_read_timeout(Some(TIMEOUT))
        .map_err(|e| e.to_string())?;
    let body = json.map(ToString::to_string).unwrap_or_default();
    let kind = json.map_or("", |_| "Content-Type: application/json\r\n");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    );
    link.write_all(request.as_bytes())
        .map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    link.read_to_end(&mut answer).map_err(|e| e.to_string())?;
    parse(&answer).ok_or_else(|| format!("No HTTP: {}", String::from_utf8_lossy(&answer)))
}

/// The JSON that `GET path` answers.
///
/// # Errors
/// As [`get`], and any status but 200, and anything but JSON.
pub fn json(address: SocketAddr, path: &str) -> Result<serde_json::Value, String> {
    let (status, body) = get(address, path)?;
    if status != 200 {
        return Err(format!("{path}: {status} {body}"));
    }
    serde_json::from_str(&body).map_err(|e| format!("{path}: {e}: {body}"))
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    Some((
        status,
        if chunked {
            dechunk(body)?
        } else {
            body.to_owned()
        },
    ))
}

fn dechunk(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}
