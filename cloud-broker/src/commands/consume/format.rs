//! How a record is printed.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::Value;

/// One line a record, unless a value has lines of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Key, tab, value
    Text,
    /// One object a line, as the broker has it
    Json,
    /// RFC 4180, with titles
    Csv,
}

const TITLES: &str = "partition,offset,timestamp,key,value,encoding,headers";

impl Format {
    /// What comes before the first record.
    pub(super) fn begin(self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text | Self::Json => Ok(()),
            Self::Csv => write!(to, "{TITLES}\r\n"),
        }
    }

    /// Prints one record.
    pub(super) fn record(self, record: &Value, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Json => writeln!(to, "{record}"),
            Self::Text => {
                to.write_all(&bytes(&record["key"], &record["key_encoding"]))?;
                to.write_all(b"\t")?;
                to.write_all(&bytes(&record["value"], &record["encoding"]))?;
                to.write_all(b"\n")
            }
            Self::Csv => {
                let headers = match record["headers"].as_array() {
                    Some(headers) if !headers.is_empty() => record["headers"].to_string(),
                    _ => String::new(),
                };
                let fields = [
                    Cow::from(record["partition"].to_string()),
                    record["offset"].to_string().into(),
                    time(&record["timestamp"]).into(),
                    record["key"].as_str().unwrap_or_default().into(),
                    record["value"].as_str().unwrap_or_default().into(),
                    record["encoding"].as_str().unwrap_or_default().into(),
                    headers.into(),
                ];
                let quoted = fields.iter().map(|field| quote(field));
                write!(to, "{}\r\n", quoted.collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// What was stored; null is nothing.
fn bytes<'a>(text: &'a Value, encoding: &Value) -> Cow<'a, [u8]> {
    let text = text.as_str().unwrap_or_default();
    let decoded = (encoding == "base64").then(|| STANDARD.decode(text).ok());
    match decoded.flatten() {
        Some(bytes) => bytes.into(),
        None => text.as_bytes().into(),
    }
}

/// RFC 3339; a time that has no year of four digits stays a number.
fn time(ms: &Value) -> String {
    let time = ms
        .as_i64()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| ms.to_string(), |time| format!("{time:.3}"))
}

fn quote(field: &str) -> Cow<'_, str> {
    match field.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")).into(),
        false => field.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(format: Format, record: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        format.record(record, &mut out).expect("memory");
        out
    }

    #[test]
    fn each_format() {
        let record = json!({"partition": 1, "offset": 7, "timestamp": 1500, "key": "a,\"b\"",
            "value": "/w==", "encoding": "base64", "headers": [["k", "v", "utf8"]]});
        assert_eq!(printed(Format::Text, &record), b"a,\"b\"\t\xff\n");
        assert_eq!(
            String::from_utf8_lossy(&printed(Format::Csv, &record)),
            "1,7,1970-01-01T00:00:01.500Z,\"a,\"\"b\"\"\",/w==,base64,\"[[\"\"k\"\",\"\"v\"\",\"\"utf8\"\"]]\"\r\n"
        );
        let line = printed(Format::Json, &record);
        assert_eq!(
            serde_json::from_slice::<Value>(&line).expect("JSON"),
            record
        );
        let none = json!({"partition": 0, "offset": 0, "timestamp": i64::MAX, "key": null,
            "value": null, "encoding": "utf8", "headers": []});
        assert_eq!(printed(Format::Text, &none), b"\t\n");
        assert_eq!(
            String::from_utf8_lossy(&printed(Format::Csv, &none)),
            "0,0,9223372036854775807,,,utf8,\r\n"
        );
    }
}
