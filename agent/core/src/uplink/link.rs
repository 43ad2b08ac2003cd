//! The connection's state and its timers.

use headwater_wire::time::Millis;

use super::{CONNECT_MS_MAX, ConnectionId, Options};

/// Packet ids left for what is not a batch.
pub(super) const ID_SLACK: usize = 4;
/// The broker's time for an answer is doubled so many times at most: to 16 minutes.
const DOUBLED_MAX: u32 = 4;

/// What `status` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Connected.
    Up,
    /// Trying to connect.
    Connecting,
    /// Waiting before the next attempt.
    Down,
}

/// The link as `status` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkView<'a> {
    /// State.
    pub state: LinkState,
    /// Since when, on the clock that the uplink is given.
    pub since: Millis,
    /// Why it is not up, or why it last was not.
    pub error: Option<&'a str>,
}

#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    since: Millis,
    connection: u64,
    error: Option<String>,
    /// Connections in a row that the broker answered no batch on in time.
    unanswered: u32,
}

#[derive(Debug)]
enum Phase {
    Down { again_at: Millis },
    Connecting,
    Up(Up),
}

#[derive(Debug)]
struct Up {
    packet_bytes_max: Option<u32>,
    /// When the last packet came in.
    active_at: Millis,
    /// When the oldest publish in flight last changed.
    moved_at: Millis,
}

impl Link {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            phase: Phase::Down { again_at: now },
            since: now,
            connection: 0,
            error: None,
            unanswered: 0,
        }
    }

    pub(super) fn view(&self) -> LinkView<'_> {
        let state = match self.phase {
            Phase::Down { .. } => LinkState::Down,
            Phase::Connecting => LinkState::Connecting,
            Phase::Up(_) => LinkState::Up,
        };
        LinkView {
            state,
            since: self.since,
            error: self.error.as_deref(),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.phase, Phase::Down { .. })
    }

    pub(super) fn up_since(&self) -> Option<Millis> {
        matches!(self.phase, Phase::Up(_)).then_some(self.since)
    }

    pub(super) fn id(&self) -> ConnectionId {
        ConnectionId(self.connection)
    }

    pub(super) fn is_current(&self, connection: ConnectionId) -> bool {
        self.up_since().is_some() && self.id() == connection
    }

    /// Whether a packet of `bytes` is one that the broker takes; else its limit.
    pub(super) fn takes(&self, bytes: usize) -> Result<(), u32> {
        match &self.phase {
            Phase::Up(Up {
                packet_bytes_max: Some(max),
                ..
            }) if u32::try_from(bytes).is_ok_and(|bytes| bytes <= *max) => Ok(()),
            Phase::Up(Up {
                packet_bytes_max: Some(max),
                ..
            }) => Err(*max),
            _ => Ok(()),
        }
    }

    /// Begins to connect if it is time to; says whether it did.
    pub(super) fn begin(&mut self, now: Millis) -> bool {
        let due = matches!(self.phase, Phase::Down { again_at } if now >= again_at);
        if due {
            self.phase = Phase::Connecting;
            self.since = now;
            self.connection += 1;
        }
        due
    }

    pub(super) fn connected(&mut self, now: Millis, packet_bytes_max: Option<u32>) {
        self.phase = Phase::Up(Up {
            packet_bytes_max,
            active_at: now,
            moved_at: now,
        });
        self.since = now;
        self.error = None;
    }

    pub(super) fn end(&mut self, now: Millis, again_at: Millis, error: String) {
        self.phase = Phase::Down { again_at };
        self.since = now;
        self.error = Some(error);
    }

    pub(super) fn active(&mut self, now: Millis) {
        if let Phase::Up(up) = &mut self.phase {
            up.active_at = now;
        }
    }

    /// The oldest publish in flight is another one now.
    pub(super) fn moved(&mut self, now: Millis) {
        if let Phase::Up(up) = &mut self.phase {
            up.moved_at = now;
        }
    }

    /// The broker has not answered in time. If thousands of agents return at once it takes longer,
    /// and whoever comes again has to wait again: so the next wait is twice as long.
    pub(super) fn went_unanswered(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1).min(DOUBLED_MAX);
    }

    /// The broker has answered a batch.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    pub(super) fn timeout(&self, options: &Options, idle: bool) -> Option<Millis> {
        match &self.phase {
            Phase::Down { again_at } => Some(*again_at),
            Phase::Connecting => Some(self.since.plus(CONNECT_MS_MAX)),
            // An answered ping is no progress while something waits for its answer.
            Phase::Up(up) if !idle => {
                let watchdog_ms = options.watchdog_ms.saturating_mul(1 << self.unanswered);
                Some(up.moved_at.plus(watchdog_ms))
            }
            Phase::Up(up) => Some(up.active_at.plus(options.keep_alive_ms.saturating_mul(2))),
        }
    }

    /// Why the connection has to be given up now, if it has to.
    pub(super) fn overdue(
        &self,
        options: &Options,
        idle: bool,
        now: Millis,
    ) -> Option<&'static str> {
        if self.timeout(options, idle)? > now {
            return None;
        }
        match &self.phase {
            Phase::Down { .. } => None,
            Phase::Connecting => Some("Broker did not take the connection in time"),
            Phase::Up(_) if !idle => Some("Broker did not answer in time"),
            Phase::Up(_) => Some("Broker was silent for two keep-alives"),
        }
    }
}
