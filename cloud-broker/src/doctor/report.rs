//! What was looked at, and what is damaged.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// The findings, in the order in which things were looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What was looked at.
    pub data_dir: String,
    /// Registers that were read.
    pub registers: u64,
    /// Snapshots that were read.
    pub snapshots: u64,
    /// Segments that were read.
    pub segments: u64,
    /// Journals that were read.
    pub journals: u64,
    /// Their chunks.
    pub chunks: u64,
    /// Batches in segments and journals.
    pub batches: u64,
    /// Their records.
    pub records: u64,
    /// Bytes of all batches, as they are stored.
    pub bytes: u64,
    /// What is damaged; empty: all is well.
    pub damage: Vec<Damage>,
    /// What is no damage and worth knowing.
    pub notes: Vec<String>,
}

/// One thing that is damaged. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// File, blob or register.
    pub object: String,
    /// Where in it, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// Name of the stream, or its id if the catalog does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Partition of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// First offset that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// First offset behind it that can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
}

impl Report {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            data_dir: dir.display().to_string(),
            ..Self::default()
        }
    }

    pub(super) fn damaged(&mut self, damage: Damage) {
        self.damage.push(damage);
    }

    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Damage {
    /// A whole object.
    pub(super) fn object(object: impl Into<String>, what: impl fmt::Display) -> Self {
        Self {
            object: object.into(),
            what: what.to_string(),
            ..Self::default()
        }
    }

    /// The same at a place that ends with ` at N` or `:N`.
    pub(super) fn place(place: &str, what: impl fmt::Display) -> Self {
        let split = place.rsplit_once(" at ").or_else(|| place.rsplit_once(':'));
        let found = split.and_then(|(object, position)| Some((object, position.parse().ok()?)));
        match found {
            Some((object, position)) => Self {
                position: Some(position),
                ..Self::object(object, what)
            },
            None => Self::object(place, what),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        if let Some(position) = self.position {
            write!(f, " at {position}")?;
        }
        write!(f, ": {}", self.what)?;
        if let (Some(stream), Some(partition)) = (&self.stream, self.partition) {
            write!(f, ", stream {stream} partition {partition}")?;
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, " offsets {from} to {}", to.saturating_sub(1)),
            (Some(from), None) => write!(f, " offsets from {from} on"),
            (None, _) => Ok(()),
        }
    }
}
