//! The uplink: one connection after the other, each lane resumed, batches sent as they lie in the
//! log, acknowledged strictly from the oldest.
//!
//! The shell owns the MQTT client, the timers and the log. It calls one `handle_*` for whatever
//! happened, then does what [`Uplink::poll_output`] says until it says `None`, then waits for the
//! next event or for [`Uplink::poll_timeout`]. Nothing of one connection is carried into another:
//! the log is the only truth for what is sent again.

mod lanes;
mod link;
mod output;
mod verdict;

use std::collections::VecDeque;

use bytes::Bytes;
use headwater_wire::time::Millis;
use headwater_wire::uplink::RepairReason;

use self::lanes::Lanes;
use self::link::Link;
pub use self::link::{LinkState, LinkView};
pub use self::output::{ConnectionId, Output};
use crate::backoff::Backoff;
use crate::flight::Flight;
use crate::handshake::Handshake;
use crate::lane::{LaneName, LaneState, SealedBatch};

/// How the uplink is set up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Publishes in flight, at most (`uplink.window`).
    pub window: usize,
    /// Keep-alive of the connection, ms: idle twice as long, it is given up.
    pub keep_alive_ms: i64,
    /// With publishes in flight: given up when the oldest has waited this long, ms.
    pub watchdog_ms: i64,
    /// Whether a lane whose stream does not exist gives up what it holds
    /// (`uplink.on_missing_stream`).
    pub drop_missing: bool,
    /// For the jitter.
    pub seed: u64,
}

/// More than one batch needs on the slowest link allowed (64 KiB at 10 kbit/s: 52 s). It is doubled,
/// up to 16 times that, each time that no batch was answered in it.
pub const WATCHDOG_MS: i64 = 60_000;
/// A connection that did not come up after this is given up, ms.
pub const CONNECT_MS_MAX: i64 = 30_000;
/// A held lane is tried again after this, ms.
pub const HELD_RETRY_MS: i64 = 60_000;
/// The status is published at least this often, ms.
pub const STATUS_EVERY_MS: i64 = 60_000;
/// And, on changes, at most this often, ms.
pub const STATUS_GAP_MS: i64 = 1_000;

/// What the broker's CONNACK said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connack {
    /// Receive Maximum; `None` means 65,535.
    pub receive_max: Option<u16>,
    /// Maximum Packet Size, bytes; `None` means no limit.
    pub packet_bytes_max: Option<u32>,
}

/// The uplink's state machine; see the module for the order of calls.
#[derive(Debug)]
pub struct Uplink {
    options: Options,
    link: Link,
    lanes: Lanes,
    flight: Flight<Sent>,
    backoff: Backoff,
    /// Connections in a row that ended with a refusal, no batch acknowledged in between.
    refused_in_a_row: u32,
    status: Status,
    outputs: VecDeque<Output>,
}

/// What a publish in flight was.
#[derive(Debug)]
enum Sent {
    Resume(LaneName),
    Repair(LaneName, RepairReason),
    Batch(LaneName, SealedBatch),
    Status,
}

/// The agent's status on its way to the broker.
#[derive(Debug, Default)]
struct Status {
    changed: bool,
    asked_at: Option<Millis>,
    payload: Option<Bytes>,
}

impl Uplink {
    /// An uplink that wants to connect at once.
    pub fn new(options: Options, now: Millis) -> Self {
        let mut uplink = Self {
            options,
            link: Link::new(now),
            lanes: Lanes::default(),
            flight: Flight::new(1),
            backoff: Backoff::new(options.seed),
            refused_in_a_row: 0,
            status: Status::default(),
            outputs: VecDeque::new(),
        };
        uplink.drive(now);
        uplink
    }

