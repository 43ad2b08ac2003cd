//! The Kafka door: connections over TCP and TLS, and one file for each API.
//!
//! A request travels `connection` (frames in, answers out in the same order) -> `dispatch` -> its
//! API's file -> the backend, and back the same way. Batches are never rewritten: what a producer
//! sent is checked and appended, what lies in the log is handed to the socket in pieces.
//!
//! A peer that is broken or hostile costs its own connection and a bounded amount of memory: a
//! frame is held as far as it has arrived, and read only as far as `kafka.max_request` allows.

mod api_versions;
mod broker_config;
mod connection;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod dispatch;
mod fetch;
mod frames;
pub(crate) mod fuzz;
mod groups;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod outgoing;
mod produce;
mod room;
mod session;
#[cfg(test)]
mod tests;
mod topic_config;
mod topics;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::accept::{self, AcceptTrouble};
use crate::door::{Door, Listener};

use session::Shared;

/// How long connections may take to send the answers that they owe when the broker stops.
const STOP_MAX: Duration = Duration::from_secs(4);

/// Serves one Kafka listener on the multi-thread runtime that it is called on, until
/// [`Door::stop`] says so; returns once its connections have ended.
///
/// # Errors
/// The socket cannot be taken over by the runtime.
pub async fn serve(door: Door, listener: Listener) -> io::Result<()> {
    let socket = TcpListener::from_std(listener.socket)?;
    let shared = Arc::new(Shared::new(door, listener.tls));
    let mut connections = JoinSet::new();
    let mut trouble = AcceptTrouble::default();
    loop {
        tokio::select! {
            biased;
            () = shared.door.stop.requested() => break,
            Some(ended) = connections.join_next() => watch_for_panic(ended),
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection::run(Arc::clone(&shared), stream, peer));
                }
                Err(error) => {
                    trouble.tell(listener.name, &error);
                    sleep(accept::PAUSE).await;
                }
            },
        }
    }
    drop(socket);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            watch_for_panic(ended);
        }
    };
    if timeout(STOP_MAX, drained).await.is_err() {
        tracing::info!("Kafka connections that did not take their answers are cut off");
    }
    Ok(())
}

fn watch_for_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "A Kafka connection failed inside the broker");
    }
}
