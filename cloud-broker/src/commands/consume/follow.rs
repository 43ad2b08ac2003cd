//! What comes: server-sent events, over as many connections as it takes.

use std::io::Write;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::StreamExt;
use serde_json::Value;

use super::super::Failure;
use super::super::client::{Client, NotFollowed, escape};
use super::super::output::Stop;
use super::Printer;

/// Pause before a broker that is gone is looked for again.
const RETRY: Duration = Duration::from_secs(1);
/// The broker gives a sign of life each 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest line: a record of 1 MiB, in the worst encoding.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Prints records from `from` on until the printer has enough.
pub(super) async fn print(
    client: &mut Client,
    path: &str,
    from: &str,
    printer: &mut Printer<'_>,
) -> Result<(), Stop> {
    let filter = printer
        .filter
        .map(|filter| format!("&filter={}", escape(filter)));
    let path = format!(
        "{path}/live?from={}{}",
        escape(from),
        filter.unwrap_or_default()
    );
    let mut events = Events::default();
    // Titles are there at once.
    printer.out.flush()?;
    let mut begun = false;
    loop {
        let id = events.id.clone();
        let headers = id.as_deref().map(|id| ("last-event-id", id));
        match client.follow(&path, headers.as_slice()).await {
            Ok(mut body) => {
                begun = true;
                events.begin();
                while let Ok(Some(Ok(piece))) = tokio::time::timeout(SILENCE_MAX, body.next()).await
                {
                    events.take(&piece, |record| printer.put(record))?;
                    printer.out.flush()?;
                }
            }
            // What it refuses now it will refuse again: the stream was deleted, or its records are
            // gone.
            Err(NotFollowed::Refused(failure)) => return Err(failure.into()),
            // One that never was there is no broker that will come back.
            Err(NotFollowed::Lost(failure)) if !begun => return Err(failure.into()),
            Err(NotFollowed::Lost(_) | NotFollowed::Busy) => {}
        }
        // If stderr is closed, records still come.
        drop(writeln!(
            std::io::stderr(),
            "The broker does not go on, trying again"
        ));
        tokio::time::sleep(RETRY).await;
    }
}

/// The events of a connection, and where the next has to go on.
#[derive(Debug, Default)]
struct Events {
    line: Vec<u8>,
    /// The event that is coming says why no more will.
    is_end: bool,
    /// Of the event that is coming.
    coming: Option<String>,
    id: Option<String>,
}

impl Events {
    /// Another connection: what was half said is said again.
    fn begin(&mut self) {
        self.line.clear();
        (self.coming, self.is_end) = (None, false);
    }

    fn take(
        &mut self,
        piece: &Bytes,
        mut each: impl FnMut(&Value) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(Failure::failed("An event is too long").into());
            }
            if self.line.last() != Some(&b'\n') {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.take_line(line.trim_ascii_end(), &mut each)?;
        }
        Ok(())
    }

    fn take_line(
        &mut self,
        line: &[u8],
        each: &mut impl FnMut(&Value) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if line.is_empty() {
            // The event is complete: only now its id counts.
            if let Some(id) = self.coming.take() {
                self.id = Some(id);
            }
        } else if let Some(id) = line.strip_prefix(b"id: ") {
            self.coming = Some(String::from_utf8_lossy(id).into_owned());
        } else if line == b"event: end" {
            self.is_end = true;
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            let record: Value = serde_json::from_slice(data).map_err(|error| {
                Failure::failed(format_args!("The broker's record cannot be read: {error}"))
            })?;
            if self.is_end {
                let why = record["error"]["message"].as_str();
                return Err(Failure::failed(why.unwrap_or("The stream has ended")).into());
            }
            each(&record)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_may_come_in_pieces() {
        let text = b"id: 0:1\n\n: ping\n\nid: 0:2\nevent: record\ndata: {\"offset\":1}\n\nid: 0:3\ndata: {";
        for size in [1, 7, 1000] {
            let mut events = Events::default();
            let mut offsets = Vec::new();
            for piece in text.chunks(size) {
                let each = |record: &Value| {
                    offsets.push(record["offset"].as_i64());
                    Ok(())
                };
                events
                    .take(&Bytes::copy_from_slice(piece), each)
                    .expect("JSON");
            }
            assert_eq!(offsets, [Some(1)]);
            assert_eq!(events.id.as_deref(), Some("0:2"));
        }
    }

    #[test]
    fn the_end_is_no_record() {
        let text = b"event: end\ndata: {\"error\":{\"message\":\"It is gone\"}}\n\n";
        let each = |record: &Value| panic!("{record}");
        let taken = Events::default().take(&Bytes::from_static(text), each);
        let said = format!("{:?}", taken.expect_err("an end"));
        assert!(said.contains("It is gone"), "{said}");
    }
}
