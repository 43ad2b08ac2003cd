//! Sockets, bound before anything else: a taken port is the most frequent reason not to start.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::RunError;
use crate::config::{Anonymous, Config};
use crate::door::Listener;
use crate::tls::Tls;

/// Connections that wait to be accepted; the system may permit fewer.
const BACKLOG: i32 = 4096;

/// Binds every listener of `config`, in the order of the ready line.
pub(super) fn listen(config: &Config, tls: Option<&Arc<Tls>>) -> Result<Vec<Listener>, RunError> {
    let mut listeners = Vec::new();
    for (name, address, with_tls) in config.listeners.all() {
        let Some(address) = address else { continue };
        let address = address.as_str();
        let failed = |source| RunError::Listen {
            name,
            address: address.to_owned(),
            source,
        };
        let socket = TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        // The standard library's queue is too short for clients that all come back at once.
        rustix::net::listen(&socket, BACKLOG).map_err(|error| failed(error.into()))?;
        let tls = tls.filter(|_| with_tls).cloned();
        listeners.push(Listener { name, socket, tls });
    }
    Ok(listeners)
}

/// Nobody can use a listener that is open to the network while no client can show a certificate.
pub(super) fn tell_of_closed_doors(config: &Config, addresses: &[(&'static str, SocketAddr)]) {
    let has_ca = config
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_ca.is_some());
    if config.auth.anonymous == Anonymous::Everywhere {
        return;
    }
    for (name, address) in addresses {
        let tls = ["mqtts", "wss", "kafkas", "https"].contains(name);
        let reachable = !address.ip().is_loopback() || config.auth.anonymous == Anonymous::Never;
        if reachable && !(tls && has_ca) {
            tracing::info!(
                "Clients of {name}={address} are refused unless they come from where \
                 auth.anonymous permits it; others need TLS and a certificate of tls.client_ca"
            );
        }
    }
}
