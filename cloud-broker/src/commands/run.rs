//! `run`: the broker itself, until a signal ends it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, logging};
use crate::config::{Address, Config, Flags, Listeners};
use crate::run::{self, Handle};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the log lies
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What the log is kept in; `file:` is the data directory
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The host that clients are told to connect to
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Listen for MQTT; with any listener named, only those named open
    #[arg(long, value_name = "ADDR")]
    mqtt: Option<Address>,
    /// Listen for MQTT over TLS
    #[arg(long, value_name = "ADDR")]
    mqtts: Option<Address>,
    /// Listen for MQTT over WebSocket
    #[arg(long, value_name = "ADDR")]
    ws: Option<Address>,
    /// Listen for MQTT over WebSocket and TLS
    #[arg(long, value_name = "ADDR")]
    wss: Option<Address>,
    /// Listen for Kafka clients
    #[arg(long, value_name = "ADDR")]
    kafka: Option<Address>,
    /// Listen for Kafka clients over TLS
    #[arg(long, value_name = "ADDR")]
    kafkas: Option<Address>,
    /// Listen for HTTP
    #[arg(long, value_name = "ADDR")]
    http: Option<Address>,
    /// Listen for HTTP over TLS
    #[arg(long, value_name = "ADDR")]
    https: Option<Address>,
}

impl Args {
    fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            store: self.store.clone(),
            advertise: self.advertise.clone(),
            listeners: Listeners {
                mqtt: self.mqtt.clone(),
                mqtts: self.mqtts.clone(),
                ws: self.ws.clone(),
                wss: self.wss.clone(),
                kafka: self.kafka.clone(),
                kafkas: self.kafkas.clone(),
                http: self.http.clone(),
                https: self.https.clone(),
            },
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::load(&args.flags()).map_err(Failure::usage)?;
    logging::start();
    raise_file_limit(config.limits.connections);
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let signals = signals.map_err(Failure::failed)?;
    let received = signals
        .block_on(async { Signals::new() })
        .map_err(Failure::failed)?;
    let handle = run::run(config).map_err(|error| match error.is_configuration() {
        true => Failure::usage(error),
        false => Failure::failed(error),
    })?;
    // If stderr is closed, nobody waits for the line.
    drop(writeln!(std::io::stderr(), "{}", handle.ready_line()));
    let ended = signals.block_on(wait(&handle, received));
    handle.stop();
    ended
}

/// What the process listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Until it is time to stop, or a door has ended by itself.
async fn wait(handle: &Handle, mut signals: Signals) -> Result<(), Failure> {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.hangup.recv() => reload(handle),
            error = handle.failed() => return Err(Failure::failed(error)),
        }
    }
}

fn reload(handle: &Handle) {
    match handle.reload() {
        Ok(()) => tracing::info!("Certificates reloaded"),
        Err(error) => tracing::warn!(%error, "Certificates not reloaded, the old ones stay"),
    }
}

/// As many connections as the system permits; shells usually start programs with 1,024 files.
fn raise_file_limit(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
    if let Err(error) = raised {
        tracing::debug!(%error, "Limit of open files stays");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < u64::from(connections) + OWN_FILES {
        tracing::warn!(
            "limits.connections = {connections} cannot be had: the system permits {files} open \
             files (ulimit -Hn), of which the broker needs {OWN_FILES} for itself"
        );
    }
}

/// Journal, segments, listeners and the like.
const OWN_FILES: u64 = 256;
