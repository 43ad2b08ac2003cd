//! One client's socket: bytes in, bytes out, and when to give up.

use std::io;

use bytes::{Buf, BytesMut};
use headwater_mqtt::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Open;
use super::session::Session;
use crate::log::{Held, Room, Use};

/// Bytes taken from the socket at a time; the buffer lives on the stack for one read.
const READ_BYTES: usize = 16 * 1024;
/// Reads in a row before the others get their turn.
const READS_MAX: usize = 4;
/// Above this many unwritten bytes nothing more is read: whoever asks must take the answers.
const OUT_BYTES_MAX: usize = 256 * 1024;
/// How long the last words may take.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);
/// How much of what a client still sends is thrown away, so that it gets to see why.
const LINGER_BYTES_MAX: u64 = 16 << 20;

/// Serves a client until it goes or must go, then settles what it had sent.
pub(super) async fn run(open: Open, socket: TcpStream) {
    let mut stopping = open.door.intake.stopping();
    let mut connection = Connection::new(open, socket);
    let kick = connection.session.kick();
    while connection.session.end.is_none() {
        tokio::select! {
            biased;
            () = stopping.wait() => {
                connection.session.disconnect(Reason::SERVER_SHUTTING_DOWN, "The agent stops");
            }
            () = kick.notified() => {
                connection.session.disconnect(Reason::SESSION_TAKEN_OVER, "Another client has this id");
            }
            ended = connection.turn() => if ended.is_err() { break },
        }
    }
    connection.finish().await;
}

struct Connection {
    session: Session,
    socket: TcpStream,
    /// The front of a packet that has not come whole.
    tail: BytesMut,
    tail_held: Held,
    /// For a packet that is longer than one read: it may be read to its end.
    long_held: Held,
    /// When the packet in `tail` began, or was last waited with.
    tail_since: Instant,
    last_read: Instant,
    last_written: Instant,
}

impl Connection {
    fn new(open: Open, socket: TcpStream) -> Self {
        let now = Instant::now();
        Self {
            tail_held: open.door.intake.room().hold(Use::Front, 0),
            long_held: open.door.intake.room().hold(Use::Long, 0),
            session: Session::new(open),
            socket,
            tail: BytesMut::new(),
            tail_since: now,
            last_read: now,
            last_written: now,
        }
    }

    /// Waits for one thing to happen and deals with it. Can be dropped at any await.
    async fn turn(&mut self) -> io::Result<()> {
        self.session.deliver();
        self.write()?;
        let room = self.room().clone();
        let freed = room.freed();
        tokio::pin!(freed);
        freed.as_mut().enable();
        let reading = self.is_reading();
        if !reading {
            // It is not the client that is late.
            self.tail_since = Instant::now();
        }
        let writing = !self.session.out.is_empty();
        let mailbox = self.session.mailbox.clone();
        let deadline = self.deadline(reading);
        tokio::select! {
            biased;
            outcome = self.session.settled() => self.session.handle_settled(outcome),
            ready = self.socket.ready(interest(reading, writing)), if reading || writing => {
                // Others may have taken the room since.
                if ready?.is_readable() && self.is_reading() {
                    self.read()?;
                }
            }
            () = arrived(mailbox.as_deref()) => {}
            () = freed, if !reading => {}
            () = tokio::time::sleep_until(deadline) => self.handle_timeout(reading),
        }
        Ok(())
    }

    fn room(&self) -> &Room {
        self.session.door().intake.room()
    }

    /// Whether this connection may read: there is room for what comes, and for the answers. A
    /// packet that has begun may be read on, if need be once others of its length are done with.
    fn is_reading(&mut self) -> bool {
        if self.room().is_spent(Use::Queue) || self.session.out.len() >= OUT_BYTES_MAX {
            return false;
        }
        if self.tail.is_empty() {
            return !self.room().is_spent(Use::Front);
        }
        if self.tail.len() > READ_BYTES && self.long_held.is_empty() {
            if self.room().is_spent(Use::Long) {
                return false;
            }
            let bytes = self.session.door().limits.packet_bytes_max;
            self.long_held.set(bytes);
        }
        true
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0_u8; READ_BYTES];
        for _ in 0..READS_MAX {
            let bytes = match self.socket.try_read(&mut buffer) {
                Ok(0) => {
                    self.session.end_silently();
                    break;
                }
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            self.last_read = Instant::now();
            self.take(&buffer[..bytes]);
            if self.session.end.is_some() || !self.is_reading() {
                break;
            }
        }
        Ok(())
    }

