//! What the examples share: children that are this same program in another role, readers that
//! are stock clients, and the books that are compared at the end.

pub mod agent_log;
pub mod books;
pub mod children;
pub mod kafka_reader;
pub mod mqtt_reader;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The JSON that `GET path` answers, if it does.
#[must_use]
pub fn http_json(address: SocketAddr, path: &str) -> Option<serde_json::Value> {
    let mut link = TcpStream::connect(address).ok()?;
    write!(link, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    link.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}
