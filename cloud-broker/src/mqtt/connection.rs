//! One client's connection: what is known of it, and the task that reads it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use headwater_mqtt::{Disconnect, Reason, Version};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::Notify;

use super::connect::Session;
use super::core::Core;
use super::io::Io;
use super::out::{Backlog, Out};
use super::packets;
use super::registry::Holder;
use super::seek::Behind;
use super::subscriptions::{Group, LIVE, Subscriptions};
use super::turn::{self, Read};
use crate::limits::{Limits, Place, Reserved};
use crate::pace::{ARRIVAL, Pace, TAKING, TAKING_WHEN_SHORT};
use crate::presence::Present;

/// A client gets no more records while so many bytes wait to be sent to it.
pub(super) const OUT_BYTES_MAX: usize = 256 << 10;
/// It gets more when so few are left.
const OUT_BYTES_LOW: usize = 64 << 10;
/// A client is not read while so many bytes of answers wait to be sent to it. Records do not count:
/// one that takes them slowly must still be heard, for its acknowledgements and its pings.
const REPLY_BYTES_MAX: usize = 64 << 10;
/// A client is not read while so many answers, in bytes, wait for their commit.
const HELD_BYTES_MAX: usize = 256 << 10;
/// Nor while so many bytes of its own wait for it.
pub(super) const UNCOMMITTED_BYTES_MAX: usize = 4 << 20;
/// Time for TLS handshake and CONNECT.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long, and for how many bytes, a connection that was ended is read on, so that the client
/// gets to see why.
const LINGER_TIME_MAX: Duration = Duration::from_millis(500);
const LINGER_BYTES_MAX: u64 = 16 << 20;

/// A connection, shared by its task, the core's task and those who deliver to it; all of them on
/// one thread.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) holder: Arc<Holder>,
    pub(super) peer: IpAddr,
    pub(super) io: Io,
    /// Place in the core's table.
    pub(super) index: Cell<u32>,
    /// Whether the core will flush it before it waits again.
    pub(super) dirty: Cell<bool>,
    /// The last read brought much: the next waits for its turn.
    pub(super) bulk: Cell<bool>,
    /// When the client was last heard of; before that, when it came.
    pub(super) heard: Cell<Instant>,
    pub(super) state: RefCell<State>,
    /// Waits for its turn, so it cannot be heard of.
    pub(super) queued: Cell<bool>,
    /// Whether a task sees to what of its subscriptions is behind.
    pub(super) seeking: Cell<bool>,
    /// Tells that task that there may be room again.
    pub(super) room: Notify,
    /// Counts as one connection until it is gone.
    _place: Place,
}

/// What changes. Borrowed for a moment at a time, never across another connection's business.
#[derive(Debug)]
pub(super) struct State {
    /// May be sent.
    pub(super) out: Out,
    /// Bytes of answers in it, at most.
    replies: usize,
    /// Waits for a commit.
    pub(super) held: BytesMut,
    /// Answers in the core's list that are this connection's.
    pub(super) notes: usize,
    /// Bytes of this client's that wait for a commit.
    pub(super) uncommitted: usize,
    /// The socket took less than it was given.
    pub(super) blocked: bool,
    /// The task does not read for now.
    pub(super) stalled: bool,
    /// Set once; the task then ends.
    pub(super) end: Option<End>,
    /// There after an accepted CONNECT.
    pub(super) session: Option<Session>,
    /// Shows an agent's device as connected.
    pub(super) present: Option<Present>,
    pub(super) subscriptions: Subscriptions,
    /// Which of them do not follow live, and where they stand.
    pub(super) behind: BTreeMap<Group, Behind>,
    /// Replays that there were so far.
    pub(super) groups: Group,
    /// The beginning of a packet, the memory that it takes, and how fast it comes.
    pub(super) tail: BytesMut,
    pub(super) memory: Reserved,
    pub(super) arrival: Option<Pace>,
    /// Memory of what is to be sent.
    pub(super) backlog: Backlog,
    /// How fast the client takes it, while it is behind.
    pub(super) taking: Option<Pace>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client has said goodbye.
    Goodbye,
    /// The client is gone, or what is left of it deserves no answer.
    Gone,
    /// It is told why, if its protocol has a way.
    Because(Reason),
    /// A refusing CONNACK has been written.
    Refused,
    /// The broker stops.
    Stopping,
}

impl Connection {
    pub(super) fn new(
        holder: Arc<Holder>,
        peer: IpAddr,
        io: Io,
        place: Place,
        limits: &Arc<Limits>,
    ) -> Self {
        Self {
            holder,
            peer,
            io,
            index: Cell::new(u32::MAX),
            dirty: Cell::new(false),
            bulk: Cell::new(false),
            queued: Cell::new(false),
            heard: Cell::new(Instant::now()),
            state: RefCell::new(State::new(limits)),
            seeking: Cell::new(false),
            room: Notify::new(),
            _place: place,
        }
    }

    /// Ends the connection; the first reason counts.
    pub(super) fn close(&self, end: End) {
        self.state.borrow_mut().close(end);
        self.wake();
    }

    /// Lets the task, and the one of what is behind, look at the state again.
    pub(super) fn wake(&self) {
        self.holder.signal.notify_one();
        self.room.notify_one();
    }

    /// Sends what may be sent, in one write if the socket takes it.
    pub(super) fn flush(&self) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.blocked {
            state.out.settle();
            return;
        }
        let before = state.out.bytes();
        match self.io.flush(&mut state.out) {
            Ok(true) => state.taking = None,
            Ok(false) => {
                state.blocked = true;
                state.out.settle();
                let taking = state.taking.get_or_insert_with(|| Pace::new(TAKING));
                taking.count(before - state.out.bytes());
            }
            Err(_) => state.close(End::Gone),
        }
        state.backlog.sent(state.out.bytes());
        if state.blocked || state.end.is_some() {
            self.holder.signal.notify_one();
        }
        if !state.behind.is_empty() && state.has_room() {
            self.room.notify_one();
        }
    }
}

