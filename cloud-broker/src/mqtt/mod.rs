//! The MQTT door: 3.1.1 and 5 over TCP and TLS, for plain clients and for agents.
//!
//! It runs on threads of its own, one for each core that it is given, each with a current-thread
//! runtime, its own `SO_REUSEPORT` socket for every listener, and its own inbox of the backend.
//! A connection stays on the core that accepted it, so that its core's tasks share what they need
//! without locks.
//!
//! The way of a publish: `connection` reads the socket into the core's buffer, `packets` finds and
//! checks the packets, `publish` (or `uplink`, for agents) puts them into the inbox through
//! `intake`, which notes the answer in `waiting`. After a commit the core is woken once: `release`
//! gives the answers that have become true, `fanout` gives the new records to subscribers, and each
//! connection that is concerned gets one write. A subscriber that cannot take what it is given, or
//! that asks for older records (`replay`), waits for its turn (`seek`) to read the log (`scan`).

mod connect;
mod connection;
mod core;
mod deliver;
mod fanout;
mod intake;
mod io;
mod listen;
mod opened;
mod out;
mod packets;
mod publish;
mod record;
mod registry;
mod release;
mod replay;
mod scan;
mod seek;
mod session;
mod subscribe;
mod subscriptions;
mod table;
mod turn;
mod uplink;
mod waiting;

#[doc(hidden)]
pub use uplink::is_uplink_payload;

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use self::core::Core;
use self::registry::Registry;
use crate::door::{Door, Listener};

/// The door's threads; see [`Served::ended`].
#[derive(Debug)]
pub struct Served {
    threads: Vec<JoinHandle<()>>,
    ended: Vec<oneshot::Receiver<()>>,
}

/// Serves all MQTT listeners on `cores` threads until [`Door::stop`] says so. Call it once, from
/// anywhere; it returns when every thread accepts.
///
/// # Errors
/// A socket for another core cannot be bound, or a thread cannot be started.
pub fn serve(door: Door, listeners: Vec<Listener>, cores: NonZeroUsize) -> std::io::Result<Served> {
    let registry = Arc::<Registry>::default();
    let mut per_core: Vec<Vec<Listener>> = (0..cores.get()).map(|_| Vec::new()).collect();
    for listener in listeners {
        let siblings = listen::siblings(listener, cores.get())?;
        per_core
            .iter_mut()
            .zip(siblings)
            .for_each(|(core, sibling)| core.push(sibling));
    }
    let mut served = Served {
        threads: Vec::new(),
        ended: Vec::new(),
    };
    for (number, listeners) in per_core.into_iter().enumerate() {
        let (door, registry) = (door.clone(), Arc::clone(&registry));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (ended, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("headwater-mqtt-{number}"))
            .spawn(move || {
                LocalSet::new().block_on(&runtime, run_core(door, registry, listeners));
                // Nobody may be waiting.
                let _ = ended.send(());
            })?;
        served.threads.push(thread);
        served.ended.push(receiver);
    }
    Ok(served)
}

async fn run_core(door: Door, registry: Arc<Registry>, listeners: Vec<Listener>) {
    let adopted = listeners.into_iter().map(|listener| {
        let socket = listener.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        Ok((tokio::net::TcpListener::from_std(socket)?, listener))
    });
    match adopted.collect::<std::io::Result<Vec<_>>>() {
        Ok(listeners) => core::run(Rc::new(Core::new(door, registry)), listeners).await,
        Err(error) => tracing::error!("An MQTT listener cannot be used: {error}"),
    }
}

impl Served {
    /// Resolves once every connection has got its outstanding acknowledgements and has ended, a few
    /// seconds after [`Door::stop`] at most. Stop the backend only then.
    pub async fn ended(self) {
        for ended in self.ended {
            // An error means that the thread is gone, which is an end too.
            drop(ended.await);
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("An MQTT thread has panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests;
