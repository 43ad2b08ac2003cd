//! The fields of one record.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::http::error::ApiError;

/// Most headers of one record.
const HEADERS_MAX: usize = 1000;
/// Greatest timestamp, ms: numbers beyond 2^53 are not the same everywhere.
const TIMESTAMP_MAX: i64 = 1 << 53;

/// A header, decoded.
type NamedValue<'a> = (Cow<'a, str>, Option<Cow<'a, [u8]>>);

/// One record as it was written.
#[derive(Debug, Default, PartialEq)]
pub(in crate::http::append) struct Fields<'a> {
    /// Decoded; `None` is null or not given.
    pub(in crate::http::append) key: Option<Cow<'a, [u8]>>,
    /// Decoded; `None` is null.
    pub(in crate::http::append) value: Option<Cow<'a, [u8]>>,
    /// ms since 1970.
    pub(in crate::http::append) timestamp: Option<i64>,
    /// Number of the partition.
    pub(in crate::http::append) partition: Option<u32>,
    /// In their order.
    pub(in crate::http::append) headers: Vec<NamedValue<'a>>,
}

/// A record's fields before their encodings are known.
#[derive(Default)]
pub(super) struct Raw<'a> {
    key: Option<Option<Text<'a>>>,
    key_encoding: Option<Encoding>,
    value: Option<Option<Text<'a>>>,
    encoding: Option<Encoding>,
    timestamp: Option<Option<i64>>,
    partition: Option<Option<u32>>,
    headers: Option<Headers<'a>>,
}

impl<'de> Raw<'de> {
    pub(super) fn take<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match name {
            "key" => once(&mut self.key, map),
            "key_encoding" => once(&mut self.key_encoding, map),
            "value" => once(&mut self.value, map),
            "encoding" => once(&mut self.encoding, map),
            "timestamp" => once(&mut self.timestamp, map),
            "partition" => once(&mut self.partition, map),
            "headers" => once(&mut self.headers, map),
            _ => Err(A::Error::custom("there is no such field")),
        }
    }

    pub(super) fn decode(self) -> Result<Fields<'de>, ApiError> {
        let Some(value) = self.value else {
            return Err(wrong("value", "is missing (null is a tombstone)"));
        };
        // -1 is Kafka's word for none.
        let timestamp = self.timestamp.flatten().filter(|ms| *ms != -1);
        if timestamp.is_some_and(|ms| !(0..=TIMESTAMP_MAX).contains(&ms)) {
            return Err(wrong("timestamp", "must be 0 to 2^53, in ms since 1970"));
        }
        let headers = self.headers.map_or_else(Vec::new, |headers| headers.0);
        let header = |Header(name, value, encoding): Header<'de>| {
            Ok::<_, ApiError>((name.0, decode("headers", value, encoding)?))
        };
        Ok(Fields {
            key: decode("key", self.key.flatten(), self.key_encoding)?,
            value: decode("value", value, self.encoding)?,
            timestamp,
            partition: self.partition.flatten(),
            headers: headers.into_iter().map(header).collect::<Result<_, _>>()?,
        })
    }
}

fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    if field.is_some() {
        return Err(A::Error::custom("is given twice"));
    }
    *field = Some(map.next_value()?);
    Ok(())
}

fn decode<'a>(
    field: &str,
    text: Option<Text<'a>>,
    encoding: Option<Encoding>,
) -> Result<Option<Cow<'a, [u8]>>, ApiError> {
    let Some(Text(text)) = text else {
        return Ok(None);
    };
    Ok(Some(match (encoding.unwrap_or(Encoding::Utf8), text) {
        (Encoding::Utf8, Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        (Encoding::Utf8, Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        (Encoding::Base64, text) => Cow::Owned(
            STANDARD
                .decode(text.as_bytes())
                .map_err(|error| wrong(field, format_args!("is not base64: {error}")))?,
        ),
    }))
}

fn wrong(field: &str, what: impl fmt::Display) -> ApiError {
    ApiError::bad_request("bad-record", format!("{field}: {what}"))
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Utf8,
    Base64,
}

/// A string, borrowed from the body if nothing in it is escaped.
#[derive(serde::Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// `["name","value"]` or `["name","value","base64"]`; the value may be null.
struct Header<'a>(Text<'a>, Option<Text<'a>>, Option<Encoding>);

/// No more of them than a record may have.
struct Headers<'a>(Vec<Header<'a>>);

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of name, value and perhaps encoding")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Header<'de>, A::Error> {
        let short = |length| A::Error::invalid_length(length, &Self);
        let name = list.next_element()?.ok_or_else(|| short(0))?;
        let value = list.next_element()?.ok_or_else(|| short(1))?;
        Ok(Header(name, value, list.next_element()?))
    }
}

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_seq(HeaderVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {HEADERS_MAX} headers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers<'de>, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = list.next_element()? {
            if headers.len() == HEADERS_MAX {
                return Err(A::Error::invalid_length(HEADERS_MAX + 1, &Self));
            }
            headers.push(header);
        }
        Ok(Headers(headers))
    }
}

impl<'de> Deserialize<'de> for Headers<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_seq(HeadersVisitor)
    }
}
