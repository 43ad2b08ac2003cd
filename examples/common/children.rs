//! Broker and agent as child processes of an example. The example's own program plays both
//! roles, so that one `cargo run` is all it takes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clap::Parser;

const AS_BROKER: &str = "as-broker";
const AS_AGENT: &str = "as-agent";
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// If this process was started as a child, runs that role and gives its exit code. The first
/// thing that an example's `main` asks.
#[must_use]
pub fn play_role() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    let role = arguments.next()?;
    let rest = std::iter::once(program).chain(arguments);
    match role.to_str()? {
        AS_BROKER => Some(headwater_broker::commands::cli(rest)),
        AS_AGENT => Some(headwater_agent::commands::Command::parse_from(rest).execute()),
        _ => None,
    }
}

/// A child that got ready. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    process: std::process::Child,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Child {
    /// Starts a broker with `arguments` and waits for its ready line.
    ///
    /// # Errors
    /// If it does not get ready; it said on stderr why.
    pub fn broker<A: AsRef<OsStr>>(arguments: &[A]) -> Result<Self, String> {
        Self::start("broker", AS_BROKER, arguments)
    }

    /// Starts an agent with `arguments` and waits for its ready line.
    ///
    /// # Errors
    /// If it does not get ready; it said on stderr why.
    pub fn agent<A: AsRef<OsStr>>(arguments: &[A]) -> Result<Self, String> {
        Self::start("agent", AS_AGENT, arguments)
    }

    /// Runs a command of the broker to its end, `cert ca …` for one.
    ///
    /// # Errors
    /// If it fails; it said on stderr why.
    pub fn run_broker_command<A: AsRef<OsStr>>(arguments: &[A]) -> Result<(), String> {
        let status = command(AS_BROKER, arguments)?
            .status()
            .map_err(|e| e.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("The command ended with {status}"))
        }
    }

    /// Address of the listener `name`.
    ///
    /// # Errors
    /// If the child has no such listener.
    pub fn address(&self, name: &str) -> Result<SocketAddr, String> {
        self.listeners
            .get(name)
            .copied()
            .ok_or_else(|| format!("The {} has no listener {name}", self.name))
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    /// If it ends with anything but 0.
    pub fn stop(mut self) -> Result<(), String> {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _already_gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let status = self.process.wait().map_err(|e| e.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("The {} ended with {status}", self.name))
        }
    }

    /// The exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    fn start<A: AsRef<OsStr>>(
        name: &'static str,
        role: &str,
        arguments: &[A],
    ) -> Result<Self, String> {
        let mut command = command(role, arguments)?;
        // A group of its own: Ctrl-C is for the example, which then stops its children in order.
        command.stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().map_err(|e| e.to_string())?;
        let stderr = process.stderr.take().ok_or("No stderr")?;
        let ready = pass_log_on(BufReader::new(stderr));
        let mut child = Self {
            name,
            process,
            listeners: BTreeMap::new(),
        };
        let line = ready
            .recv_timeout(READY_TIMEOUT)
            .map_err(|_| format!("The {name} did not get ready"))?;
        child.listeners = parse_ready(&line)?;
        Ok(child)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _status = self.process.wait();
    }
}

fn command<A: AsRef<OsStr>>(role: &str, arguments: &[A]) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command
        .arg(role)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// Gives the ready line, and passes everything else on to stderr.
fn pass_log_on(stderr: impl BufRead + Send + 'static) -> Receiver<String> {
    let (ready, receiver) = channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if line.starts_with("ready ") {
                let _example_gone = ready.send(line);
            } else {
                let _stderr_closed = writeln!(std::io::stderr(), "{line}");
            }
        }
    });
    receiver
}

/// `ready mqtt=127.0.0.1:1883 kafka=…` as a map.
fn parse_ready(line: &str) -> Result<BTreeMap<String, SocketAddr>, String> {
    let pair = |word: &str| {
        let (name, address) = word.split_once('=')?;
        Some((name.to_owned(), address.parse().ok()?))
    };
    let pairs = line.split_whitespace().skip(1).map(pair);
    pairs
        .collect::<Option<_>>()
        .ok_or_else(|| format!("Not a ready line: {line}"))
}
