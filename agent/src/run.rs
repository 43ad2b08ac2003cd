//! The agent as a whole: log, sources, HTTP and uplink, from settings to a clean stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::{Config, DATA_DIR_DEFAULT, Overflow};
use crate::device::{DeviceError, Names};
use crate::http::Http;
use crate::log::{LaneStatus, Log, LogOptions, OpenError};
use crate::sources::{self, Intake, SourceError, Stopping};
use crate::status::{Changes, Link, LinkState, Status};
use crate::uplink;

/// The data directory if the default one cannot be written.
pub const DATA_DIR_FALLBACK: &str = "headwater-data";
/// What the sources may take to answer what they took.
const SOURCES_TIMEOUT: Duration = Duration::from_secs(3);
/// What the uplink may take to send what is left, if it is connected.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
const FLUSH_POLL: Duration = Duration::from_millis(20);
/// What the log may take to finish what waits.
const LOG_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a running agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The first `mqtt` source, if there is one.
    pub mqtt: Option<SocketAddr>,
    /// Status and metrics.
    pub http: SocketAddr,
}

/// Why the agent does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The device's name, or a file that TLS needs: configuration, exit code 2.
    #[error("{0}")]
    Settings(String),
    /// The log does not open.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// A source does not open.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The address of `http` is taken or none of this machine's.
    #[error("http cannot listen on {address}: {reason}")]
    Http {
        /// As configured.
        address: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The system gives no thread or runtime.
    #[error("The agent cannot start: {0}")]
    System(std::io::Error),
}

/// Runs an agent until `stop` resolves, then flushes and ends. `ready` is called once everything
/// listens and the log is open; the link may still be down.
///
/// # Errors
/// What cannot be opened; nothing was taken from a source then.
pub async fn run(
    config: Config,
    ready: impl FnOnce(&Addresses),
    stop: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let (switch, stopping) = Stopping::new();
    let (last_switch, last) = Stopping::new();
    let Started {
        addresses,
        mut tasks,
        mut intake_tasks,
        log,
        link,
    } = start(config, &stopping, &last).await?;
    ready(&addresses);
    stop.await;
    tracing::info!("The agent stops");
    // Whoever is not listening any more has ended by itself.
    let _told = switch.send(true);
    if timeout(SOURCES_TIMEOUT, drain(&mut intake_tasks))
        .await
        .is_err()
    {
        tracing::warn!("A source did not end in time");
    }
    drop(intake_tasks);
    if timeout(FLUSH_TIMEOUT, flush(&log, &link)).await.is_err() {
        tracing::info!("Not everything could be sent in time; it is safe in the log");
    }
    let _told = last_switch.send(true);
    drain(&mut tasks).await;
    if timeout(LOG_TIMEOUT, log.stop()).await.is_err() {
        tracing::error!("The log did not stop in time; what was acknowledged is safe");
    }
    Ok(())
}

struct Started {
    addresses: Addresses,
    /// Uplink and HTTP.
    tasks: JoinSet<()>,
    intake_tasks: JoinSet<()>,
    log: Log,
    link: Link,
}

/// Waits until everything is acknowledged, or the link is down and nothing will be.
async fn flush(log: &Log, link: &Link) {
    let behind = |lanes: &[LaneStatus]| {
        lanes
            .iter()
            .any(|lane| lane.held.is_none() && lane.events > 0)
    };
    while link.view().state == LinkState::Up && behind(&log.status().await.lanes) {
        sleep(FLUSH_POLL).await;
    }
}

/// Sources end with `stopping`; uplink and HTTP go on until `last`.
async fn start(config: Config, stopping: &Stopping, last: &Stopping) -> Result<Started, RunError> {
    let settings = |error: &dyn std::fmt::Display| RunError::Settings(error.to_string());
    let names = names(&config).map_err(|error| settings(&error))?;
    let device = names.device().map_err(|error| settings(&error))?;
    // Client id and status name this process by the same digits.
    let boot = crate::status::boot_id();
    let (log, dir) = open_log(&config, device).await?;
    let contradiction = names.contradiction(log.device());
    let options =
        uplink::Options::new(&config, log.device(), &boot).map_err(|error| settings(&error))?;
    if options
        .urls
        .iter()
        .any(|url| url.scheme == crate::config::Scheme::Mqtts)
    {
        uplink::check_tls(&options.files).map_err(|error| settings(&error))?;
    }
    tracing::info!(device = log.device(), dir = %dir.display(), "The log is open");

    let link = Link::new();
    let changes = Changes::default();
    let mut intakes = Vec::new();
    let mut intake_tasks = JoinSet::new();
    let mut mqtt = None;
    for source in &config.source {
        let intake = Intake::new(source, log.clone(), changes.clone(), stopping.clone())?;
        let opened = sources::open(source, intake.clone()).await?;
        mqtt = mqtt.or_else(|| opened.listen.filter(|_| source.kind == "mqtt"));
        intakes.push(intake);
        intake_tasks.spawn(opened.task);
    }
    let failed = |reason| RunError::Http {
        address: config.http.clone(),
        reason,
    };
    let http = Http::bind(&config.http).await.map_err(failed)?;
    let addresses = Addresses {
        mqtt,
        http: http.local_addr().map_err(failed)?,
    };

    let status = Status::new(log.clone(), boot, intakes, link.clone(), changes);
    let mut tasks = JoinSet::new();
    let mut until = last.clone();
    let served = http.run(status.clone());
    tasks.spawn(async move {
        tokio::select! { () = until.wait() => {}, () = served => {} }
    });
    tasks.spawn(uplink::run(
        options,
        contradiction,
        log.clone(),
        link.clone(),
        status,
        last.clone(),
    ));
    Ok(Started {
        addresses,
        tasks,
        intake_tasks,
        log,
        link,
    })
}

