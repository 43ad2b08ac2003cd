//! One core of the door: a thread with a current-thread runtime, and what its connections share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use headwater_broker_core::Catalog;
use headwater_broker_core::share::BulkShare;
use headwater_mqtt::Reason;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, spawn_local};

use super::connection::{self, CONNECT_TIME_MAX, Connection, End};
use super::fanout::Fanout;
use super::io::Io;
use super::publish;
use super::registry::Registry;
use super::scan::{READS_MAX, Scans};
use super::table::Table;
use super::turn;
use super::uplink::Checker;
use super::waiting::Waiting;
use crate::accept::{self, AcceptTrouble};
use crate::backend::Inbox;
use crate::door::{Door, Listener};
use crate::metrics::DoorName;
use crate::pace::{ARRIVAL, Pace};

/// Bytes that one read takes.
pub(super) const READ_BYTES: usize = 64 << 10;
/// No client of a core is read while so many of its bytes wait for a commit, until half are left.
const UNCOMMITTED_BYTES_MAX: usize = 16 << 20;
/// Nor beyond this share of the memory for requests: half of what makes the inbox refuse.
const UNCOMMITTED_SHARE: usize = 32;
/// How often silent connections are looked for.
const TICK: Duration = Duration::from_millis(500);
/// The journal is woken after so many reads, if not before.
const UNHEARD_MAX: u32 = 64;
/// Time for outstanding answers when the broker stops.
const ANSWERS_TIME_MAX: Duration = Duration::from_secs(3);

/// What the tasks of one core share. They run on one thread, so that a borrow lasts at most until
/// the next await.
pub(super) struct Core {
    pub(super) door: Door,
    started: Instant,
    pub(super) registry: Arc<Registry>,
    pub(super) inbox: Arc<Inbox>,
    /// What was just read.
    pub(super) raw: RefCell<Box<[u8]>>,
    /// What TLS made of it.
    pub(super) plain: RefCell<BytesMut>,
    pub(super) connections: RefCell<Table>,
    pub(super) waiting: RefCell<Waiting<Rc<Connection>>>,
    pub(super) checker: RefCell<Checker>,
    pub(super) fanout: RefCell<Fanout>,
    pub(super) scans: RefCell<Scans>,
    /// Reads of the log.
    pub(super) reading: Semaphore,
    /// Connections to flush before the core waits again.
    dirty: RefCell<Vec<Rc<Connection>>>,
    tokens: Cell<u64>,
    uncommitted_max: usize,
    /// Reads that were put into the inbox since the journal was woken.
    unheard: Cell<u32>,
    /// Rung with the first of them; heard after the tasks that are ready now.
    round: Notify,
    stalled: Cell<bool>,
    stopping: Cell<bool>,
    /// Rung when answers were given and when a connection is gone; heard when the broker stops.
    changed: Notify,
    /// Whose read may bring much.
    pub(super) turn: Semaphore,
    /// Who of them pays for the core's time; what was spent.
    pub(super) paying: Semaphore,
    pub(super) share: Cell<BulkShare>,
    /// Who of those that may come in crowds is read before the core looks at all sockets again.
    pub(super) crowd: Semaphore,
    /// Rung after each commit; heard by whoever has the turn and waits then.
    pub(super) committed: Notify,
}

/// Runs a core until the door is told to stop and its connections have ended.
pub(super) async fn run(core: Rc<Core>, listeners: Vec<(TcpListener, Listener)>) {
    let mut tasks = JoinSet::new();
    for (socket, listener) in listeners {
        tasks.spawn_local(accept_all(Rc::clone(&core), socket, listener));
    }
    let woken = Rc::clone(&core);
    let commits = spawn_local(async move {
        loop {
            woken.inbox.woken().await;
            woken.follow_commits();
        }
    });
    let rung = Rc::clone(&core);
    let rounds = spawn_local(async move {
        loop {
            rung.round.notified().await;
            rung.wake_journal();
        }
    });
    let ticked = Rc::clone(&core);
    tasks.spawn_local(async move {
        let mut ticks = tokio::time::interval(TICK);
        let mut before = Instant::now();
        loop {
            ticks.tick().await;
            let now = Instant::now();
            ticked.close_silent(now, now - before);
            before = now;
        }
    });
    core.door.stop.requested().await;
    tasks.shutdown().await;
    core.end().await;
    rounds.abort();
    commits.abort();
}

