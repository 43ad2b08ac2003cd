//! The `mqtt` source: a local door for MQTT 3.1.1 and 5.
//!
//! What a client publishes goes into the log, and its PUBACK comes after the synced commit, in
//! order, many at a time. Clients that subscribe get what others publish, live and once it is
//! durable; one that reads too slowly loses live messages, and never holds up the intake. There
//! are no sessions, no retained messages, and no QoS 2.
//!
//! `connection` moves bytes, `session` answers packets, `record` makes events, `hub` knows the
//! subscribers. The memory of all connections of all sources together is bounded by the log's room.

mod connect;
mod connection;
mod hub;
mod record;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use headwater_wire::uplink::EVENT_BYTES_MAX;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Intake, Opened, SourceError};
use hub::Hub;

/// What one door takes. All connections share the agent's small memory.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; one more is closed at once.
    pub connections_max: usize,
    /// Bytes of one packet; version 5 clients are told.
    pub packet_bytes_max: usize,
    /// Bytes of a packet before the CONNACK.
    pub connect_bytes_max: usize,
    /// Publishes of one connection that wait for their PUBACK.
    pub receive_max: u16,
    /// Filters of one connection.
    pub filters_max: usize,
    /// Bytes that wait to be delivered to one subscriber.
    pub mailbox_bytes_max: usize,
    /// Bytes that wait to be delivered to all subscribers.
    pub mailboxes_bytes_max: usize,
    /// From the connection to the end of its CONNECT.
    pub connect_timeout: Duration,
    /// From the first byte of a packet to its last.
    pub packet_timeout: Duration,
    /// A client that reads nothing for this long while something waits for it is cut.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            packet_bytes_max: EVENT_BYTES_MAX,
            connect_bytes_max: 64 * 1024,
            receive_max: 1024,
            filters_max: 64,
            mailbox_bytes_max: 256 * 1024,
            mailboxes_bytes_max: 512 * 1024,
            connect_timeout: Duration::from_secs(10),
            packet_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
        }
    }
}

/// What all connections of a door share.
struct Door {
    intake: Intake,
    limits: Limits,
    hub: Hub,
    connections: AtomicUsize,
    next_connection: AtomicU64,
}

/// Binds `listen` and gives the task that accepts.
///
/// # Errors
/// The address is taken, not this machine's, or no address.
pub async fn open(intake: Intake, listen: &str, limits: Limits) -> Result<Opened, SourceError> {
    let failed = |reason| SourceError::Listen {
        name: intake.name().to_owned(),
        address: listen.to_owned(),
        reason,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let door = Arc::new(Door {
        hub: Hub::new(limits.mailbox_bytes_max, limits.mailboxes_bytes_max),
        connections: AtomicUsize::new(0),
        next_connection: AtomicU64::new(1),
        intake,
        limits,
    });
    Ok(Opened {
        listen: Some(address),
        task: Box::pin(accept(door, listener)),
    })
}

/// Accepts until the agent stops, then waits for the connections to answer what they took.
async fn accept(door: Arc<Door>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut stopping = door.intake.stopping();
    loop {
        tokio::select! {
            () = stopping.wait() => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    // Small answers must not wait for the client's delayed acknowledgements.
                    let _best_effort = socket.set_nodelay(true);
                    door.admit(&mut connections, socket);
                }
                Err(error) => {
                    tracing::warn!(source = door.intake.name(), "Connection not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

impl Door {
    fn admit(self: &Arc<Self>, connections: &mut JoinSet<()>, socket: tokio::net::TcpStream) {
        if self.connections.load(Ordering::Relaxed) >= self.limits.connections_max {
            tracing::debug!(
                source = self.intake.name(),
                "Too many connections, one closed"
            );
            return;
        }
        let open = Open::new(Arc::clone(self));
        connections.spawn(connection::run(open, socket));
    }
}

/// One open connection, counted while it lives.
struct Open {
    door: Arc<Door>,
    number: u64,
}

impl Open {
    fn new(door: Arc<Door>) -> Self {
        let open = door.connections.fetch_add(1, Ordering::Relaxed) + 1;
        door.intake.set_connections(open);
        let number = door.next_connection.fetch_add(1, Ordering::Relaxed);
        Self { door, number }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = self.door.connections.fetch_sub(1, Ordering::Relaxed) - 1;
        self.door.intake.set_connections(open);
    }
}

#[cfg(test)]
mod tests;