/// The names that the settings give to this device.
///
/// # Errors
/// A certificate that cannot be read.
pub fn names(config: &Config) -> Result<Names, DeviceError> {
    let uplink = &config.uplink;
    Names::collect(
        config.device.as_deref(),
        uplink.cert.as_deref(),
        uplink.user.as_deref(),
    )
}

/// Opening reads and repairs files: on a thread of its own, so that nothing else waits.
async fn open_log(config: &Config, device: String) -> Result<(Log, PathBuf), RunError> {
    let dir = data_dir(config.data_dir.as_deref());
    let mut options = LogOptions::new(&dir, device);
    options.max_bytes = config.log.max_bytes.0;
    options.drop_oldest = config.log.overflow == Overflow::DropOldest;
    options.commit_interval = config.log.commit_interval.duration();
    options.batch_bytes = usize::try_from(config.log.batch_bytes).unwrap_or(usize::MAX);
    options.batch_age = config.log.batch_age.duration();
    options.zstd_level = config.log.zstd_level;
    options.keep_acked = config.log.keep_acked.duration();
    let opened = tokio::task::spawn_blocking(move || Log::open(options)).await;
    let log = opened.map_err(|error| RunError::System(std::io::Error::other(error)))??;
    Ok((log, dir))
}

/// The data directory: as configured, else the default one, else, if that cannot be written,
/// `./headwater-data`.
pub fn data_dir(configured: Option<&Path>) -> PathBuf {
    if let Some(dir) = configured {
        return dir.to_owned();
    }
    let default = PathBuf::from(DATA_DIR_DEFAULT);
    if is_writable(&default) {
        return default;
    }
    let fallback = PathBuf::from(DATA_DIR_FALLBACK);
    tracing::warn!(
        "{} cannot be written, the log lies in ./{}",
        default.display(),
        fallback.display()
    );
    fallback
}

/// Whether the log could be made or continued there; makes nothing.
fn is_writable(dir: &Path) -> bool {
    let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let there = dir.ancestors().find(|ancestor| ancestor.exists());
    there.is_some_and(|there| there.is_dir() && rustix::fs::access(there, wanted).is_ok())
}

async fn drain(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// An agent on a thread of its own, for programs that have other work.
#[derive(Debug)]
pub struct Agent {
    addresses: Addresses,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<(), RunError>>>,
}

impl Agent {
    /// Starts an agent; returns once it is ready.
    ///
    /// # Errors
    /// What cannot be opened.
    pub fn start(config: Config) -> Result<Self, RunError> {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("agent".to_owned())
            .spawn(move || {
                let tell = |addresses: &Addresses| {
                    // Whoever started it waits for this.
                    let _waits = ready.send(addresses.clone());
                };
                let until = async {
                    // An agent that was dropped stops too.
                    let _either = stopped.await;
                };
                block_on(run(config, tell, until))
            })
            .map_err(RunError::System)?;
        match is_ready.recv() {
            Ok(addresses) => Ok(Self {
                addresses,
                stop: Some(stop),
                thread: Some(thread),
            }),
            Err(_) => Err(join(thread).err().unwrap_or_else(|| {
                RunError::System(std::io::Error::other("it ended before it was ready"))
            })),
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops it: sources answered, log flushed.
    ///
    /// # Errors
    /// What went wrong while it ran.
    pub fn stop(mut self) -> Result<(), RunError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), RunError> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), join)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Only `stop` tells what went wrong.
        let _untold = self.end();
    }
}

/// Runs `work` on a new single-threaded runtime.
///
/// # Errors
/// Those of `work`, and a system that gives no runtime.
pub fn block_on(work: impl Future<Output = Result<(), RunError>>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(RunError::System)?;
    let outcome = runtime.block_on(work);
    // A reading that hangs in the kernel must not hold the process.
    runtime.shutdown_background();
    outcome
}

fn join(thread: std::thread::JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
    let panicked = |_| {
        Err(RunError::System(std::io::Error::other(
            "The agent panicked",
        )))
    };
    thread.join().unwrap_or_else(panicked)
}

#[cfg(test)]
mod tests;