async fn accept_all(core: Rc<Core>, socket: TcpListener, listener: Listener) {
    let mut trouble = AcceptTrouble::default();
    let mut accepted = 0;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                core.open(stream, peer.ip(), &listener);
                turn::after_accept(&mut accepted).await;
            }
            Err(error) => {
                trouble.tell(listener.name, &error);
                tokio::time::sleep(accept::PAUSE).await;
            }
        }
    }
}

impl Core {
    pub(super) fn new(door: Door, registry: Arc<Registry>) -> Self {
        let inbox = door.backend.inbox();
        let fanout = Fanout::new(&door.backend);
        let memory = door.config.limits.request_memory.as_usize();
        Self {
            door,
            started: Instant::now(),
            registry,
            inbox,
            raw: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            plain: RefCell::default(),
            connections: RefCell::default(),
            waiting: RefCell::default(),
            checker: RefCell::default(),
            fanout: RefCell::new(fanout),
            scans: RefCell::default(),
            reading: Semaphore::new(READS_MAX),
            dirty: RefCell::default(),
            tokens: Cell::new(0),
            uncommitted_max: (memory / UNCOMMITTED_SHARE).min(UNCOMMITTED_BYTES_MAX),
            unheard: Cell::new(0),
            round: Notify::new(),
            stalled: Cell::new(false),
            stopping: Cell::new(false),
            changed: Notify::new(),
            turn: Semaphore::new(1),
            paying: Semaphore::new(1),
            crowd: Semaphore::new(turn::CROWD_MAX),
            share: Cell::default(),
            committed: Notify::new(),
        }
    }

