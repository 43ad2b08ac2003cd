//! A record as JSON.

use std::cell::RefCell;
use std::ops::ControlFlow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use headwater_wire::batch::{self, Header, Record};
use serde::Serialize;

use crate::backend::{ReadError, StoredBatch};
use crate::validate::Validator;

const UTF8: &str = "utf8";
const BASE64: &str = "base64";

/// `{"offset":0,"timestamp":…,"key":"a/b","value":"…","encoding":"utf8|base64","headers":[…]}`.
#[derive(Debug, Serialize)]
pub(super) struct RecordJson {
    /// Only where records of several partitions are mixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    /// Only if the key is not text, which no MQTT topic is.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_encoding: Option<&'static str>,
    value: Option<String>,
    encoding: &'static str,
    headers: Vec<(String, Option<String>, &'static str)>,
}

impl RecordJson {
    /// The record at `offset`.
    pub(super) fn of(record: &Record<'_>, offset: i64, partition: Option<u32>) -> Self {
        let (key, key_encoding) = text(record.key);
        let (value, encoding) = text(record.value);
        let headers = record.headers.map(|(name, value)| {
            let (value, encoding) = text(value);
            (name.to_owned(), value, encoding)
        });
        Self {
            partition,
            offset,
            timestamp: record.timestamp,
            key,
            key_encoding: Some(key_encoding).filter(|encoding| *encoding != UTF8),
            value,
            encoding,
            headers: headers.collect(),
        }
    }
}

/// Bytes of a record that count against a limit of bytes: what it says, without the frame.
pub(super) fn record_bytes(record: &Record<'_>) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let headers: usize = record
        .headers
        .map(|(name, value)| name.len() + length(value))
        .sum();
    length(record.key) + length(record.value) + headers
}

/// Gives each record of `stored` from `from` on, with its offset, to `each`, until that breaks.
pub(super) fn each_record(
    stored: &StoredBatch,
    from: i64,
    mut each: impl FnMut(&Record<'_>, i64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    thread_local! {
        static VALIDATOR: RefCell<Validator> = RefCell::default();
    }
    let damaged = |_| ReadError::Damaged(stored.base_offset);
    VALIDATOR.with_borrow_mut(|validator| {
        let header = Header::parse_exact(&stored.bytes).map_err(damaged)?;
        let records = validator.records(&header, &stored.bytes).map_err(damaged)?;
        let mut flow = ControlFlow::Continue(());
        for record in batch::records(&header, records) {
            let record = record.map_err(damaged)?;
            let offset = stored
                .base_offset
                .saturating_add(record.offset_delta.into());
            if offset >= from {
                flow = each(&record, offset);
            }
            if flow.is_break() {
                break;
            }
        }
        validator.give_back();
        Ok(flow)
    })
}

fn text(bytes: Option<&[u8]>) -> (Option<String>, &'static str) {
    let Some(bytes) = bytes else {
        return (None, UTF8);
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), UTF8),
        Err(_) => (Some(STANDARD.encode(bytes)), BASE64),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headwater_wire::batch::{BatchBuilder, Producer};

    use super::*;

    /// Key and value.
    type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    fn stored(records: &[Pair<'_>]) -> StoredBatch {
        let mut builder = BatchBuilder::new();
        for (time, (key, value)) in (1000..).zip(records) {
            let headers = [
                ("unit", Some(&b"C"[..])),
                ("raw", Some(&b"\xff"[..])),
                ("no", None),
            ];
            builder.push(time, *key, *value, headers).expect("room");
        }
        let mut bytes = Vec::new();
        builder.finish_into(Producer::NONE, &mut bytes);
        batch::patch_base_offset(&mut bytes, 40);
        StoredBatch {
            base_offset: 40,
            last_offset: 39 + i64::try_from(records.len()).expect("few"),
            arrival_ms: 0,
            max_timestamp: 0,
            bytes: Bytes::from(bytes),
            topics: Bytes::new(),
        }
    }

    #[test]
    fn text_stays_text_and_bytes_become_base64() {
        let stored = stored(&[
            (Some(b"a/b"), Some(b"1.5")),
            (None, None),
            (Some(b"\xff"), Some(b"\x00\xff")),
        ]);
        let mut lines = Vec::new();
        let flow = each_record(&stored, 0, |record, offset| {
            lines.push(
                serde_json::to_string(&RecordJson::of(record, offset, Some(3))).expect("JSON"),
            );
            ControlFlow::Continue(())
        });
        assert!(matches!(flow, Ok(ControlFlow::Continue(()))));
        let headers =
            r#""headers":[["unit","C","utf8"],["raw","/w==","base64"],["no",null,"utf8"]]"#;
        assert_eq!(
            lines,
            [
                format!(
                    r#"{{"partition":3,"offset":40,"timestamp":1000,"key":"a/b","value":"1.5","encoding":"utf8",{headers}}}"#
                ),
                format!(
                    r#"{{"partition":3,"offset":41,"timestamp":1001,"key":null,"value":null,"encoding":"utf8",{headers}}}"#
                ),
                format!(
                    r#"{{"partition":3,"offset":42,"timestamp":1002,"key":"/w==","key_encoding":"base64","value":"AP8=","encoding":"base64",{headers}}}"#
                ),
            ]
        );
    }

    #[test]
    fn records_before_the_offset_are_left_out() {
        let stored = stored(&[(None, None), (None, None), (None, None)]);
        let mut offsets = Vec::new();
        let flow = each_record(&stored, 41, |_, offset| {
            offsets.push(offset);
            if offset == 41 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(matches!(flow, Ok(ControlFlow::Break(()))));
        assert_eq!(offsets, [41]);
    }

    #[test]
    fn a_damaged_batch_is_an_error() {
        let mut damaged = stored(&[(None, None)]);
        damaged.bytes = damaged.bytes.slice(..70);
        let read = each_record(&damaged, 0, |_, _| ControlFlow::Continue(()));
        assert!(matches!(read, Err(ReadError::Damaged(40))));
    }
}
