//! The status as `GET /status` and `$hw/1/status` give it (interfaces.md 5 of the design).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{LinkState, SourceView};
use crate::log::{Alarm, LaneStatus, LogStatus, SyncCounts};

/// The whole status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusView {
    /// The device.
    pub device: String,
    /// Version of the agent.
    pub version: &'static str,
    /// Eight hex digits, random per process.
    pub boot: String,
    /// The way to the broker.
    pub link: LinkView,
    /// The log.
    pub log: LogView,
    /// Its lanes, in order of their names.
    pub lanes: Vec<LaneView>,
    /// What somebody should know.
    pub alarms: Vec<AlarmView>,
    /// The sources, in the order of the settings.
    pub sources: Vec<SourceView>,
    /// For the metrics alone.
    #[serde(skip)]
    pub(super) counts: LogCounts,
}

/// What the log counts since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogCounts {
    pub(super) syncs: SyncCounts,
    pub(super) lost: BTreeMap<&'static str, u64>,
}

/// `link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkView {
    /// Up, connecting or down.
    pub state: LinkState,
    /// Since when, ms.
    pub since_ms: i64,
    /// Why it is not up.
    pub error: Option<String>,
}

/// `log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogView {
    /// Bytes that the directory allocates.
    pub bytes: u64,
    /// Bytes that it may.
    pub max_bytes: u64,
    /// Bytes written to the device since the start.
    pub written_bytes: u64,
    /// Commits synced since the start.
    pub synced_commits: u64,
}

/// One of `lanes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneView {
    /// Its stream.
    pub stream: String,
    /// Its name within the stream.
    pub lane: String,
    /// Generation of its producer id.
    pub generation: u32,
    /// Oldest position held.
    pub oldest: u64,
    /// Position of the next event.
    pub next: u64,
    /// Everything below is acknowledged.
    pub acked: u64,
    /// Events that the broker has not acknowledged.
    pub events: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Timestamp of the oldest of them.
    pub oldest_ms: Option<i64>,
    /// Seconds until they are sent.
    pub drain_s: Option<u64>,
    /// Seconds until the log is full.
    pub overflow_s: Option<u64>,
    /// Events declared lost.
    pub lost_events: u64,
    /// `open`, `held` or `repairing`.
    pub state: &'static str,
    /// Why it is held.
    pub error: Option<String>,
}

/// One of `alarms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlarmView {
    /// Short and stable.
    pub code: &'static str,
    /// One sentence.
    pub text: String,
    /// Since when, ms.
    pub since_ms: i64,
}

/// What all lanes together hold back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogView {
    /// Events.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
}

impl StatusView {
    pub(super) fn new(
        device: &str,
        boot: &str,
        link: LinkView,
        log: LogStatus,
        sources: Vec<SourceView>,
    ) -> Self {
        Self {
            device: device.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            boot: boot.to_owned(),
            link,
            log: LogView {
                bytes: log.bytes,
                max_bytes: log.max_bytes,
                written_bytes: log.written_bytes,
                synced_commits: log.synced_commits,
            },
            lanes: log.lanes.into_iter().map(LaneView::from).collect(),
            alarms: log.alarms.into_iter().map(AlarmView::from).collect(),
            sources,
            counts: LogCounts {
                syncs: log.syncs,
                lost: log.lost,
            },
        }
    }

    /// The sum of the lanes.
    pub fn backlog(&self) -> BacklogView {
        BacklogView {
            events: self
                .lanes
                .iter()
                .fold(0, |sum: u64, lane| sum.saturating_add(lane.events)),
            bytes: self
                .lanes
                .iter()
                .fold(0, |sum: u64, lane| sum.saturating_add(lane.bytes)),
        }
    }

    /// As JSON in one line.
    pub fn json(&self) -> Vec<u8> {
        // Plain structs of strings and numbers always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl From<LaneStatus> for LaneView {
    fn from(lane: LaneStatus) -> Self {
        Self {
            stream: lane.name.stream.to_string(),
            lane: lane.name.lane.to_string(),
            generation: lane.generation,
            oldest: lane.oldest.0,
            next: lane.next.0,
            acked: lane.acked.0,
            events: lane.events,
            bytes: lane.bytes,
            oldest_ms: lane.oldest_ms,
            drain_s: lane.drain_s,
            overflow_s: lane.overflow_s,
            lost_events: lane.lost_events,
            state: match (&lane.held, &lane.forked) {
                (Some(_), _) => "held",
                (None, Some(_)) => "repairing",
                (None, None) => "open",
            },
            error: lane.held.or(lane.forked),
        }
    }
}

impl From<Alarm> for AlarmView {
    fn from(alarm: Alarm) -> Self {
        Self {
            code: alarm.code,
            text: alarm.text,
            since_ms: alarm.since_ms,
        }
    }
}
