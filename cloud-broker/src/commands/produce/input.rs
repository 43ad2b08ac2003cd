//! From lines to batches of records.

use std::io::{self, BufRead};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::super::Failure;

/// A batch is sent before it holds more.
const BATCH_RECORDS_MAX: u64 = 2000;
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Lines that are read ahead, and what they may take beside the one that is read.
const LINES_AHEAD: usize = 4096;
const AHEAD_BYTES_MAX: usize = 4 << 20;
/// The longest line: a record of the longest that the broker takes, in the worst encoding.
const LINE_BYTES_MAX: usize = 8 << 20;

/// What makes a record of a line.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) key: Option<String>,
    pub(super) separator: Option<String>,
    pub(super) ndjson: bool,
    pub(super) partition: Option<u32>,
}

/// Records for one request, as NDJSON.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Batch {
    /// Number of its first line, from 1 on.
    pub(super) first: u64,
    pub(super) json: Vec<u8>,
    pub(super) count: u64,
}

/// Lines as they come, read by a thread of their own.
#[derive(Debug)]
pub(super) struct Lines {
    reader: Reader,
    lines: Receiver<io::Result<Vec<u8>>>,
    ahead: Arc<Ahead>,
    number: u64,
    /// What was read and did not fit into the last batch, or was wrong.
    next: Option<Result<Vec<u8>, Failure>>,
}

/// Bytes of lines that are read and not taken.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Mutex<usize>,
    fewer: Condvar,
}

impl Ahead {
    /// Waits until there is room for another line.
    fn add(&self, line: usize) {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let many = |bytes: &mut usize| *bytes > AHEAD_BYTES_MAX;
        let waited = self.fewer.wait_while(bytes, many);
        *waited.unwrap_or_else(PoisonError::into_inner) += line;
    }

    fn take(&self, line: usize) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *bytes = bytes.saturating_sub(line);
        self.fewer.notify_one();
    }
}

impl Batch {
    fn has_room(&self, bytes: usize) -> bool {
        self.count < BATCH_RECORDS_MAX && self.json.len() + bytes <= BATCH_BYTES_MAX
    }

    fn push(&mut self, record: &[u8]) {
        self.count += 1;
        self.json.extend_from_slice(record);
        self.json.push(b'\n');
    }
}

impl Lines {
    /// Begins to read.
    pub(super) fn of_stdin(reader: Reader) -> Self {
        let (sender, lines) = mpsc::channel(LINES_AHEAD);
        let ahead = Arc::<Ahead>::default();
        let read = Arc::clone(&ahead);
        std::thread::spawn(move || read_all(&mut io::stdin().lock(), &sender, &read));
        Self {
            reader,
            lines,
            ahead,
            number: 0,
            next: None,
        }
    }

    /// What there is, and at least one record; `None` at the end.
    pub(super) async fn next_batch(&mut self) -> Result<Option<Batch>, Failure> {
        let Some(first) = self.wait().await else {
            return Ok(None);
        };
        let mut batch = Batch {
            first: self.number,
            ..Batch::default()
        };
        batch.push(&first?);
        while let Some(record) = self.look() {
            match record {
                Ok(record) if batch.has_room(record.len()) => batch.push(&record),
                // What came before it is sent first.
                other => {
                    self.next = Some(other);
                    break;
                }
            }
        }
        Ok(Some(batch))
    }

    async fn wait(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        match self.next.take() {
            Some(next) => Some(next),
            None => {
                let line = self.lines.recv().await?;
                Some(self.record(line))
            }
        }
    }

    fn look(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        let line = self.lines.try_recv().ok()?;
        Some(self.record(line))
    }

    fn record(&mut self, line: io::Result<Vec<u8>>) -> Result<Vec<u8>, Failure> {
        self.number += 1;
        let number = self.number;
        let line = line.map_err(|error| Failure::failed(error).at("Standard input"))?;
        self.ahead.take(line.len());
        let record = self.reader.record(&line);
        let record =
            record.map_err(|wrong| Failure::failed(format_args!("Line {number}: {wrong}")));
        record.map(|record| record.to_string().into_bytes())
    }
}

fn read_all(input: &mut impl BufRead, lines: &Sender<io::Result<Vec<u8>>>, ahead: &Ahead) {
    loop {
        let line = read_line(input);
        let Some(line) = line.transpose() else { return };
        let failed = line.is_err();
        ahead.add(line.as_ref().map_or(0, Vec::len));
        if lines.blocking_send(line).is_err() || failed {
            return;
        }
    }
}

