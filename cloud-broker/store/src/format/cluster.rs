//! The cluster's own register: written once by the first `run`, changed by operators.

use serde::{Deserialize, Serialize};

use super::FormatError;
use super::json::{self, Rest};
use crate::ids::WriteId;

/// What this version reads and writes, for `min_reader` and `min_writer`.
pub const VERSION: u32 = 1;
/// Most shards that a cluster has.
pub const SHARDS_MAX: u32 = 1 << 20;

/// The value of register `cluster`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Rises with every write, from 1.
    pub rev: u64,
    /// Which write this is.
    pub write_id: WriteId,
    /// The cluster's identity, 32 hex digits.
    pub id: WriteId,
    /// Shards are numbered 0 to this, exclusive.
    pub shards: u32,
    /// Brokers below this version refuse to start.
    pub min_reader: u32,
    /// Brokers below this version refuse to write.
    pub min_writer: u32,
    /// What a later version wrote.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Cluster {
    /// A new cluster of this version.
    pub fn new(write_id: WriteId, id: [u8; 16], shards: u32) -> Self {
        Self {
            rev: 1,
            write_id,
            id: WriteId(id),
            shards,
            min_reader: VERSION,
            min_writer: VERSION,
            rest: Rest::new(),
        }
    }

    /// JSON.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads and checks what `encode` writes. A cluster that this version may not read is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let what = "cluster register";
        let cluster: Self = json::decode(bytes, what)?;
        if cluster.min_reader > VERSION {
            let [found, known] = [cluster.min_reader.into(), VERSION.into()];
            return Err(FormatError::UnknownFormat { what, found, known });
        }
        match (1..=SHARDS_MAX).contains(&cluster.shards) {
            true => Ok(cluster),
            false => Err(FormatError::Value {
                what: "Number of shards",
            }),
        }
    }
}
