use std::collections::BTreeMap;

use headwater_agent_core::lane::LaneName;
use headwater_wire::uplink::Position;

use super::sync_times::SyncCounts;

/// Figures of the log, for `status` and metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogStatus {
    /// Bytes that the directory allocates.
    pub bytes: u64,
    /// Bytes that it may.
    pub max_bytes: u64,
    /// Bytes written to the device since the log was opened.
    pub written_bytes: u64,
    /// Commits that were synced since the log was opened.
    pub synced_commits: u64,
    /// Syncs of journal and segments since the log was opened.
    pub syncs: SyncCounts,
    /// Events whose loss the broker confirmed since the log was opened, by reason.
    pub lost: BTreeMap<&'static str, u64>,
    /// Lanes in order of their names.
    pub lanes: Vec<LaneStatus>,
    /// What somebody should know about, oldest first.
    pub alarms: Vec<Alarm>,
}

/// Figures of one lane.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneStatus {
    /// Which lane.
    pub name: LaneName,
    /// Generation of its producer id.
    pub generation: u32,
    /// Oldest position held.
    pub oldest: Position,
    /// Position of the next event.
    pub next: Position,
    /// Everything below is acknowledged, as far as this process knows.
    pub acked: Position,
    /// Events that the broker has not acknowledged.
    pub events: u64,
    /// Bytes of them, compressed (those still open as they lie in memory).
    pub bytes: u64,
    /// Timestamp of the oldest of them, ms.
    pub oldest_ms: Option<i64>,
    /// Seconds until they are sent, at the present rate.
    pub drain_s: Option<u64>,
    /// Seconds until the log is full, at the present rate.
    pub overflow_s: Option<u64>,
    /// Events that were declared lost and whose loss the broker confirmed.
    pub lost_events: u64,
    /// Why it is held, if it is.
    pub held: Option<String>,
    /// Why it waits for another generation, if it does.
    pub forked: Option<String>,
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Short and stable: `damaged`, `clone`, `disk`.
    pub code: &'static str,
    /// One sentence.
    pub text: String,
    /// Since when, ms.
    pub since_ms: i64,
}
