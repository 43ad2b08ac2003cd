//! The loop between core, client and log.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_agent_core::handshake::Handshake;
use headwater_agent_core::lane::{LaneName, LaneState, SealedBatch};
use headwater_agent_core::uplink::{
    Connack, ConnectionId, LinkState as CoreState, Options as CoreOptions, Output, Uplink,
};
use headwater_wire::time::Millis;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Options;
use super::address::Candidates;
use super::client::{self, Connection, Happened};
use crate::log::Log;
use crate::sources::Stopping;
use crate::status::{Link, LinkState, Status, StatusView};

/// Between two looks at whether the status is worth telling.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Drives the uplink.
pub(super) struct Driver {
    core: Uplink,
    options: Arc<Options>,
    candidates: Arc<Mutex<Candidates>>,
    connection: Option<Connection>,
    log: Log,
    link: Link,
    status: Status,
    /// Questions to the log and to the status that are not answered.
    asked: JoinSet<Asked>,
    started: Instant,
    /// Hash of what the status last told the broker, figures left out.
    told: u64,
    looked_at: Instant,
    look_wanted: bool,
    last_error: Option<String>,
}

/// An answer for the core.
enum Asked {
    Batch(ConnectionId, LaneName, Result<Option<SealedBatch>, String>),
    Handshake(ConnectionId, LaneName, Result<Handshake, String>),
    Repair(ConnectionId, Result<LaneState, (LaneName, String)>),
    Status(StatusView),
    Look(StatusView),
}

impl Driver {
    pub(super) fn new(options: Options, log: Log, link: Link, status: Status) -> Self {
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let core = CoreOptions {
            window: usize::from(options.window),
            keep_alive_ms: ms(options.keep_alive),
            watchdog_ms: ms(options.watchdog),
            drop_missing: options.drop_missing,
            seed: u64::from(crate::status::random_u32()) << 32 | 1,
        };
        let now = Instant::now();
        Self {
            core: Uplink::new(core, Millis(0)),
            candidates: Arc::new(Mutex::new(Candidates::new(options.urls.clone()))),
            options: Arc::new(options),
            connection: None,
            log,
            link,
            status,
            asked: JoinSet::new(),
            started: now,
            told: 0,
            looked_at: now,
            look_wanted: false,
            last_error: None,
        }
    }

    /// Runs until the agent stops.
    pub(super) async fn run(mut self, mut stopping: Stopping) {
        let mut log_changes = self.log.watch();
        let mut status_changes = self.status.watch();
        self.core.handle_lanes(self.now(), self.log.lanes());
        loop {
            self.perform().await;
            self.show();
            let timeout = self.timeout();
            tokio::select! {
                () = stopping.wait() => return,
                happened = next(&mut self.connection) => self.handle(happened),
                going_on = log_changes.changed() => {
                    if !going_on {
                        return;
                    }
                    self.look_wanted = true;
                    self.core.handle_lanes(self.now(), self.log.lanes());
                }
                () = changed(&mut status_changes) => self.look_wanted = true,
                Some(asked) = self.asked.join_next(), if !self.asked.is_empty() => {
                    if let Ok(asked) = asked {
                        self.handle_asked(asked);
                    }
                }
                () = tokio::time::sleep_until(timeout) => self.core.handle_timeout(self.now()),
            }
            self.look();
        }
    }

