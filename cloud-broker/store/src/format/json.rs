//! JSON registers: read by people at 3 a.m., so they are indented; each has `fmt`, `rev` and
//! `write_id`, and keeps the members it does not know.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::FormatError;

/// Members that this version does not know, as they were.
pub type Rest = serde_json::Map<String, serde_json::Value>;

/// Longest JSON register that is read, bytes.
pub(super) const JSON_BYTES_MAX: usize = 64 << 10;

/// The version of the text; what is not 1 is refused before anything else is looked at.
const FORMAT: u64 = 1;

/// Indented JSON with a line's end.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let with_format = WithFormat { fmt: FORMAT, value };
    let mut text = serde_json::to_vec_pretty(&with_format)
        .expect("registers have string keys and no value that can fail");
    text.push(b'\n');
    text
}

/// The value in `bytes`, which errors call `what`.
pub(super) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, FormatError> {
    if bytes.len() > JSON_BYTES_MAX {
        let [found, max] = [bytes.len() as u64, JSON_BYTES_MAX as u64];
        return Err(FormatError::TooLarge { what, found, max });
    }
    let format: OnlyFormat =
        serde_json::from_slice(bytes).map_err(|_| FormatError::Magic { what })?;
    if format.fmt != FORMAT {
        return Err(FormatError::UnknownFormat {
            what,
            found: format.fmt,
            known: FORMAT,
        });
    }
    let with_format: WithFormat<T> =
        serde_json::from_slice(bytes).map_err(|_| FormatError::Value { what })?;
    Ok(with_format.value)
}

#[derive(Deserialize)]
struct OnlyFormat {
    fmt: u64,
}

#[derive(Serialize, Deserialize)]
struct WithFormat<T> {
    fmt: u64,
    #[serde(flatten)]
    value: T,
}
