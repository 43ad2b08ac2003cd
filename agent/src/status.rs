//! What the agent shows of itself: the status as JSON, and the metrics.

mod metrics;
mod render;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use crate::log::Log;
use crate::sources::Intake;

pub use render::{AlarmView, BacklogView, LaneView, LinkView, LogView, StatusView};

/// Everything that the status is made of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Status {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    boot: String,
    sources: Vec<Intake>,
    link: Link,
    changes: Changes,
}

/// Tells that a state in the status changed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Changes(Arc<watch::Sender<()>>);

/// The state of the link, written by the uplink. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<LinkShared>,
}

#[derive(Debug)]
struct LinkShared {
    state: Mutex<LinkView>,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

/// `link.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Connected.
    Up,
    /// Trying.
    Connecting,
    /// Not connected, for the reason in `error`.
    Down,
}

/// `sources[].state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// Takes events.
    Running,
    /// Its events are refused; `error` says why.
    Rejecting,
    /// What it reads is not there yet; `error` says what.
    Waiting,
    /// What it read has ended, and everything is in the log.
    Done,
    /// It has ended.
    Failed,
}

/// One of `sources`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Whether it takes events.
    pub state: SourceState,
    /// Events that are durable.
    pub events: u64,
    /// Events that were refused.
    pub rejected: u64,
    /// The last thing that went wrong; nothing once events are taken again.
    pub error: Option<String>,
    /// Clients connected, for the metrics alone.
    #[serde(skip)]
    pub connections: usize,
}

impl Status {
    /// The status of an agent with this log, these sources and this link.
    pub fn new(log: Log, boot: String, sources: Vec<Intake>, link: Link, changes: Changes) -> Self {
        Self {
            shared: Arc::new(Shared {
                log,
                boot,
                sources,
                link,
                changes,
            }),
        }
    }

    /// Tells of changes in the states of sources.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.shared.changes.0.subscribe()
    }

    /// As of now.
    pub async fn view(&self) -> StatusView {
        let shared = &*self.shared;
        let sources = shared.sources.iter().map(Intake::view).collect();
        let log = shared.log.status().await;
        StatusView::new(
            shared.log.device(),
            &shared.boot,
            shared.link.view(),
            log,
            sources,
        )
    }

    /// The metrics in Prometheus' text format.
    pub async fn metrics(&self) -> String {
        metrics::render(&self.view().await, &self.shared.link)
    }

    /// Why `/readyz` says no; empty if the agent takes events.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let is_bad = |state| matches!(state, SourceState::Rejecting | SourceState::Failed);
        let rejecting = |source: &Intake| is_bad(source.view().state);
        if self.shared.sources.iter().any(rejecting) {
            vec!["source-rejects"]
        } else {
            Vec::new()
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Changes {
    /// Something changed.
    pub fn tell(&self) {
        self.0.send_replace(());
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A link that is down since now.
    pub fn new() -> Self {
        let since_ms = crate::clock::now_ms();
        let state = LinkView {
            state: LinkState::Down,
            since_ms,
            error: None,
        };
        Self {
            shared: Arc::new(LinkShared {
                state: Mutex::new(state),
                bytes_out: AtomicU64::new(0),
                bytes_in: AtomicU64::new(0),
            }),
        }
    }

    /// What it is now.
    pub fn view(&self) -> LinkView {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets the state; the error of an attempt is shown until the link is up.
    pub fn set(&self, state: LinkState, error: Option<String>) {
        let mut view = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if view.state != state {
            view.state = state;
            view.since_ms = crate::clock::now_ms();
        }
        view.error = error;
    }

    /// MQTT bytes handed to the connection.
    pub fn count_out(&self, bytes: usize) {
        add(&self.shared.bytes_out, bytes);
    }

    /// MQTT bytes that came.
    pub fn count_in(&self, bytes: usize) {
        add(&self.shared.bytes_in, bytes);
    }

    fn bytes(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.shared.bytes_out), load(&self.shared.bytes_in))
    }
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Eight hex digits that are this process's alone.
pub fn boot_id() -> String {
    format!("{:08x}", random_u32())
}

/// Random by the system; by the clock on a machine that has no randomness yet.
pub(crate) fn random_u32() -> u32 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => u32::try_from(crate::clock::now_ms() & 0xffff_ffff).unwrap_or(1),
    }
}