    fn now(&self) -> Millis {
        Millis(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn timeout(&self) -> Instant {
        let core = self.core.poll_timeout().map(|at| {
            let ms = u64::try_from(at.0.saturating_add(1)).unwrap_or(0);
            self.started + Duration::from_millis(ms)
        });
        let look = self.look_wanted.then(|| self.looked_at + LOOK_INTERVAL);
        [core, look]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    fn handle(&mut self, happened: Happened) {
        let now = self.now();
        match happened {
            Happened::Connected(_, ack, url) => {
                let properties = ack.properties.as_ref();
                let connack = Connack {
                    receive_max: properties.and_then(|properties| properties.receive_max),
                    packet_bytes_max: properties.and_then(|properties| properties.max_packet_size),
                };
                tracing::info!("Connected to {url}");
                self.last_error = None;
                self.core.handle_connected(now, connack);
            }
            Happened::Activity => {
                self.link.count_in(2);
                self.core.handle_activity(now);
            }
            Happened::Sent(packet_id) => self.core.handle_sent(now, packet_id),
            Happened::Answered(ack) => {
                self.link.count_in(ack.size());
                self.core.handle_activity(now);
                let (packet_id, reason, properties) = client::answer(ack);
                self.core.handle_answer(now, packet_id, reason, &properties);
            }
            Happened::Ended(error) => {
                self.connection = None;
                // An offline month must not fill a device's journal with one line.
                if self.last_error.as_ref() == Some(&error) {
                    tracing::debug!("The link is still down: {error}");
                } else {
                    tracing::info!("The link is down: {error}");
                }
                self.last_error = Some(error.clone());
                self.core.handle_disconnected(now, error);
            }
        }
    }

    /// Does what the core says, in its order.
    async fn perform(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Connect => {
                    let candidates = Arc::clone(&self.candidates);
                    self.connection = Some(Connection::open(Arc::clone(&self.options), candidates));
                }
                Output::Disconnect => self.connection = None,
                Output::Publish { topic, payload } => self.publish(topic, payload),
                Output::Read {
                    connection,
                    lane,
                    from,
                } => {
                    let log = self.log.clone();
                    self.asked.spawn(async move {
                        let batch = log.next_batch(&lane, from).await;
                        Asked::Batch(connection, lane, batch.map_err(|error| error.to_string()))
                    });
                }
                Output::Handshake {
                    connection,
                    lane,
                    answer,
                } => {
                    let log = self.log.clone();
                    self.asked.spawn(async move {
                        let done = log.handshake(&lane, answer).await;
                        Asked::Handshake(connection, lane, done.map_err(|error| error.to_string()))
                    });
                }
                Output::Repair {
                    connection,
                    lane,
                    generation,
                    reason,
                } => {
                    tracing::warn!(%lane, generation, "Lane goes on as another generation: {reason}");
                    let log = self.log.clone();
                    self.asked.spawn(async move {
                        let repaired = log.repair(&lane, generation, reason).await;
                        let repaired = repaired.map_err(|error| (lane, error.to_string()));
                        Asked::Repair(connection, repaired)
                    });
                }
                Output::Acknowledge { lane, up_to } => self.log.acknowledge(&lane, up_to),
                Output::SetAside { lane, first } => self.set_aside(&lane, first).await,
                Output::GiveUp { lane } => self.give_up(&lane).await,
                Output::Hold { lane, error } => {
                    tracing::warn!(%lane, "Lane is held: {error}");
                    self.log.hold(&lane, error);
                    self.look_wanted = true;
                }
                Output::Release { lane } => {
                    tracing::info!(%lane, "Lane can be sent again");
                    self.log.release(&lane);
                    self.look_wanted = true;
                }
                Output::Link(up) => self.log.set_link(up),
                Output::Status => {
                    let status = self.status.clone();
                    self.asked
                        .spawn(async move { Asked::Status(status.view().await) });
                }
            }
        }
    }

    fn publish(&mut self, topic: String, payload: Bytes) {
        let bytes = publish_bytes(topic.len(), payload.len());
        let Some(connection) = &self.connection else {
            return;
        };
        match connection.publish(topic, payload) {
            Ok(()) => self.link.count_out(bytes),
            Err(error) => {
                self.connection = None;
                self.core.handle_disconnected(self.now(), error);
            }
        }
    }

    /// Waits for the log: what is sent next must find the batch gone.
    async fn set_aside(&mut self, lane: &LaneName, first: headwater_wire::uplink::Position) {
        tracing::warn!(%lane, position = first.0, "The broker refuses a batch for good, it is set aside");
        if let Err(error) = self.log.set_aside(lane, first).await {
            tracing::error!(%lane, "A refused batch cannot be set aside: {error}");
        }
    }

    async fn give_up(&mut self, lane: &LaneName) {
        if let Err(error) = self.log.give_up(lane).await {
            tracing::error!(%lane, "What the lane holds cannot be given up: {error}");
        }
    }

    fn handle_asked(&mut self, asked: Asked) {
        let now = self.now();
        match asked {
            Asked::Batch(connection, lane, batch) => {
                self.core.handle_batch(now, connection, &lane, batch);
            }
            Asked::Handshake(connection, lane, handshake) => {
                self.core
                    .handle_handshake(now, connection, &lane, handshake);
            }
            Asked::Repair(connection, repaired) => {
                self.core.handle_repaired(now, connection, repaired);
            }
            Asked::Status(view) => {
                self.told = shape(&view);
                self.core.handle_status(now, Bytes::from(view.json()));
            }
            Asked::Look(view) => {
                if shape(&view) != self.told {
                    self.core.handle_status_changed(now);
                }
            }
        }
    }

    /// Looks at the status now and then while things change, to tell the broker of a change that
    /// matters: figures alone travel once a minute.
    fn look(&mut self) {
        if self.look_wanted && self.looked_at.elapsed() >= LOOK_INTERVAL {
            self.look_wanted = false;
            self.looked_at = Instant::now();
            let status = self.status.clone();
            self.asked
                .spawn(async move { Asked::Look(status.view().await) });
        }
    }

    /// Shows the core's link in the status.
    fn show(&self) {
        let link = self.core.link();
        let state = match link.state {
            CoreState::Up => LinkState::Up,
            CoreState::Connecting => LinkState::Connecting,
            CoreState::Down => LinkState::Down,
        };
        let error = link
            .error
            .filter(|_| state != LinkState::Up)
            .map(str::to_owned);
        let shown = self.link.view();
        if shown.state != state || shown.error != error {
            self.link.set(state, error);
        }
    }
}

/// A hash of what is worth telling at once: states and errors, not figures.
fn shape(view: &StatusView) -> u64 {
    let mut hasher = DefaultHasher::new();
    for lane in &view.lanes {
        (
            &lane.stream,
            &lane.lane,
            lane.generation,
            lane.state,
            &lane.error,
        )
            .hash(&mut hasher);
    }
    for alarm in &view.alarms {
        (alarm.code, &alarm.text).hash(&mut hasher);
    }
    for source in &view.sources {
        // The last error of a source may differ with every event; its state does not.
        (&source.name, source.state as u8).hash(&mut hasher);
    }
    hasher.finish()
}

/// Bytes of a PUBLISH of QoS 1 without properties.
fn publish_bytes(topic: usize, payload: usize) -> usize {
    let body = 2 + topic + 2 + 1 + payload;
    let length_bytes = match body {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    };
    1 + length_bytes + body
}

async fn next(connection: &mut Option<Connection>) -> Happened {
    match connection {
        Some(connection) => connection.next().await,
        None => std::future::pending().await,
    }
}

async fn changed(changes: &mut watch::Receiver<()>) {
    if changes.changed().await.is_err() {
        // Nobody is left to change anything.
        std::future::pending::<()>().await;
    }
}