/// The next line without its end; `None` after the last.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = LINE_BYTES_MAX as u64 + 1;
    io::Read::take(&mut *input, most).read_until(b'\n', &mut line)?;
    if line.len() > LINE_BYTES_MAX {
        let message = format!("a line has more than {LINE_BYTES_MAX} bytes");
        return Err(io::Error::other(message));
    }
    if line.is_empty() {
        return Ok(None);
    }
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    Ok(Some(line))
}

impl Reader {
    fn record(&self, line: &[u8]) -> Result<Value, String> {
        let mut record = match self.ndjson {
            true => parse(line)?,
            false => self.split(line)?,
        };
        if let Some(partition) = self.partition {
            record.insert("partition".into(), partition.into());
        }
        Ok(Value::Object(record))
    }

    fn split(&self, line: &[u8]) -> Result<Map<String, Value>, String> {
        let (key, value) = match &self.separator {
            None => (self.key.as_ref().map(String::as_bytes), line),
            Some(separator) => {
                let at = find(line, separator.as_bytes());
                let at = at.ok_or_else(|| format!("no \"{separator}\" in it"))?;
                (Some(&line[..at]), &line[at + separator.len()..])
            }
        };
        let mut record = Map::new();
        if let Some(key) = key {
            let (key, encoding) = text(key);
            record.insert("key".into(), key);
            encoding.map(|encoding| record.insert("key_encoding".into(), encoding));
        }
        let (value, encoding) = text(value);
        record.insert("value".into(), value);
        encoding.map(|encoding| record.insert("encoding".into(), encoding));
        Ok(record)
    }
}

/// A record as `consume` prints it: its offset will be another.
fn parse(line: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(mut record)) => {
            record.remove("offset");
            Ok(record)
        }
        Ok(_) => Err("not a JSON object".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn text(bytes: &[u8]) -> (Value, Option<Value>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.into(), None),
        Err(_) => (STANDARD.encode(bytes).into(), Some(json!("base64"))),
    }
}

fn find(line: &[u8], separator: &[u8]) -> Option<usize> {
    line.windows(separator.len())
        .position(|part| part == separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(separator: Option<&str>, ndjson: bool) -> Reader {
        Reader {
            key: None,
            separator: separator.map(str::to_owned),
            ndjson,
            partition: None,
        }
    }

    #[test]
    fn lines_become_records() {
        let plain = reader(None, false);
        assert_eq!(plain.record(b"21.5"), Ok(json!({"value": "21.5"})));
        assert_eq!(
            plain.record(b"\xff"),
            Ok(json!({"value": "/w==", "encoding": "base64"}))
        );
        let keyed = reader(Some(": "), false);
        assert_eq!(
            keyed.record(b"a/b: c: d"),
            Ok(json!({"key": "a/b", "value": "c: d"}))
        );
        assert!(keyed.record(b"a/b:c").is_err());
        let json = Reader {
            partition: Some(3),
            ..reader(None, true)
        };
        assert_eq!(
            json.record(br#"{"offset":7,"partition":1,"value":null}"#),
            Ok(json!({"partition": 3, "value": null}))
        );
        assert!(json.record(b"7").is_err() && json.record(b"{").is_err());
    }

    #[test]
    fn ends_of_lines_are_no_content() {
        let mut input = &b"a\r\n\nb\r"[..];
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).expect("no error") {
            lines.push(line);
        }
        assert_eq!(lines, [&b"a"[..], b"", b"b"]);
    }

    #[tokio::test]
    async fn a_batch_is_what_there_is() {
        let (sender, lines) = mpsc::channel(LINES_AHEAD);
        let mut lines = Lines {
            reader: reader(None, false),
            lines,
            ahead: Arc::default(),
            number: 0,
            next: None,
        };
        for _ in 0..BATCH_RECORDS_MAX + 1 {
            sender.send(Ok(b"x".to_vec())).await.expect("room");
        }
        let mut sizes = Vec::new();
        for _ in 0..2 {
            let batch = lines
                .next_batch()
                .await
                .expect("no error")
                .expect("records");
            sizes.push((batch.first, batch.count));
        }
        assert_eq!(sizes, [(1, BATCH_RECORDS_MAX), (BATCH_RECORDS_MAX + 1, 1)]);
        drop(sender);
        assert_eq!(lines.next_batch().await.expect("no error"), None);
    }
}
