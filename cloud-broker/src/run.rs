//! Puts the parts of a broker together, and takes them apart again.

mod data_dir;
mod doors;
mod listen;

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::auth::Auth;
use crate::backend::{Backend, OpenError, Options};
use crate::config::Config;
use crate::door::{Door, StopSwitch, stop_pair};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::tls::{Tls, TlsError};

/// Doors get this long to answer what they have taken, then their connections are cut. With the
/// log's own end it stays below the 10 s within which the process has to be gone.
const DOORS_END_MAX: Duration = Duration::from_secs(5);
const RUNTIME_END_MAX: Duration = Duration::from_secs(1);

/// A broker that runs. Dropping it stops it in a hurry; see [`Handle::stop`].
#[derive(Debug)]
pub struct Handle {
    addresses: Arc<Vec<(&'static str, SocketAddr)>>,
    stop: StopSwitch,
    ended: watch::Receiver<Option<String>>,
    all_ended: watch::Receiver<bool>,
    tls: Option<Arc<Tls>>,
    backend: Arc<Backend>,
    metrics: Arc<Metrics>,
    runtime: Option<Runtime>,
}

/// Why a broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be listened on, mostly because it is taken.
    #[error("Cannot listen on {name}={address}: {source}")]
    Listen {
        /// The listener.
        name: &'static str,
        /// As it was written.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The files of `[tls]` cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system gives no thread or no file handle.
    #[error("Cannot start: {0}")]
    System(#[from] io::Error),
}

impl RunError {
    /// Whether other settings would help: exit code 2 rather than 1.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Open(OpenError::Stream { .. }))
    }
}

/// Opens the log, recovers it, and opens every listener; blocks until clients are served.
///
/// # Errors
/// [`RunError`]; nothing is left running.
pub fn run(config: Config) -> Result<Handle, RunError> {
    let config = Arc::new(config);
    let tls = config.tls.as_ref().map(Tls::open).transpose()?;
    let listeners = listen::listen(&config, tls.as_ref())?;
    let addresses = listeners
        .iter()
        .map(|listener| Ok((listener.name, listener.socket.local_addr()?)))
        .collect::<io::Result<Vec<_>>>()?;
    listen::tell_of_closed_doors(&config, &addresses);
    let metrics = Arc::new(Metrics::default());
    let backend = Backend::open(options(&config, &metrics))?;
    let (stop, stopping) = stop_pair();
    let door = Door {
        backend: Arc::clone(&backend),
        auth: Arc::new(Auth::new(&config)),
        metrics: Arc::clone(&metrics),
        limits: Limits::new(&config.limits, Arc::clone(&metrics)),
        presence: Arc::default(),
        addresses: Arc::new(addresses),
        stop: stopping,
        config,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("headwater-door")
        .enable_all()
        .build()?;
    let addresses = Arc::clone(&door.addresses);
    let (ended_sender, ended) = watch::channel(None);
    let (all_ended_sender, all_ended) = watch::channel(false);
    let doors = doors::open(&runtime, &door, listeners).inspect_err(|_| backend.stop())?;
    runtime.spawn(async move {
        doors::join(doors, &door, &ended_sender).await;
        all_ended_sender.send_replace(true);
    });
    Ok(Handle {
        addresses,
        stop,
        ended,
        all_ended,
        tls,
        backend,
        metrics,
        runtime: Some(runtime),
    })
}

impl Handle {
    /// The open listeners and their addresses, in the order of the ready line.
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// The address of one listener; `None` if it is closed.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        let found = self.addresses.iter().find(|(open, _)| *open == name);
        found.map(|(_, address)| *address)
    }

    /// `ready mqtt=127.0.0.1:1883 …`
    pub fn ready_line(&self) -> String {
        let mut line = String::from("ready");
        for (name, address) in self.addresses.iter() {
            write!(line, " {name}={address}").expect("a String takes all text");
        }
        line
    }

    /// The log.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Reads the certificates again.
    ///
    /// # Errors
    /// [`TlsError`]; the old ones stay.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// Resolves if a door ends without having been told to, with what it says.
    pub async fn failed(&self) -> String {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(message) => message.clone().unwrap_or_default(),
            // The doors were told to end, and did.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes no more connections, answers what was taken, flushes the log. Blocks for less than
    /// 10 s; not to be called from an async task.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        self.stop.request();
        let mut all_ended = self.all_ended.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            drop(all_ended.wait_for(|ended| *ended).await);
            // An error means that the receiver has given up waiting.
            let _ = sender.send(());
        });
        if receiver.recv_timeout(DOORS_END_MAX).is_err() {
            tracing::info!("Some connections did not end in time and are cut");
        }
        self.backend.stop();
        runtime.shutdown_timeout(RUNTIME_END_MAX);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        self.stop.request();
        runtime.shutdown_background();
        self.backend.stop();
    }
}

fn options(config: &Config, metrics: &Arc<Metrics>) -> Options {
    let streams = config.stream.iter().map(|stream| stream.spec()).collect();
    let mut options = Options::new(data_dir::choose(config), streams);
    options.metrics = Arc::clone(metrics);
    options.groups.session_ms_min =
        i32::try_from(config.kafka.group_min_session.ms()).unwrap_or(i32::MAX);
    options.lanes_per_device = config.limits.lanes_per_device as usize;
    options.disk_min_free_percent = config.limits.disk_min_free.rounded_up();
    options.compaction_memory_bytes = config.limits.compaction_memory.as_usize();
    options.request_memory_bytes = config.limits.request_memory.as_usize();
    options
}

#[cfg(test)]
mod tests;
