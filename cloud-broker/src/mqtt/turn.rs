//! Who is read next. A client that brings little is read when it has something; those that bring
//! much, as agents do that come back with what they have kept, are read one after the other, and
//! between two of them the core looks who else has something. So a thousand that return at once
//! wait for each other, and nobody else queues behind all of them; and while others write, they take
//! no more than their share of the core. Of a crowd that comes at once, the core serves a few
//! between two looks at all sockets.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{Notify, SemaphorePermit};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::core::{Core, READ_BYTES};

/// A read of so many bytes, or the beginning of a packet of so many, is much.
const BULK_BYTES_MIN: usize = READ_BYTES / 2;
/// Those that bring much wait for a commit when so many bytes of the core wait for one: the chunk
/// that everybody waits for stays small.
const UNCOMMITTED_BYTES_MAX: usize = 1 << 20;
/// But not for ever, if nothing is committed.
const UNCOMMITTED_TIME_MAX: Duration = Duration::from_secs(1);

/// So many of a crowd are served before the core looks at all sockets again.
pub(super) const CROWD_MAX: usize = 8;

/// What one read brought.
#[derive(Debug)]
pub(super) struct Read<'a> {
    /// Bytes in the core's buffer, which holds them until the next await; 0 is the end.
    pub(super) count: usize,
    /// What others wait for.
    pub(super) turn: Turn<'a>,
}

/// Why a connection is read now.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    /// It had something.
    AtOnce,
    /// It is one of a crowd.
    InCrowd {
        _permit: Option<SemaphorePermit<'a>>,
    },
    /// It brings much, and nobody else does at the same time; agents pay for their time.
    Bulk {
        _permit: Option<SemaphorePermit<'a>>,
        paying: Option<SemaphorePermit<'a>>,
        began: Instant,
    },
}

/// Reads into the core's buffer, when there is something and it is this connection's turn; `None`
/// if the core takes nothing any more.
pub(super) async fn read<'a>(
    core: &'a Core,
    connection: &Connection,
    socket: &mut OwnedReadHalf,
) -> io::Result<Option<Read<'a>>> {
    if !connection.bulk.get() && !comes_in_crowds(connection) {
        let count = poll_fn(|context| core.poll_read(Pin::new(&mut *socket), context)).await?;
        let turn = Turn::AtOnce;
        return Ok(count.map(|count| Read { count, turn }));
    }
    loop {
        socket.readable().await?;
        // Whoever waits for a turn has not gone silent.
        connection.queued.set(true);
        let turn = core.turn_of(connection).await;
        connection.queued.set(false);
        if core.is_stalled() {
            return Ok(None);
        }
        let most = if turn.is_bulk() {
            READ_BYTES
        } else {
            BULK_BYTES_MIN
        };
        match socket.try_read(&mut core.raw.borrow_mut()[..most]) {
            Ok(count) => return Ok(Some(Read { count, turn })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Agents return all at once when a link or a broker does; who somebody is shows with the first
/// packet.
fn comes_in_crowds(connection: &Connection) -> bool {
    let state = connection.state.borrow();
    let session = state.session.as_ref();
    session.is_none_or(|session| session.agent.is_some())
}

/// Lets others be heard between those of a crowd that are let in.
pub(super) async fn after_accept(accepted: &mut usize) {
    *accepted = (*accepted + 1) % CROWD_MAX;
    if *accepted == 0 {
        yield_now().await;
    }
}

/// Lets others be heard after a read that brought much, and passes the turn on.
pub(super) async fn end(core: &Core, connection: &Rc<Connection>, count: usize, turn: Turn<'_>) {
    if let Turn::Bulk {
        paying: Some(_),
        began,
        ..
    } = turn
    {
        core.spend(began);
    }
    // A link may bring much in small reads: what is begun, and what waits for a commit, count too.
    let (begun, waiting) = {
        let state = connection.state.borrow();
        (state.tail.len(), state.uncommitted)
    };
    let much = count.max(begun).max(waiting) >= BULK_BYTES_MIN;
    connection.bulk.set(much);
    if !turn.is_bulk() && count < BULK_BYTES_MIN {
        return;
    }
    // The core's loop looks at all sockets before it comes back here.
    yield_now().await;
    if turn.is_bulk() && !core.is_stalled() {
        hold_back(core.inbox.bytes(), &core.committed).await;
    }
}

/// Lets one commit pass if much waits for it: more would make those who bring much wait for ever
/// behind what others write.
async fn hold_back(uncommitted: usize, committed: &Notify) {
    if uncommitted > UNCOMMITTED_BYTES_MAX {
        // If it takes longer, the log is in trouble, and what comes next is refused.
        drop(timeout(UNCOMMITTED_TIME_MAX, committed.notified()).await);
    }
}

impl Turn<'_> {
    fn is_bulk(&self) -> bool {
        matches!(self, Self::Bulk { .. })
    }
}

impl Core {
    async fn turn_of(&self, connection: &Connection) -> Turn<'_> {
        if connection.bulk.get() {
            let paying = match comes_in_crowds(connection) {
                true => self.rest().await,
                false => None,
            };
            let permit = self.turn.acquire().await.ok();
            // Nobody else's publish waits for what comes now.
            self.wake_journal();
            return Turn::Bulk {
                _permit: permit,
                paying,
                began: Instant::now(),
            };
        }
        let permit = self.crowd.acquire().await.ok();
        if self.crowd.available_permits() == 0 {
            // The core's loop looks at all sockets before it comes back here.
            yield_now().await;
        }
        Turn::InCrowd { _permit: permit }
    }

    /// Leaves the core to others, while there are any; one agent after the other.
    async fn rest(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.paying.acquire().await.ok();
        let rest = || {
            let backend = &self.door.backend;
            self.share
                .get()
                .rest(self.since_start(Instant::now()), backend.quiet_for())
        };
        loop {
            let rest = rest();
            if rest.is_zero() {
                return permit;
            }
            sleep(rest).await;
        }
    }

    /// Notes a turn that began then and ends now.
    fn spend(&self, began: Instant) {
        let mut share = self.share.get();
        share.spend(self.since_start(began), began.elapsed());
        self.share.set(share);
    }

    /// Of a client that has brought little so far: no more than what counts as little.
    fn poll_read(
        &self,
        socket: Pin<&mut OwnedReadHalf>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<usize>>> {
        if self.is_stalled() {
            return Poll::Ready(Ok(None));
        }
        let mut raw = self.raw.borrow_mut();
        let mut buffer = ReadBuf::new(&mut raw[..BULK_BYTES_MIN]);
        let polled = socket.poll_read(context, &mut buffer);
        polled.map_ok(|()| Some(buffer.filled().len()))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn who_brings_much_waits_for_one_commit_whatever_others_write() {
        let committed = Notify::new();
        // One that is over tells nothing.
        committed.notify_waiters();
        let mut held_back = pin!(hold_back(UNCOMMITTED_BYTES_MAX + 1, &committed));
        let mut context = Context::from_waker(Waker::noop());
        assert!(held_back.as_mut().poll(&mut context).is_pending());
        committed.notify_waiters();
        assert!(held_back.as_mut().poll(&mut context).is_ready());
    }
}
