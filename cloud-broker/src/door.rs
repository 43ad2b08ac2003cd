//! What each protocol's door is given, and how it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::watch;

use crate::auth::Auth;
use crate::backend::Backend;
use crate::config::Config;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::tls::Tls;

/// The parts that all doors share; cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    /// The log.
    pub backend: Arc<Backend>,
    /// The settings.
    pub config: Arc<Config>,
    /// Who may connect: ask [`Auth::admit`] once for each connection.
    pub auth: Arc<Auth>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What connections may use: [`Limits::enter`] for each, [`Limits::reserve`] for requests.
    pub limits: Arc<Limits>,
    /// Which devices are connected: [`Presence::arrive`] for each connection of an agent.
    pub presence: Arc<Presence>,
    /// The addresses that are open, by name, for answers that name them.
    pub addresses: Arc<Vec<(&'static str, SocketAddr)>>,
    /// Says when to end.
    pub stop: Stop,
}

/// A socket that listens (non-blocking; `try_clone` it to accept in several runtimes).
#[derive(Debug)]
pub struct Listener {
    /// Its name in the ready line.
    pub name: &'static str,
    /// Bound and listening.
    pub socket: TcpListener,
    /// Whether clients speak TLS here, and with what.
    pub tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Another handle on the same queue of connections.
    ///
    /// # Errors
    /// The process has no file handle left.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self {
            name: self.name,
            socket: self.socket.try_clone()?,
            tls: self.tls.clone(),
        })
    }
}

/// Says when to end; cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Says it.
#[derive(Debug)]
pub struct StopSwitch(watch::Sender<bool>);

/// A switch and what it tells.
pub fn stop_pair() -> (StopSwitch, Stop) {
    let (sender, receiver) = watch::channel(false);
    (StopSwitch(sender), Stop(receiver))
}

impl StopSwitch {
    /// Everything that waits for [`Stop::requested`] goes on.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether it is time to end.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is time to end, or until nobody is left who could say so.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        // An error means that the switch is gone, and with it the broker.
        drop(receiver.wait_for(|stop| *stop).await);
    }
}
