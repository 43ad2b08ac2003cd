//! The streams that headwater keeps for itself. Identities are persisted: never change or reuse.

use crate::StreamId;

use super::spec::{Cleanup, PartitionBy, StreamSpec, Validation};

/// Names that begin so are internal.
pub const INTERNAL_PREFIX: &str = "__";
/// Streams, by name.
pub const CATALOG: &str = "__catalog";
/// Bindings of agents' lanes, by `device/stream`.
pub const LANES: &str = "__lanes";
/// The newest status of each agent, by device.
pub const DEVICES: &str = "__devices";
/// Consumer groups and how far they have come, each group in the partition of its name.
pub const GROUPS: &str = "__groups";

pub(crate) const CATALOG_ID: StreamId = *b"headwater\0\0\0\0\0\0\x01";
pub(crate) const LANES_ID: StreamId = *b"headwater\0\0\0\0\0\0\x02";
pub(crate) const DEVICES_ID: StreamId = *b"headwater\0\0\0\0\0\0\x03";
pub(crate) const GROUPS_ID: StreamId = *b"headwater\0\0\0\0\0\0\x04";

/// The internal streams with their fixed identities and partition counts: known before anything
/// is read, since the catalog itself lies in one of them.
#[must_use]
pub fn internal_streams() -> [(StreamId, StreamSpec); 4] {
    [
        (CATALOG_ID, spec(CATALOG, 1)),
        (LANES_ID, spec(LANES, 16)),
        (DEVICES_ID, spec(DEVICES, 16)),
        (GROUPS_ID, spec(GROUPS, 16)),
    ]
}

fn spec(name: &str, partitions: u32) -> StreamSpec {
    StreamSpec {
        name: name.to_owned(),
        filters: Vec::new(),
        partitions,
        retention_ms: None,
        retention_bytes: None,
        cleanup: Cleanup::Compact,
        partition_by: PartitionBy::Topic,
        validation: Validation::Full,
        transient: false,
    }
}
