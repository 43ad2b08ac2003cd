//! What the handlers of one connection share.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use headwater_kafka::api_versions::Software;

use super::room::Room;
use crate::auth::Identity;
use crate::backend::Backend;
use crate::config::Config;
use crate::door::Door;
use crate::tls::Tls;
use crate::validate::Validator;

/// This broker's id: the only one on a single machine.
pub(super) const NODE_ID: i32 = 0;

/// Validators kept for reuse: more than work at the same time are not needed.
const VALIDATORS_KEPT: usize = 16;

/// What all connections of a listener share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) door: Door,
    pub(super) tls: Option<Arc<Tls>>,
    validators: Mutex<Vec<Validator>>,
    creating: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn new(door: Door, tls: Option<Arc<Tls>>) -> Self {
        Self {
            door,
            tls,
            validators: Mutex::default(),
            creating: tokio::sync::Mutex::default(),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    shared: Arc<Shared>,
    /// Who the client is; `None` if it may do nothing but ask for our versions.
    pub(super) identity: Option<Identity>,
    /// Where clients that came in here find this broker.
    pub(super) host: String,
    peer: IpAddr,
    /// The listener's port.
    pub(super) port: u16,
    software: OnceLock<Software>,
}

impl Session {
    /// `local` is the address that the client connected to, `peer` its own, `server_name` the one that it asked
    /// for in the TLS handshake.
    pub(super) fn new(
        shared: &Arc<Shared>,
        (local, peer): (SocketAddr, SocketAddr),
        server_name: Option<&str>,
        identity: Option<Identity>,
    ) -> Self {
        let advertised = shared.door.config.advertise.as_deref().or(server_name);
        let host = match advertised {
            Some(host) => host.to_owned(),
            // An IPv6 listener sees IPv4 clients as ::ffff:127.0.0.1.
            None => local.ip().to_canonical().to_string(),
        };
        Self {
            shared: Arc::clone(shared),
            identity,
            host,
            port: local.port(),
            peer: peer.ip().to_canonical(),
            software: OnceLock::new(),
        }
    }

    pub(super) fn door(&self) -> &Door {
        &self.shared.door
    }

    pub(super) fn backend(&self) -> &Arc<Backend> {
        &self.shared.door.backend
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.door.config
    }

    /// Where the client comes from, as Kafka writes it.
    pub(super) fn client_host(&self) -> String {
        format!("/{}", self.peer)
    }

    /// Keeps what the client says it is, for the log.
    pub(super) fn remember(&self, software: Software) {
        drop(self.software.set(software));
    }

    /// The client's name and version, for the log.
    pub(super) fn software(&self) -> String {
        match self.software.get() {
            Some(software) => format!("{} {}", software.name, software.version),
            None => "unknown".into(),
        }
    }

    /// Waits for the turn to make a stream.
    pub(super) async fn creating(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.creating.lock().await
    }

    /// Lends a validator.
    pub(super) fn with_validator<T>(&self, work: impl FnOnce(&mut Validator) -> T) -> T {
        let validators = || {
            let kept = self.shared.validators.lock();
            kept.unwrap_or_else(PoisonError::into_inner)
        };
        let kept = validators().pop();
        let mut validator = kept.unwrap_or_default();
        let result = work(&mut validator);
        let mut kept = validators();
        if kept.len() < VALIDATORS_KEPT {
            kept.push(validator);
        }
        result
    }

    /// Reserves up to `bytes` of the memory for answers; less if there is less.
    pub(super) async fn fetch_room(&self, bytes: usize) -> Room {
        Room::take(&self.door().limits, bytes).await
    }
}
