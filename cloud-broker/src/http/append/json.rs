//! Records as JSON, read one by one out of the body.

mod fields;

use std::fmt;

use axum::http::HeaderMap;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::batches::Batches;
use crate::http::error::ApiError;
use crate::http::query::content_type;
use fields::{Raw, Text};

pub(super) use fields::Fields;

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Format {
    /// `{"records":[…]}`
    Json,
    /// One record a line.
    Lines,
}

impl Format {
    /// By the content type. A form's default is refused, so that no other site's page can post.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let name = content_type(headers);
        match name.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" => Ok(Self::Lines),
            _ => Err(ApiError::bad_request(
                "bad-content-type",
                format!(
                    "Content-Type must be application/json or application/x-ndjson, not \"{name}\""
                ),
            )),
        }
    }
}

/// Gives each record of `text` to `batches`.
pub(super) fn read(format: Format, text: &[u8], batches: &mut Batches<'_>) -> Result<(), ApiError> {
    match format {
        Format::Json => {
            let mut json = serde_json::Deserializer::from_slice(text);
            let read = Request(batches).deserialize(&mut json);
            let read = read.and_then(|()| json.end());
            read.map_err(|error| refused(batches, &error.to_string()))
        }
        Format::Lines => {
            for line in text.split(|byte| *byte == b'\n') {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let mut json = serde_json::Deserializer::from_slice(line);
                let number = batches.len();
                let read = One(batches).deserialize(&mut json);
                let read = read.and_then(|()| json.end());
                read.map_err(|error| refused(batches, &format!("Record {number}: {error}")))?;
            }
            Ok(())
        }
    }
}

/// What `batches` said if it was not content, or else what the JSON lacks.
fn refused(batches: &mut Batches<'_>, message: &str) -> ApiError {
    let refusal = batches.take_refusal();
    refusal.unwrap_or_else(|| ApiError::bad_request("bad-record", message))
}

/// `{"records":[…]}`
struct Request<'b, 'm>(&'b mut Batches<'m>);

impl<'de> DeserializeSeed<'de> for Request<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"records\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = false;
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if name.0 != "records" || seen {
                return Err(unexpected(&name.0, seen));
            }
            seen = true;
            map.next_value_seed(All(self.0))?;
        }
        if seen {
            Ok(())
        } else {
            Err(A::Error::missing_field("records"))
        }
    }
}

/// The list of records.
struct All<'b, 'm>(&'b mut Batches<'m>);

impl<'de> DeserializeSeed<'de> for All<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for All<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let number = self.0.len();
            let record = list.next_element_seed(One(self.0));
            let record = record.map_err(|error| within(format_args!("Record {number}"), error))?;
            if record.is_none() {
                return Ok(());
            }
        }
    }
}

/// One record.
struct One<'b, 'm>(&'b mut Batches<'m>);

impl<'de> DeserializeSeed<'de> for One<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record, an object with \"value\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut raw = Raw::default();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let taken = raw.take(&name.0, &mut map);
            taken.map_err(|error| within(&name.0, error))?;
        }
        let pushed = raw.decode().and_then(|fields| self.0.push(&fields));
        // What is kept there says more than an error of the parser can.
        pushed.map_err(|refusal| A::Error::custom(self.0.keep_refusal(refusal)))
    }
}

fn within<E: Error>(place: impl fmt::Display, error: E) -> E {
    E::custom(format_args!("{place}: {error}"))
}

fn unexpected<E: Error>(name: &str, twice: bool) -> E {
    match twice && name == "records" {
        true => E::duplicate_field("records"),
        false => E::unknown_field(name, &["records"]),
    }
}