    /// Handles what came, in place; only an incomplete packet is copied.
    fn take(&mut self, came: &[u8]) {
        let began = self.tail.is_empty();
        if began {
            let done = self.session.handle_bytes(came);
            self.tail.extend_from_slice(&came[done..]);
        } else {
            self.tail.extend_from_slice(came);
            let done = self.session.handle_bytes(&self.tail);
            self.tail.advance(done);
            if done > 0 {
                // A large packet's buffer is not kept for the small ones that follow.
                self.tail = BytesMut::from(&self.tail[..]);
                self.tail_since = self.last_read;
            }
        }
        if began {
            self.tail_since = self.last_read;
        }
        self.hold_tail();
    }

    fn hold_tail(&mut self) {
        let is_long = self.tail.len() > READ_BYTES;
        if !is_long {
            self.long_held.set(0);
        }
        self.tail_held.set(self.tail.len().min(READ_BYTES));
    }

    /// Writes what the socket takes now.
    fn write(&mut self) -> io::Result<()> {
        while !self.session.out.is_empty() {
            match self.socket.try_write(&self.session.out) {
                Ok(bytes) => {
                    self.session.handle_written(bytes);
                    self.last_written = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.last_written = Instant::now();
        Ok(())
    }

    /// When this connection has waited too long, whatever it waits for.
    fn deadline(&self, reading: bool) -> Instant {
        let limits = &self.session.door().limits;
        let mut deadline = self.last_written + limits.write_timeout;
        if self.session.out.is_empty() {
            // Nothing waits to be written: look again in a while.
            deadline = Instant::now() + limits.write_timeout;
        }
        if let Some(silence) = self.silence_max().filter(|_| reading) {
            deadline = deadline.min(self.last_read + silence);
        }
        if !self.tail.is_empty() && reading {
            deadline = deadline.min(self.tail_since + limits.packet_timeout);
        }
        deadline
    }

    fn silence_max(&self) -> Option<std::time::Duration> {
        match &self.session.client {
            None => Some(self.session.door().limits.connect_timeout),
            Some(client) => client.silence_max,
        }
    }

    fn handle_timeout(&mut self, reading: bool) {
        let now = Instant::now();
        let limits = &self.session.door().limits;
        let late = |since: Instant, limit| now >= since + limit;
        if !self.session.out.is_empty() && late(self.last_written, limits.write_timeout) {
            // It reads nothing, so it is told nothing.
            self.session.end_silently();
        } else if !self.tail.is_empty() && late(self.tail_since, limits.packet_timeout) {
            self.session
                .disconnect(Reason::UNSPECIFIED, "The rest of the packet did not come");
        } else if reading
            && self
                .silence_max()
                .is_some_and(|limit| late(self.last_read, limit))
        {
            self.session
                .disconnect(Reason::KEEP_ALIVE_TIMEOUT, "Keep alive timeout");
        }
    }

    /// Answers what was taken, says why it ends, publishes the will.
    async fn finish(mut self) {
        self.tail = BytesMut::new();
        self.hold_tail();
        while self.session.has_pending() {
            let outcome = self.session.settled().await;
            self.session.handle_settled(outcome);
        }
        let will = self.session.take_will();
        self.session.write_end();
        let told = !self.session.out.is_empty();
        let last_words = async {
            self.socket.write_all(&self.session.out).await?;
            self.socket.shutdown().await
        };
        // The client may be gone; then nobody is there to be told.
        let _written = timeout(LAST_WORDS, last_words).await;
        if let Some(will) = will {
            let mut event = will.event;
            event.timestamp = crate::clock::now_ms();
            let door = self.session.door();
            // A full log is counted and shown in the status; a will cannot be tried again.
            if door.intake.append(vec![event]).await.is_ok() {
                door.hub.publish(will.publication);
            }
        }
        if told {
            linger(self.socket).await;
        }
    }
}

/// Waits for the client to close: on a socket that is closed with bytes unread, the kernel takes back
/// what the client was told.
async fn linger(socket: TcpStream) {
    let mut rest = socket.take(LINGER_BYTES_MAX);
    let mut sink = tokio::io::sink();
    let _closed = timeout(LAST_WORDS, tokio::io::copy(&mut rest, &mut sink)).await;
}

fn interest(reading: bool, writing: bool) -> Interest {
    match (reading, writing) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (false, true) => Interest::WRITABLE,
        (true | false, false) => Interest::READABLE,
    }
}

async fn arrived(mailbox: Option<&super::hub::Mailbox>) {
    match mailbox {
        Some(mailbox) => mailbox.arrived().await,
        None => std::future::pending().await,
    }
}
