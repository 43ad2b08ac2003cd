//! Which producer ids were given out: blocks of them are reserved before the first is given.

use serde::{Deserialize, Serialize};

use super::FormatError;
use super::json::{self, Rest};
use crate::ids::WriteId;

/// The value of register `producer-ids`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProducerIds {
    /// Rises with every write, from 1.
    pub rev: u64,
    /// Which write this is.
    pub write_id: WriteId,
    /// Ids below this one may have been given.
    pub next: i64,
    /// What a later version wrote.
    #[serde(flatten)]
    pub rest: Rest,
}

impl ProducerIds {
    /// JSON.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads and checks what `encode` writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let ids: Self = json::decode(bytes, "producer id register")?;
        let what = "Next producer id";
        if ids.next < 0 {
            Err(FormatError::Value { what })
        } else {
            Ok(ids)
        }
    }
}