impl State {
    fn new(limits: &Arc<Limits>) -> Self {
        Self {
            out: Out::default(),
            replies: 0,
            held: BytesMut::new(),
            notes: 0,
            uncommitted: 0,
            blocked: false,
            stalled: false,
            end: None,
            session: None,
            present: None,
            subscriptions: Subscriptions::default(),
            behind: BTreeMap::new(),
            groups: LIVE,
            tail: BytesMut::new(),
            memory: limits.reserve(),
            arrival: None,
            backlog: Backlog::new(limits),
            taking: None,
        }
    }

    pub(super) fn close(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// Whether the client is not to be read for now.
    pub(super) fn is_over_limits(&self) -> bool {
        self.replies.min(self.out.bytes()) > REPLY_BYTES_MAX
            || self.held.len() > HELD_BYTES_MAX
            || self.uncommitted > UNCOMMITTED_BYTES_MAX
    }

    /// Whether the rest of a packet does not come.
    pub(super) fn arrives_too_slowly(&self) -> bool {
        let arrival = self.arrival.as_ref();
        arrival.is_some_and(|arrival| arrival.is_over(ARRIVAL))
    }

    /// Whether the client does not take what waits for it; `is_short`: while others need memory.
    pub(super) fn takes_too_slowly(&self, is_short: bool) -> bool {
        let patience = if is_short { TAKING_WHEN_SHORT } else { TAKING };
        let taking = self.taking.as_ref();
        taking.is_some_and(|taking| taking.is_over(patience))
    }

    /// Appends an answer to what may be sent.
    pub(super) fn reply<T>(&mut self, encode: impl FnOnce(&mut BytesMut) -> T) -> T {
        let before = self.out.bytes();
        if before == 0 {
            self.replies = 0;
        }
        let result = self.out.append(encode);
        self.replies += self.out.bytes() - before;
        result
    }

    /// Whether a lagging client takes enough again.
    pub(super) fn has_room(&self) -> bool {
        let in_flight = self.session.as_ref().is_none_or(|s| s.in_flight.has_room());
        in_flight && self.out.bytes() <= OUT_BYTES_LOW && !self.backlog.is_starved()
    }

    /// The version that the client speaks; 5 as long as it has not said.
    pub(super) fn version(&self) -> Version {
        self.session
            .as_ref()
            .map_or(Version::V5, |session| session.version)
    }
}

/// Reads a connection until it ends.
pub(super) async fn run(core: Rc<Core>, connection: Rc<Connection>, mut socket: OwnedReadHalf) {
    while connection.state.borrow().end.is_none() {
        step(&core, &connection, &mut socket).await;
        if connection.holder.is_taken_over() {
            connection.close(End::Because(Reason::SESSION_TAKEN_OVER));
        }
    }
    core.leave(&connection);
    say_goodbye(&connection, socket).await;
}

/// Waits for the first thing that happens, and does what follows from it.
async fn step(core: &Rc<Core>, connection: &Rc<Connection>, socket: &mut OwnedReadHalf) {
    let (stalled, blocked) = {
        let mut state = connection.state.borrow_mut();
        state.stalled = state.is_over_limits() || core.is_stalled();
        connection.queued.set(false);
        (state.stalled, state.blocked)
    };
    let read = tokio::select! {
        biased;
        () = connection.holder.signal.notified() => return,
        result = connection.io.writable(), if blocked => {
            connection.state.borrow_mut().blocked = false;
            match result {
                Ok(()) => connection.flush(),
                Err(_) => connection.close(End::Gone),
            }
            return;
        }
        read = turn::read(core, connection, socket), if !stalled => read,
    };
    match read {
        Ok(None) => {}
        Ok(Some(Read { count: 0, .. })) | Err(_) => connection.close(End::Gone),
        Ok(Some(Read { count, turn })) => {
            packets::receive(core, connection, count);
            turn::end(core, connection, count, turn).await;
        }
    }
}

/// Tells the client why, and closes so that it can read that.
async fn say_goodbye(connection: &Connection, mut socket: OwnedReadHalf) {
    let end = connection.state.borrow().end;
    match end {
        Some(End::Because(reason)) => write_disconnect(connection, reason),
        Some(End::Stopping) => write_disconnect(connection, Reason::SERVER_SHUTTING_DOWN),
        Some(End::Refused) => {}
        Some(End::Goodbye | End::Gone) | None => return,
    }
    let farewell = async {
        drain(connection).await?;
        connection.io.close_notify();
        drain(connection).await?;
        connection.io.shut_down()?;
        let mut rest = (&mut socket).take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whether it could be read is the client's affair.
    drop(tokio::time::timeout(LINGER_TIME_MAX, farewell).await);
}

fn write_disconnect(connection: &Connection, reason: Reason) {
    let mut state = connection.state.borrow_mut();
    let version = state.version();
    if version == Version::V5 && state.session.is_some() {
        let packet = Disconnect::new(reason);
        let written = state.reply(|out| packet.encode(version, out));
        debug_assert!(written.is_ok(), "a reason alone is short");
    }
}

/// Sends everything that may be sent.
async fn drain(connection: &Connection) -> io::Result<()> {
    loop {
        let done = connection
            .io
            .flush(&mut connection.state.borrow_mut().out)?;
        if done {
            return Ok(());
        }
        connection.io.writable().await?;
    }
}
