//! What the HTTP doors read: queries and cursors; and records as JSON.

use bytes::Bytes;
use headwater_broker::fuzz;

use super::Check;

/// A line of query, cursor or request, then a batch that is shown as JSON.
pub const HTTP: Check = Check {
    name: "http",
    run,
    memory_fixed: 4 << 20,
    memory_per_byte: 512,
};

fn run(bytes: &[u8]) {
    headwater_agent::fuzz::request_line(bytes);
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    let body = rest.get(1..).unwrap_or_default();
    if let Ok(line) = std::str::from_utf8(line) {
        query(line);
    }
    for record in fuzz::records_as_json(Bytes::copy_from_slice(body)) {
        let json: serde_json::Value = serde_json::from_str(&record).expect("JSON");
        assert!(json["offset"].is_i64() && json["headers"].is_array());
    }
}

fn query(line: &str) {
    fuzz::query(line);
    if let Some(offsets) = fuzz::cursor(line) {
        let pairs: Vec<String> = offsets.iter().map(|(p, o)| format!("{p}:{o}")).collect();
        assert_eq!(fuzz::cursor(&pairs.join(",")), Some(offsets));
    }
}
