//! What is known of agents.

use bytes::Bytes;

/// One agent.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// Its name.
    pub device: String,
    /// Its newest status, JSON as it was sent; none before the first.
    pub status: Option<Bytes>,
    /// When its newest status or batch came, ms.
    pub last_seen_ms: i64,
    /// By stream, then lane.
    pub lanes: Vec<LaneView>,
}

/// One lane of an agent, in its highest generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Stream.
    pub stream: String,
    /// Lane.
    pub lane: String,
    /// Highest generation.
    pub generation: u32,
    /// Partition of the stream.
    pub partition: u32,
    /// Position that comes next.
    pub next: u64,
}
