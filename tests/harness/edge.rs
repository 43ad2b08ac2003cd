//! What stands between sensors and a broker far away: our agent, or a mosquitto that bridges.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Process, node};

const FILE: &str = "settings.toml";

/// A kind of gateway program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// headwater-agent.
    Agent,
    /// Mosquitto, persistent, with a bridge at QoS 1.
    Bridge {
        /// The program.
        program: PathBuf,
        /// Whether it saves its state at every change; by default, every 30 minutes.
        every_change: bool,
    },
}

/// One gateway with its folder, over restarts.
#[derive(Debug)]
pub struct Edge {
    gateway: Gateway,
    /// Not among the data, so that it outlives a cut.
    settings: tempfile::TempDir,
    listen: SocketAddr,
    process: Option<Process>,
}

impl Gateway {
    /// What stands at the head of its column.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent => "headwater-agent",
            Self::Bridge {
                every_change: false,
                ..
            } => "mosquitto bridge",
            Self::Bridge { .. } => "mosquitto bridge, saving at every change",
        }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self, folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
        let folder = folder.display();
        match self {
            Self::Agent => format!(
                "device = \"edge-{}\"
data_dir = \"{folder}/agent\"
http = \"127.0.0.1:0\"
[log]
max_bytes = \"4GiB\"
[uplink]
url = \"mqtt://{upstream}\"
[[source]]
kind = \"mqtt\"
name = \"local\"
listen = \"{listen}\"
",
                listen.port()
            ),
            Self::Bridge { every_change, .. } => {
                let save = if *every_change {
                    "autosave_on_changes true\nautosave_interval 1\n"
                } else {
                    ""
                };
                format!(
                    "user root
listener {} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
{save}log_type error
sys_interval 0
set_tcp_nodelay true
max_inflight_messages 100
max_queued_messages 0
connection up
address {upstream}
remote_clientid edge
cleansession false
notifications false
try_private false
bridge_protocol_version mqttv311
restart_timeout 1
topic # out 1
",
                    listen.port()
                )
            }
        }
    }
}

impl Edge {
    /// Starts a new one whose files lie in `folder`.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start(
        gateway: Gateway,
        folder: &Path,
        listen: SocketAddr,
        upstream: SocketAddr,
    ) -> Result<Self, String> {
        let settings = tempfile::tempdir().map_err(|e| e.to_string())?;
        let text = gateway.settings(folder, listen, upstream);
        std::fs::write(settings.path().join(FILE), text).map_err(|e| e.to_string())?;
        let mut edge = Self {
            gateway,
            settings,
            listen,
            process: None,
        };
        edge.start_again()?;
        Ok(edge)
    }

    /// Starts it again on its folder.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start_again(&mut self) -> Result<(), String> {
        let file = self.settings.path().join(FILE);
        let process = match &self.gateway {
            Gateway::Agent => {
                let file = file.display().to_string();
                Process::start(&node(), "agent", &["run", "--config", &file])?
            }
            Gateway::Bridge { program, .. } => {
                let mut command = Command::new(program);
                command.arg("-c").arg(&file);
                Process::listening(command, "mqtt", self.listen)?
            }
        };
        self.process = Some(process);
        Ok(())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The running process.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the gateway runs")
    }
}
