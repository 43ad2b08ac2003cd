//! What is known of the wall clock, so that a restart does not forget it.

use serde::{Deserialize, Serialize};

use super::FormatError;
use super::json::{self, Rest};
use crate::ids::WriteId;

/// The value of register `clock`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Rises with every write, from 1.
    pub rev: u64,
    /// Which write this is.
    pub write_id: WriteId,
    /// It jumped forward, and nobody has accepted it since.
    pub suspect: bool,
    /// Which boot of the machine `offset_ms` holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Wall clock less time since the boot when it was last taken for right, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<i64>,
    /// A time that has passed, ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<i64>,
    /// What a later version wrote.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Clock {
    /// JSON.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads and checks what `encode` writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        json::decode(bytes, "clock register")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back() {
        let clock = Clock {
            rev: 3,
            write_id: WriteId([7; 16]),
            suspect: true,
            boot: Some("b".to_owned()),
            offset_ms: Some(-1),
            seen_ms: None,
            rest: Rest::new(),
        };
        let bytes = clock.encode();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.contains("\"suspect\": true"), "{text}");
        assert_eq!(Clock::decode(&bytes).unwrap(), clock);
        assert!(Clock::decode(b"{\"fmt\":1}").is_err());
        let unknown = Clock {
            boot: None,
            offset_ms: None,
            ..clock
        };
        let bytes = unknown.encode();
        assert!(!std::str::from_utf8(&bytes).unwrap().contains("offset"));
        assert_eq!(
            Clock::decode(&bytes).unwrap(),
            unknown,
            "as version 0.1.0 wrote it"
        );
    }
}