    /// Time on the core's own clock.
    pub(super) fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// All streams.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.door.backend.catalog()
    }

    /// A number for the next request to the journal.
    pub(super) fn token(&self) -> u64 {
        self.tokens.set(self.tokens.get() + 1);
        self.tokens.get()
    }

    /// A client id for a client that brings none.
    pub(super) fn client_id(&self) -> String {
        let mut random = [0; 8];
        // Without randomness the connection's own number still tells it from all others.
        if getrandom::fill(&mut random).is_err() {
            random = self.tokens.get().to_be_bytes();
        }
        format!("auto-{:016x}", u64::from_be_bytes(random))
    }

    /// Whether no client may be read for now.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.get() || self.stopping.get()
    }

    /// Takes notice of how many bytes wait for a commit.
    pub(super) fn note_pressure(&self, uncommitted: usize) {
        if uncommitted > self.uncommitted_max {
            self.stalled.set(true);
        }
    }

    /// Has the journal woken once all have been read that have something now: it then finds more at
    /// once, and does it with fewer writes.
    pub(super) fn wake_journal_soon(&self) {
        self.unheard.set(self.unheard.get() + 1);
        match self.unheard.get() {
            1 => self.round.notify_one(),
            UNHEARD_MAX => self.wake_journal(),
            _ => {}
        }
    }

    /// Wakes the journal for what was put in.
    pub(super) fn wake_journal(&self) {
        if self.unheard.take() > 0 {
            self.inbox.ring();
        }
    }

    /// Has the connection flushed once everything else has been done.
    pub(super) fn mark(&self, connection: &Rc<Connection>) {
        if !connection.dirty.replace(true) {
            self.dirty.borrow_mut().push(Rc::clone(connection));
        }
    }

    /// Flushes what was marked.
    pub(super) fn flush_marked(&self) {
        for connection in self.dirty.take() {
            connection.dirty.set(false);
            connection.flush();
        }
    }

    /// A commit has been made: answers that waited for it, then what subscribers get from it, then
    /// one write for each connection that is concerned.
    fn follow_commits(self: &Rc<Self>) {
        self.release_answers();
        self.follow_tail();
        self.flush_marked();
        self.changed.notify_one();
        self.committed.notify_waiters();
        if self.stalled.get() && self.inbox.bytes() <= self.uncommitted_max / 2 {
            self.stalled.set(false);
            self.connections
                .borrow()
                .iter()
                .for_each(|connection| connection.wake());
        }
    }

    fn open(self: &Rc<Self>, stream: TcpStream, peer: std::net::IpAddr, listener: &Listener) {
        let Some(place) = self.door.limits.enter(DoorName::Mqtt) else {
            tracing::debug!("Connection of {peer} refused: limits.connections is reached");
            return;
        };
        let tls = listener
            .tls
            .as_ref()
            .map(|tls| rustls::ServerConnection::new(Arc::clone(tls.acceptor().config())));
        let tls = match tls.transpose() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::warn!("Cannot begin TLS: {error}");
                return;
            }
        };
        accept::tune(&stream);
        let (reading, writing) = stream.into_split();
        let holder = self.registry.connection();
        let io = Io::new(writing, tls);
        let connection = Rc::new(Connection::new(holder, peer, io, place, &self.door.limits));
        self.connections.borrow_mut().insert(&connection);
        spawn_local(connection::run(Rc::clone(self), connection, reading));
    }

    /// Takes a connection that has ended out of everything, and publishes its will.
    pub(super) fn leave(&self, connection: &Rc<Connection>) {
        let mut state = connection.state.borrow_mut();
        self.forget(connection, &mut state);
        // Only now, since subscriptions name their owner by its place.
        self.connections.borrow_mut().remove(connection);
        state.present = None;
        if let Some(session) = &state.session {
            self.registry.leave(&session.client_id, &connection.holder);
            if session.agent.is_some() {
                self.inbox.lock().closed(connection.holder.number);
            }
        }
        publish::publish_will(self, &mut state);
        connection.room.notify_one();
        self.changed.notify_one();
    }

    /// Ends connections that have not been heard of for too long, or hold memory and do not go on;
    /// looked last before `elapsed`.
    pub(super) fn close_silent(&self, now: Instant, elapsed: Duration) {
        let connections = self.connections.borrow();
        let is_short = self.door.limits.is_short_of_answers();
        for connection in connections.iter() {
            let silence = now.saturating_duration_since(connection.heard.get());
            let session_silence_max = {
                let mut state = connection.state.borrow_mut();
                if state.takes_too_slowly(is_short) {
                    drop(state);
                    connection.close(End::Gone);
                    continue;
                }
                if state.backlog.retry() {
                    connection.room.notify_one();
                }
                // One that the broker does not read cannot be heard of: that time is not its own.
                if state.stalled || connection.queued.get() {
                    connection
                        .heard
                        .set(now.min(connection.heard.get() + elapsed));
                    state.arrival = state.arrival.as_ref().map(|_| Pace::new(ARRIVAL));
                    continue;
                }
                if state.arrives_too_slowly() {
                    drop(state);
                    connection.close(End::Because(Reason::QUOTA_EXCEEDED));
                    continue;
                }
                state.session.as_ref().map(|session| session.silence_max)
            };
            match session_silence_max {
                None if silence > CONNECT_TIME_MAX => connection.close(End::Gone),
                Some(Some(max)) if silence > max => {
                    connection.close(End::Because(Reason::KEEP_ALIVE_TIMEOUT));
                }
                _ => {}
            }
        }
    }

    /// Answers what was taken, then ends every connection.
    async fn end(self: &Rc<Self>) {
        self.stopping.set(true);
        self.wake_all();
        let answered = async {
            while !self.waiting.borrow().is_empty() {
                self.changed.notified().await;
            }
        };
        drop(tokio::time::timeout(ANSWERS_TIME_MAX, answered).await);
        self.connections
            .borrow()
            .iter()
            .for_each(|connection| connection.close(End::Stopping));
        let gone = async {
            while !self.connections.borrow().is_empty() {
                self.changed.notified().await;
            }
        };
        drop(tokio::time::timeout(ANSWERS_TIME_MAX, gone).await);
    }

    fn wake_all(&self) {
        self.connections
            .borrow()
            .iter()
            .for_each(|connection| connection.wake());
    }
}
