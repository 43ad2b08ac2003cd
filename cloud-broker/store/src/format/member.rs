//! Heartbeat of a broker's life: hints for others, never relied upon for safety.

use serde::{Deserialize, Serialize};

use super::FormatError;
use super::json::{self, Rest};
use crate::ids::{Incarnation, WriteId};

/// The value of register `m/<inc>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Rises with every beat, from 1.
    pub rev: u64,
    /// Which write this is.
    pub write_id: WriteId,
    /// Whose beat it is.
    pub inc: Incarnation,
    /// The broker's number, from 0.
    pub node: u32,
    /// Host that clients are told.
    pub host: String,
    /// Every slot of its journal below this one is there.
    pub commit: u64,
    /// What a later version wrote.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Member {
    /// JSON.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads what `encode` writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        json::decode(bytes, "member register")
    }
}
