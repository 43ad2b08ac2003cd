//! Lines over Unix and TCP sockets. After each commit the agent writes `ok N`: N lines of this
//! connection are durable. While the log refuses it writes `err N reason` once, keeps the lines
//! that it has, reads no more, and tries again until they are taken.

mod connection;

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::maker::Maker;
use crate::sources::{Opened, SourceError};

/// Connections at a time; one more is told so and closed.
const CONNECTIONS_MAX: usize = 64;
/// Between two tries to accept when the system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections of one source share.
struct Door {
    maker: Maker,
    connections: AtomicUsize,
}

/// One open connection, counted while it lives.
struct Open(Arc<Door>);

pub(super) async fn open_tcp(maker: Maker, address: &str) -> Result<Opened, SourceError> {
    let failed = failure(&maker, address);
    let listener = TcpListener::bind(address).await.map_err(&failed)?;
    let listen = listener.local_addr().map_err(&failed)?;
    tracing::info!(source = maker.intake.name(), address = %listen, "Lines are taken");
    let accept = async move || {
        let (socket, _) = listener.accept().await?;
        // Small answers must not wait for the client's delayed acknowledgements.
        let _best_effort = socket.set_nodelay(true);
        Ok(socket)
    };
    Ok(Opened {
        listen: Some(listen),
        task: Box::pin(serve(Door::new(maker), accept)),
    })
}

#[expect(clippy::unused_async, reason = "binding needs the runtime")]
pub(super) async fn open_unix(maker: Maker, path: &Path) -> Result<Opened, SourceError> {
    let failed = failure(&maker, &path.display().to_string());
    remove_stale(path).map_err(&failed)?;
    let listener = UnixListener::bind(path).map_err(&failed)?;
    let bound = Bound(path.to_owned());
    tracing::info!(source = maker.intake.name(), path = %path.display(), "Lines are taken");
    let accept = async move || {
        let _until_then = &bound;
        listener.accept().await.map(|(socket, _)| socket)
    };
    Ok(Opened {
        listen: None,
        task: Box::pin(serve(Door::new(maker), accept)),
    })
}

/// Accepts until the agent stops, then waits for the connections to commit what they took.
async fn serve<S>(door: Arc<Door>, mut accept: impl AsyncFnMut() -> io::Result<S>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut stopping = door.maker.intake.stopping();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.wait() => break,
            accepted = accept() => match accepted {
                Ok(socket) => door.admit(&mut connections, socket),
                Err(error) => {
                    tracing::warn!(source = door.maker.intake.name(), "Connection not accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(accept);
    while connections.join_next().await.is_some() {}
}

impl Door {
    fn new(maker: Maker) -> Arc<Self> {
        Arc::new(Self {
            maker: maker.for_many(),
            connections: AtomicUsize::new(0),
        })
    }

    fn admit<S>(self: &Arc<Self>, connections: &mut JoinSet<()>, mut socket: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        if self.connections.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            connections.spawn(async move {
                let told = socket.write_all(b"err 0 Too many connections\n");
                // Whoever does not read it sees the connection close.
                let _told = tokio::time::timeout(ACCEPT_PAUSE, told).await;
            });
            return;
        }
        connections.spawn(connection::run(Open::new(self), socket));
    }
}

impl Open {
    fn new(door: &Arc<Door>) -> Self {
        let open = door.connections.fetch_add(1, Ordering::Relaxed) + 1;
        door.maker.intake.set_connections(open);
        Self(Arc::clone(door))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = self.0.connections.fetch_sub(1, Ordering::Relaxed) - 1;
        self.0.maker.intake.set_connections(open);
    }
}

/// A socket's name, gone with the listener.
struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        // Another process may have taken the place; that is its own.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn failure(maker: &Maker, address: &str) -> impl Fn(io::Error) -> SourceError + use<> {
    let (name, address) = (maker.intake.name().to_owned(), address.to_owned());
    move |reason| SourceError::Listen {
        name: name.clone(),
        address: address.clone(),
        reason,
    }
}

/// Removes what a process that was killed left of its socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::other("something else than a socket is there"));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}
