//! Brokers that people use today, beside ours: each found or installed, started alone in a folder
//! of its own with settings that are shown, on a free port.

pub mod kafka;
pub mod mosquitto;
pub mod rumqttd;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net;

use crate::broker::ANY_DISK;
use crate::process::{Process, node};

/// A broker with an MQTT door.
#[derive(Debug, Clone)]
pub enum MqttBroker {
    /// Eclipse Mosquitto of the system, in memory.
    Mosquitto(PathBuf),
    /// rumqttd, in memory.
    Rumqttd(PathBuf),
    /// Ours, everything synced before it is acknowledged.
    Headwater,
}

/// A broker that runs alone. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct Running {
    /// The process; its doors are the listeners `mqtt` and `kafka`, those that it has.
    pub process: Process,
    folder: tempfile::TempDir,
    spawned: Instant,
}

impl Running {
    pub(crate) fn new(process: Process, folder: tempfile::TempDir, spawned: Instant) -> Self {
        Self {
            process,
            folder,
            spawned,
        }
    }

    /// Time since its process was started.
    #[must_use]
    pub fn since_spawn(&self) -> Duration {
        self.spawned.elapsed()
    }

    /// Its settings and data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl MqttBroker {
    /// Ours and those of the others that are here or can be installed; beside them a line for each
    /// that cannot.
    #[must_use]
    pub fn all() -> (Vec<Self>, Vec<String>) {
        let (mut brokers, mut missing) = (Vec::new(), Vec::new());
        match mosquitto::program() {
            Ok(program) => brokers.push(Self::Mosquitto(program)),
            Err(why) => missing.push(format!("mosquitto is left out: {why}")),
        }
        match rumqttd::program() {
            Ok(program) => brokers.push(Self::Rumqttd(program)),
            Err(why) => missing.push(format!("rumqttd is left out: {why}")),
        }
        brokers.push(Self::Headwater);
        (brokers, missing)
    }

    /// What stands at the head of its column.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Mosquitto(program) => mosquitto::version(program),
            Self::Rumqttd(_) => format!("rumqttd {}", rumqttd::VERSION),
            Self::Headwater => "headwater, synced".to_owned(),
        }
    }

    /// Its settings, as they are written to its file.
    #[must_use]
    pub fn settings(&self, port: u16) -> String {
        match self {
            Self::Mosquitto(_) => mosquitto::settings(port),
            Self::Rumqttd(_) => rumqttd::settings(port),
            Self::Headwater => {
                format!(
                    "{ANY_DISK}[listeners]\nmqtt = \"127.0.0.1:{port}\"\nkafka = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n"
                )
            }
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start(&self) -> Result<Running, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let address = free_address()?;
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, self.settings(address.port())).map_err(|e| e.to_string())?;
        let spawned = Instant::now();
        let process = match self {
            Self::Mosquitto(program) => {
                Process::listening(with(program, "-c", &file), "mqtt", address)?
            }
            Self::Rumqttd(program) => {
                let mut command = with(program, "-c", &file);
                command.arg("-q");
                Process::listening(command, "mqtt", address)?
            }
            Self::Headwater => {
                let data = folder.path().join("data").display().to_string();
                let file = file.display().to_string();
                let arguments = ["run", "--config", &file, "--data-dir", &data];
                Process::start(&node(), "broker", &arguments)?
            }
        };
        Ok(Running::new(process, folder, spawned))
    }
}

fn with(program: &Path, option: &str, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(option).arg(file);
    command
}

/// An address that nobody listens on, and that nobody else is given while this process lives: a
/// socket that never listens keeps it from those who take any, and lets those listen who name it.
///
/// # Errors
/// What the system says.
pub fn free_address() -> Result<SocketAddr, String> {
    static KEPT: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
    let reserved = || {
        let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None)?;
        net::sockopt::set_socket_reuseaddr(&socket, true)?;
        net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = SocketAddr::try_from(net::getsockname(&socket)?)?;
        KEPT.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(socket);
        Ok(address)
    };
    reserved().map_err(|error: rustix::io::Errno| error.to_string())
}

/// A program of the system; if it is missing, its Debian package is installed.
///
/// # Errors
/// Why it is not there.
pub fn program(name: &str, package: &str) -> Result<PathBuf, String> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "-qq", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    match install.status() {
        Ok(status) if status.success() => {
            find(name).ok_or_else(|| format!("package {package} has no {name}"))
        }
        Ok(status) => Err(format!("apt-get install {package}: {status}")),
        Err(error) => Err(format!("no {name}, and no apt-get: {error}")),
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|f| f.join(name)).find(|p| p.is_file())
}

/// A folder beside the build's output for what is installed once.
///
/// # Panics
/// If this program has no path.
#[must_use]
pub fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    let target = program.ancestors().nth(2).unwrap_or_else(|| Path::new("."));
    target.join("peers")
}
