//! What the log thread does, without the thread: every decision and every file.

mod cursor;
mod evict;
mod group;
mod lane;
mod loss;
mod missing;
mod recover;
mod repair;
mod report;
mod store;
mod trim;
mod uplink;
mod wrap;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use headwater_agent_core::lane::{LaneName, LaneState};
use headwater_agent_core::rate::Rate;
use headwater_agent_core::retention::Budget;
use headwater_wire::batch::Compressor;
use headwater_wire::time::Millis;

use self::cursor::Cursors;
pub(super) use self::cursor::PendingStep;
pub(super) use self::group::Pending;
pub(super) use self::lane::Lane;
use super::device::Identity;
use super::lock::DirLock;
use super::options::LogOptions;
use super::segments::{Reader, Segments, Store};
use super::space::{FIXED_BYTES, Meter, TAIL_FILE_BYTES, TAIL_FILES_MAX};
use super::status::Alarm;
use super::tail::{Journal, LaneRecord};

/// Lanes that a log takes: a stream's name comes from outside.
pub(super) const LANES_MAX: usize = 64;
/// Segments that are open for writing at a time, each with its cache.
const WRITERS_MAX: usize = 4;
/// Alarms that are kept.
const ALARMS_MAX: usize = 16;

/// The log, on one thread.
pub(super) struct Engine {
    options: LogOptions,
    identity: Identity,
    store: Store,
    journal: Journal,
    lanes: BTreeMap<LaneName, Lane>,
    cursors: Cursors,
    reader: Reader,
    compressor: Compressor,
    meter: Meter,
    link_up: bool,
    synced_commits: u64,
    alarms: Vec<Alarm>,
    rates: Rates,
    /// Whether something changed that the uplink or `status` wants to know.
    changed: bool,
    /// When to try again what a failing disk did not take.
    retry_at: Option<Millis>,
    _lock: Arc<DirLock>,
}

/// How fast it goes, over all lanes.
#[derive(Debug)]
struct Rates {
    /// Compressed bytes coming in.
    intake_bytes: Rate,
    /// Events acknowledged.
    acked_events: Rate,
}

impl Engine {
    pub(super) fn device(&self) -> &str {
        &self.identity.device
    }

    /// The lanes as the uplink sees them.
    pub(super) fn lane_states(&self) -> Vec<LaneState> {
        self.lanes.values().map(Lane::state).collect()
    }

    /// Whether something changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn set_link(&mut self, up: bool) {
        self.link_up = up;
    }

    pub(super) fn hold(&mut self, name: &LaneName, error: Option<String>) {
        if let Some(lane) = self.lanes.get_mut(name) {
            self.changed |= lane.held != error;
            lane.held = error;
        }
    }

    /// How long until [`Self::run_then`] has something to do that no append asks for.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let ms = self.next_due()?.since(self.now());
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// Whether it has now.
    pub(super) fn is_due(&self) -> bool {
        self.next_due().is_some_and(|due| due <= self.now())
    }

    fn next_due(&self) -> Option<Millis> {
        let age_ms = millis(self.options.batch_age);
        let age = |lane: &Lane| lane.batcher.opened_at().map(|at| at.plus(age_ms));
        let age = self
            .link_up
            .then(|| self.lanes.values().filter_map(age).min())
            .flatten();
        let due = [age, self.next_trim()].into_iter().flatten().min();
        due.map(|due| self.retry_at.map_or(due, |retry_at| due.max(retry_at)))
    }

    /// Closes the files. What is durable stays, what is not was never acknowledged.
    pub(super) fn close(mut self) {
        for lane in self.lanes.values_mut() {
            lane.segments.close_writer();
        }
    }

    fn now(&self) -> Millis {
        self.options.clock.now()
    }

    fn budget(&self) -> Budget {
        let segments: u64 = self
            .lanes
            .values()
            .map(|lane| lane.segments.allocated())
            .sum();
        let used = FIXED_BYTES + TAIL_FILES_MAX * TAIL_FILE_BYTES + segments;
        Budget {
            max_bytes: self.options.max_bytes,
            used,
        }
    }

    /// The lane, made if it is not there.
    fn lane(&mut self, name: &LaneName) -> io::Result<Option<&mut Lane>> {
        if !self.lanes.contains_key(name) {
            if self.lanes.len() >= LANES_MAX {
                return Ok(None);
            }
            let segments = Segments::open(self.store.clone(), name.clone())?;
            let target_bytes = self.options.batch_bytes;
            let record = LaneRecord::default();
            let lane = Lane::new(
                &self.identity.device,
                name.clone(),
                record,
                segments,
                target_bytes,
            );
            self.lanes.insert(name.clone(), lane);
            self.changed = true;
        }
        Ok(self.lanes.get_mut(name))
    }

    fn alarm(&mut self, code: &'static str, text: String) {
        self.alarm_since(code, text, self.options.clock.wall_ms());
    }

    fn alarm_since(&mut self, code: &'static str, text: String, since_ms: i64) {
        if self
            .alarms
            .iter()
            .any(|alarm| alarm.code == code && alarm.text == text)
        {
            return;
        }
        tracing::warn!(code, "{text}");
        if self.alarms.len() == ALARMS_MAX {
            self.alarms.remove(0);
        }
        self.alarms.push(Alarm {
            code,
            text,
            since_ms,
        });
        self.changed = true;
    }

    /// The failure is over.
    fn clear_alarm(&mut self, code: &str) {
        let before = self.alarms.len();
        self.alarms.retain(|alarm| alarm.code != code);
        self.changed |= self.alarms.len() != before;
    }
}

/// As the shared form that an error is answered in.
fn shared(error: io::Error) -> Arc<io::Error> {
    Arc::new(error)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