    /// What to do next; call until `None` after each `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let status = self.link.up_since().map(|_| self.status.due());
        let held = self.link.up_since().and_then(|_| self.lanes.next_retry());
        let link = self.link.timeout(&self.options, self.flight.is_empty());
        [status, held, link].into_iter().flatten().min()
    }

    /// For `status`: the link as it is, and why it is not up.
    pub fn link(&self) -> LinkView<'_> {
        self.link.view()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Millis) {
        let idle = self.flight.is_empty();
        if let Some(error) = self.link.overdue(&self.options, idle, now) {
            if !idle {
                self.link.went_unanswered();
            }
            self.outputs.push_back(Output::Disconnect);
            self.fail(now, error.to_owned());
        }
        self.drive(now);
    }

    /// The broker took the connection.
    pub fn handle_connected(&mut self, now: Millis, connack: Connack) {
        let receive_max = usize::from(connack.receive_max.unwrap_or(u16::MAX));
        // Packet ids must not come round while open, whatever else takes one.
        let window = self
            .options
            .window
            .min(receive_max.saturating_sub(link::ID_SLACK))
            .max(1);
        self.flight = Flight::new(window);
        self.link.connected(now, connack.packet_bytes_max);
        self.status.changed = true;
        self.outputs.push_back(Output::Link(true));
        self.drive(now);
    }

    /// The connection is gone, or did not come up: `error` says why. Ignored if the uplink itself
    /// had ended it.
    pub fn handle_disconnected(&mut self, now: Millis, error: String) {
        if !self.link.is_down() {
            self.fail(now, error);
        }
        self.drive(now);
    }

    /// A packet came in, whatever it was.
    pub fn handle_activity(&mut self, now: Millis) {
        self.link.active(now);
    }

    /// The client wrote the next publish, under `packet_id`.
    pub fn handle_sent(&mut self, now: Millis, packet_id: u16) {
        if self.link.up_since().is_none() {
            return;
        }
        if let Err(error) = self.flight.handle_sent(packet_id) {
            self.distrust(now, error.to_string());
        }
        self.drive(now);
    }

    /// The broker answered `packet_id`: reason code and user properties of the PUBACK.
    pub fn handle_answer(
        &mut self,
        now: Millis,
        packet_id: u16,
        reason: u8,
        properties: &[(String, String)],
    ) {
        if self.link.up_since().is_some() {
            self.take_answer(now, packet_id, reason, properties);
        }
        self.drive(now);
    }

    /// The lanes as [`LaneState`]s, at the start and whenever the log says that they changed.
    pub fn handle_lanes(&mut self, now: Millis, lanes: Vec<LaneState>) {
        self.lanes.update(lanes);
        self.drive(now);
    }

    /// The log's answer to [`Output::Read`].
    pub fn handle_batch(
        &mut self,
        now: Millis,
        connection: ConnectionId,
        lane: &LaneName,
        batch: Result<Option<SealedBatch>, String>,
    ) {
        if self.link.is_current(connection) {
            self.take_batch(now, lane, batch);
        }
        self.drive(now);
    }

    /// The log's answer to [`Output::Handshake`].
    pub fn handle_handshake(
        &mut self,
        now: Millis,
        connection: ConnectionId,
        lane: &LaneName,
        handshake: Result<Handshake, String>,
    ) {
        if self.link.is_current(connection) {
            self.take_handshake(now, lane, handshake);
        }
        self.drive(now);
    }

    /// The log's answer to [`Output::Repair`]: the lane as it goes on.
    pub fn handle_repaired(
        &mut self,
        now: Millis,
        connection: ConnectionId,
        repaired: Result<LaneState, (LaneName, String)>,
    ) {
        // The log has made it durable, whatever became of the connection.
        match repaired {
            Ok(state) => self.lanes.repaired(state),
            Err((lane, error)) if self.link.is_current(connection) => self.hold(now, &lane, error),
            Err(_) => {}
        }
        self.drive(now);
    }

    /// Something in the status changed: it is published soon.
    pub fn handle_status_changed(&mut self, now: Millis) {
        self.status.changed = true;
        self.drive(now);
    }

    /// The status that [`Output::Status`] asked for.
    pub fn handle_status(&mut self, now: Millis, payload: Bytes) {
        self.status.payload = Some(payload);
        self.drive(now);
    }

    fn fail(&mut self, now: Millis, error: String) {
        let wait_ms = self.backoff.next_ms();
        self.end(now, now.plus(wait_ms), error);
    }

    /// The client did what it must not: its connection cannot be used any more.
    fn distrust(&mut self, now: Millis, error: String) {
        self.outputs.push_back(Output::Disconnect);
        self.fail(now, error);
    }

    /// Forgets the connection and everything in it.
    fn end(&mut self, now: Millis, again_at: Millis, error: String) {
        if self
            .link
            .up_since()
            .is_some_and(|since| now.since(since) >= crate::backoff::CAP_MS)
        {
            self.backoff.reset();
        }
        if self.link.up_since().is_some() {
            self.outputs.push_back(Output::Link(false));
        }
        self.link.end(now, again_at, error);
        self.lanes.disconnected();
        self.flight = Flight::new(1);
        self.status.payload = None;
        self.status.asked_at = None;
    }
}

impl Status {
    fn due(&self) -> Millis {
        let every = if self.changed {
            STATUS_GAP_MS
        } else {
            STATUS_EVERY_MS
        };
        self.asked_at.map_or(Millis::MIN, |at| at.plus(every))
    }
}

#[cfg(test)]
mod tests;
