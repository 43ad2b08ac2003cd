//! A broker and an agent in a folder of their own, TLS with a device certificate between them,
//! a proxy before each, and restarts that keep everything but the process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::broker::ANY_DISK;
use crate::http;
use crate::process::{GIVE_UP, Process, run_to_end};
use crate::proxy::Proxy;

/// An address at which nobody listens.
pub const NOWHERE: &str = "127.0.0.1:9";

/// Both processes and all that lies between them.
#[derive(Debug)]
pub struct Stack {
    /// Program that is both broker and agent.
    pub program: PathBuf,
    /// Certificates, settings and both data directories.
    pub folder: tempfile::TempDir,
    /// The running broker.
    pub broker: Option<Process>,
    /// The running agent.
    pub agent: Option<Process>,
    /// Between sources and agent.
    pub to_agent: Proxy,
    /// Between agent and broker.
    pub to_broker: Proxy,
}

impl Stack {
    /// Makes certificates and settings and starts both. `agent_settings` and `broker_settings`
    /// are put before the tables of the settings files.
    ///
    /// # Errors
    /// What the process that did not start wrote.
    pub fn start(
        program: &Path,
        agent_settings: &str,
        broker_settings: &str,
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let nowhere = NOWHERE.parse().map_err(|e| format!("{NOWHERE}: {e}"))?;
        let (to_agent, to_broker) = (Proxy::new(nowhere), Proxy::new(nowhere));
        let mut stack = Self {
            program: program.to_owned(),
            folder,
            broker: None,
            agent: None,
            to_agent,
            to_broker,
        };
        stack.make_certificates()?;
        stack
            .write_settings(agent_settings, broker_settings)
            .map_err(|e| e.to_string())?;
        stack.start_broker()?;
        stack.start_agent()?;
        Ok(stack)
    }

    /// A path in the stack's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the broker (again) and leads the agent's link to it.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start_broker(&mut self) -> Result<(), String> {
        let settings = self.path("broker.toml").display().to_string();
        let broker = Process::start(&self.program, "broker", &["run", "--config", &settings])?;
        self.to_broker.point_to(broker.address("mqtts"));
        self.broker = Some(broker);
        Ok(())
    }

    /// Starts the agent (again) and leads its sources to it.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start_agent(&mut self) -> Result<(), String> {
        let settings = self.path("agent.toml").display().to_string();
        let agent = Process::start(&self.program, "agent", &["run", "--config", &settings])?;
        self.to_agent.point_to(agent.address("mqtt"));
        self.agent = Some(agent);
        Ok(())
    }

    /// The running broker.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn broker(&self) -> &Process {
        self.broker.as_ref().expect("the broker runs")
    }

    /// The running agent.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn agent(&self) -> &Process {
        self.agent.as_ref().expect("the agent runs")
    }

    /// Waits until the agent has nothing left that the broker has not acknowledged.
    ///
    /// # Errors
    /// The agent's last status, if it does not drain before the scenario gives up.
    pub fn wait_until_drained(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let status = http::json(self.agent().address("http"), "/status")?;
            let lanes = status["lanes"].as_array().ok_or("No lanes")?;
            let behind = lanes.iter().any(|lane| lane["events"].as_u64() != Some(0));
            if !behind && !lanes.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > GIVE_UP {
                return Err(format!("Does not drain: {status}\n{}", self.agent().log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn make_certificates(&self) -> Result<(), String> {
        let folder = self.folder.path().display().to_string();
        for words in [
            &["cert", "ca", "--dir", &folder][..],
            &[
                "cert",
                "server",
                "--dir",
                &folder,
                "--host",
                "127.0.0.1",
                "--host",
                "localhost",
            ],
            &["cert", "device", "gw-1", "--dir", &folder],
        ] {
            let (code, log) = run_to_end(&self.program, "broker", words)?;
            if code != Some(0) {
                return Err(format!("{words:?}: {log}"));
            }
        }
        Ok(())
    }

    fn write_settings(&self, agent: &str, broker: &str) -> std::io::Result<()> {
        let folder = self.folder.path().display();
        let to_broker = self.to_broker.address();
        std::fs::write(
            self.path("broker.toml"),
            format!(
                r#"data_dir = "{folder}/broker"
{ANY_DISK}{broker}
[listeners]
mqtt = "127.0.0.1:0"
mqtts = "127.0.0.1:0"
kafka = "127.0.0.1:0"
http = "127.0.0.1:0"
[tls]
cert = "{folder}/server.pem"
key = "{folder}/server.key"
client_ca = "{folder}/ca.pem"
"#
            ),
        )?;
        std::fs::write(
            self.path("agent.toml"),
            format!(
                r#"data_dir = "{folder}/agent"
http = "127.0.0.1:0"
[uplink]
url = "mqtts://{to_broker}"
ca = "{folder}/ca.pem"
cert = "{folder}/gw-1.pem"
key = "{folder}/gw-1.key"
[[source]]
kind = "mqtt"
name = "local"
listen = "127.0.0.1:0"
{agent}
"#
            ),
        )
    }
}
