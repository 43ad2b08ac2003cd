//! Puts the parts of a broker together, and takes them apart again.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::auth::Auth;
use crate::backend::{Backend, OpenError, Options};
use crate::config::{Anonymous, Config, DATA_DIR, DATA_DIR_FALLBACK};
use crate::door::{Door, Listener, StopSwitch, stop_pair};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::tls::{Tls, TlsError};
use crate::{http, kafka, mqtt};

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
    let listeners = listen(&config, tls.as_ref())?;
    let addresses = listeners
        .iter()
        .map(|listener| Ok((listener.name, listener.socket.local_addr()?)))
        .collect::<io::Result<Vec<_>>>()?;
    warn_of_closed_doors(&config, &addresses);
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
    let doors = open_doors(&runtime, &door, listeners);
    runtime.spawn(async move {
        join_doors(doors, &door, &ended_sender).await;
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
            // The receiver has given up waiting.
            drop(sender.send(()));
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

/// Starts each door on its listeners.
fn open_doors(
    runtime: &Runtime,
    door: &Door,
    listeners: Vec<Listener>,
) -> JoinSet<(&'static str, io::Result<()>)> {
    let mut doors = JoinSet::new();
    let handle = runtime.handle();
    for listener in listeners {
        let door = door.clone();
        let name = listener.name;
        match name {
            "mqtt" | "mqtts" => {}
            "kafka" | "kafkas" => {
                let serve = kafka::serve(door, listener);
                doors.spawn_on(async move { (name, serve.await) }, handle);
            }
            _ => {
                let serve = http::serve(door, listener);
                doors.spawn_on(async move { (name, serve.await) }, handle);
            }
        }
    }
    doors
}

/// Waits for all doors; one that ends too early is a failure of the broker.
async fn join_doors(
    mut doors: JoinSet<(&'static str, io::Result<()>)>,
    door: &Door,
    ended: &watch::Sender<Option<String>>,
) {
    while let Some(joined) = doors.join_next().await {
        if door.stop.is_requested() {
            continue;
        }
        let message = match joined {
            Ok((name, Ok(()))) => format!("The {name} listener has ended"),
            Ok((name, Err(error))) => format!("The {name} listener has failed: {error}"),
            Err(error) => format!("A listener has failed: {error}"),
        };
        ended.send_replace(Some(message));
    }
    // Whoever waits for a failure has nothing more to wait for, and must not be told so.
    door.stop.requested().await;
}

fn listen(config: &Config, tls: Option<&Arc<Tls>>) -> Result<Vec<Listener>, RunError> {
    let mut listeners = Vec::new();
    for (name, address, with_tls) in config.listeners.all() {
        let Some(address) = address else { continue };
        let address = address.as_str();
        let failed = |source| RunError::Listen { name, address: address.to_owned(), source };
        let socket = TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let tls = tls.filter(|_| with_tls).cloned();
        listeners.push(Listener { name, socket, tls });
    }
    Ok(listeners)
}

fn options(config: &Config, _metrics: &Arc<Metrics>) -> Options {
    let streams = config.stream.iter().map(|stream| stream.spec()).collect();
    let mut options = Options::new(data_dir(config), streams);
    options.lanes_per_device = config.limits.lanes_per_device as usize;
    options.request_memory_bytes = config.limits.request_memory.as_usize();
    options
}

/// The named directory, else the usual one if it can be written, else one right here.
fn data_dir(config: &Config) -> PathBuf {
    if let Some(named) = &config.data_dir {
        return named.clone();
    }
    let usual = Path::new(DATA_DIR);
    if std::fs::create_dir_all(usual).is_ok() && is_writable(usual) {
        return usual.to_owned();
    }
    tracing::info!("{DATA_DIR} cannot be written, the data directory is {DATA_DIR_FALLBACK}");
    PathBuf::from(DATA_DIR_FALLBACK)
}

fn is_writable(dir: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Nobody can use a listener that is open to the network while no client can show a certificate.
fn warn_of_closed_doors(config: &Config, addresses: &[(&'static str, SocketAddr)]) {
    let has_ca = config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
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
