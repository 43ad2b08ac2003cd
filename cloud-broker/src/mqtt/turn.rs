//! Who is read next. A client that brings little is read when it has something; those that bring
//! much, as agents do that come back with what they have kept, are read one after the other, and
//! between two of them the core looks who else has something. So a thousand that return at once
//! wait for each other, and nobody else queues behind all of them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::SemaphorePermit;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::connection::Connection;
use super::core::{Core, READ_BYTES};

/// A read of so many bytes, or the beginning of a packet of so many, is much.
const BULK_BYTES_MIN: usize = READ_BYTES / 2;
/// Those that bring much wait while so many bytes of the core wait for a commit: the chunk that
/// everybody waits for stays small.
const UNCOMMITTED_BYTES_MAX: usize = 1 << 20;
/// But not for ever, if nothing is committed.
const UNCOMMITTED_TIME_MAX: Duration = Duration::from_secs(1);

/// What one read brought.
#[derive(Debug)]
pub(super) struct Read<'a> {
    /// Bytes in the core's buffer, which holds them until the next await; 0 is the end.
    pub(super) count: usize,
    /// The turn, if this one had to wait for it.
    pub(super) turn: Option<SemaphorePermit<'a>>,
}

/// Reads into the core's buffer, when there is something and it is this connection's turn; `None`
/// if the core takes nothing any more.
pub(super) async fn read<'a>(
    core: &'a Core,
    connection: &Connection,
    socket: &mut OwnedReadHalf,
) -> io::Result<Option<Read<'a>>> {
    if !connection.bulk.get() {
        let count = poll_fn(|context| core.poll_read(Pin::new(&mut *socket), context)).await?;
        return Ok(count.map(|count| Read { count, turn: None }));
    }
    loop {
        socket.readable().await?;
        // Whoever waits for a turn has not gone silent.
        connection.queued.set(true);
        let turn = core.turn.acquire().await.ok();
        connection.queued.set(false);
        if core.is_stalled() {
            return Ok(None);
        }
        match socket.try_read(&mut core.raw.borrow_mut()) {
            Ok(count) => return Ok(Some(Read { count, turn })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lets others be heard after a read that brought much, and passes the turn on.
pub(super) async fn end(
    core: &Core,
    connection: &Rc<Connection>,
    count: usize,
    turn: Option<SemaphorePermit<'_>>,
) {
    // A link may bring much in small reads: what is begun, and what waits for a commit, count too.
    let (begun, waiting) = {
        let state = connection.state.borrow();
        (state.tail.len(), state.uncommitted)
    };
    let much = count.max(begun).max(waiting) >= BULK_BYTES_MIN;
    connection.bulk.set(much);
    if turn.is_none() && count < BULK_BYTES_MIN {
        return;
    }
    // The core's loop looks at all sockets before it comes back here.
    yield_now().await;
    if turn.is_some() && core.inbox.bytes() > UNCOMMITTED_BYTES_MAX {
        let committed = async {
            while core.inbox.bytes() > UNCOMMITTED_BYTES_MAX && !core.is_stalled() {
                core.committed.notified().await;
            }
        };
        // If it takes longer, the log is in trouble, and what comes next is refused.
        drop(timeout(UNCOMMITTED_TIME_MAX, committed).await);
    }
}

impl Core {
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
