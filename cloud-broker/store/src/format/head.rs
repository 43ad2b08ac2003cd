//! Register of a journal: open, frozen or sealed, and from where on its slots are kept.

use serde::{Deserialize, Serialize};

use super::FormatError;
use super::json::{self, Rest};
use crate::ids::WriteId;

/// The value of register `j/<hh>/<inc>/head`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Rises with every write, from 1.
    pub rev: u64,
    /// Which write this is.
    pub write_id: WriteId,
    /// Moves forward only.
    pub state: State,
    /// Slots below this one may be gone. Rises, while open, by the owner alone.
    pub low: u64,
    /// Sealed: the tombstone's slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// What a later version wrote.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Of a journal; there is no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its owner writes.
    Open,
    /// Somebody wants to seal it: nothing is deleted any more.
    Frozen,
    /// It ends at `end`.
    Sealed,
}

impl Head {
    /// The head of a new journal.
    pub fn new(write_id: WriteId) -> Self {
        Self {
            rev: 1,
            write_id,
            state: State::Open,
            low: 0,
            end: None,
            rest: Rest::new(),
        }
    }

    /// JSON.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads and checks what `encode` writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let head: Self = json::decode(bytes, "journal head")?;
        let ends = head.end.is_some_and(|end| end >= head.low);
        match ends == (head.state == State::Sealed) {
            true => Ok(head),
            false => Err(FormatError::Value {
                what: "End of a journal head",
            }),
        }
    }
}
