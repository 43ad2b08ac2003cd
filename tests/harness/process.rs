//! Brokers and agents as real processes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a process may take to get ready or to end before a scenario gives up.
pub const GIVE_UP: Duration = Duration::from_secs(30);

/// A running broker or agent. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    listeners: BTreeMap<String, SocketAddr>,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `program role arguments…` and waits for its ready line.
    ///
    /// # Errors
    /// What the process wrote to stderr, if it ended or did not get ready in time.
    pub fn start(program: &Path, role: &str, arguments: &[&str]) -> Result<Self, String> {
        let mut command = command(program, role);
        command.args(arguments);
        Self::spawn(command)
    }

    /// As [`Process::start`], for a command that the scenario made itself (under strace, say).
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn spawn(mut command: Command) -> Result<Self, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let stderr = child.stderr.take().ok_or("No stderr")?;
        let log = Arc::new(Mutex::new(String::new()));
        let ready = read_log(BufReader::new(stderr), Arc::clone(&log));
        let mut process = Self {
            child,
            listeners: BTreeMap::new(),
            log,
        };
        match ready.recv_timeout(GIVE_UP) {
            Ok(line) => process.listeners = parse_ready(&line)?,
            Err(_) => return Err(process.into_log()),
        }
        Ok(process)
    }

    /// Starts a program that says nothing when it is ready: waits until `address`, which is then
    /// its listener `name`, takes a connection.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn listening(
        mut command: Command,
        name: &str,
        address: SocketAddr,
    ) -> Result<Self, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let stderr = child.stderr.take().ok_or("No stderr")?;
        let log = Arc::new(Mutex::new(String::new()));
        drop(read_log(BufReader::new(stderr), Arc::clone(&log)));
        let mut process = Self {
            child,
            listeners: BTreeMap::from([(name.to_owned(), address)]),
            log,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = process.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || begun.elapsed() > GIVE_UP {
                return Err(process.into_log());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(process)
    }

    /// Address of the listener `name`.
    ///
    /// # Panics
    /// If the process has no such listener.
    #[must_use]
    pub fn address(&self, name: &str) -> SocketAddr {
        *self
            .listeners
            .get(name)
            .unwrap_or_else(|| panic!("No listener {name} in {:?}", self.listeners))
    }

    /// All that was written to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the reader does not panic").clone()
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL and waits.
    pub fn kill(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }

    /// Sends `signal` by its number.
    pub fn signal(&self, signal: rustix::process::Signal) {
        if let Some(pid) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _already_gone = rustix::process::kill_process(pid, signal);
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// If it does not end before the scenario gives up.
    pub fn terminate(&mut self) -> Result<ExitStatus, String> {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If it does not end before the scenario gives up.
    pub fn wait(&mut self) -> Result<ExitStatus, String> {
        let begun = Instant::now();
        while begun.elapsed() < GIVE_UP {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!(
            "Process {} does not end:\n{}",
            self.id(),
            self.log()
        ))
    }

    /// Peak resident memory so far, in bytes.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.memory_bytes("VmHWM:")
    }

    /// Pages of the program itself and its libraries that are resident now, in bytes.
    #[must_use]
    pub fn program_bytes(&self) -> Option<u64> {
        self.memory_bytes("RssFile:")
    }

    /// Resident memory now, in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        self.memory_bytes("VmRSS:")
    }

    fn memory_bytes(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|l| l.starts_with(field))?;
        line.split_whitespace()
            .nth(1)?
            .parse::<u64>()
            .ok()
            .map(|kib| kib * 1024)
    }

    /// Processor time so far, user and system, all threads.
    #[must_use]
    pub fn cpu(&self) -> Option<Duration> {
        /// `USER_HZ`, the unit of `/proc/<pid>/stat`, is 100 on every Linux that Rust supports.
        const TICK_MS: u64 = 10;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).ok()?;
        // The second field, the name in brackets, may hold spaces; the 14th and 15th are times.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * TICK_MS))
    }

    /// Bytes that it caused to be written to the device so far.
    #[must_use]
    pub fn device_written_bytes(&self) -> Option<u64> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.id())).ok()?;
        io.lines()
            .find_map(|line| line.strip_prefix("write_bytes: "))?
            .parse()
            .ok()
    }

    fn into_log(mut self) -> String {
        self.kill();
        self.log()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program that is expected to end by itself; gives exit code and stderr.
///
/// # Errors
/// If it cannot be started or does not end.
pub fn run_to_end(
    program: &Path,
    role: &str,
    arguments: &[&str],
) -> Result<(Option<i32>, String), String> {
    let mut command = command(program, role);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let log = Arc::new(Mutex::new(String::new()));
    let stderr = child.stderr.take().ok_or("No stderr")?;
    let ready = read_log(BufReader::new(stderr), Arc::clone(&log));
    let mut process = Process {
        child,
        listeners: BTreeMap::new(),
        log,
    };
    let status = process.wait()?;
    // The channel closes when stderr does, so the log is whole from here on.
    while ready.recv_timeout(GIVE_UP).is_ok() {}
    Ok((status.code(), process.log()))
}

fn read_log(stderr: impl BufRead + Send + 'static, log: Arc<Mutex<String>>) -> Receiver<String> {
    let (ready, receiver) = channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if line.starts_with("ready ") {
                let _scenario_gone = ready.send(line.clone());
            }
            let mut log = log.lock().expect("no holder panics");
            log.push_str(&line);
            log.push('\n');
        }
    });
    receiver
}

/// `ready mqtt=127.0.0.1:1883 kafka=…` as a map.
fn parse_ready(line: &str) -> Result<BTreeMap<String, SocketAddr>, String> {
    let pair = |word: &str| {
        let (name, address) = word
            .split_once('=')
            .ok_or_else(|| format!("Bad ready line: {line}"))?;
        let address = address.parse().map_err(|e| format!("{word}: {e}"))?;
        Ok((name.to_owned(), address))
    };
    line.split_whitespace().skip(1).map(pair).collect()
}

/// The program of `role`. The agent is one of its own: its memory is measured, and the broker's
/// code would count.
fn command(program: &Path, role: &str) -> Command {
    if role == "agent" {
        return Command::new(program.with_file_name("headwater-node-agent"));
    }
    let mut command = Command::new(program);
    command.arg(role);
    command
}

/// `headwater-node`, built beside the program that asks.
///
/// # Panics
/// If this program has no path.
#[must_use]
pub fn node() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    program.with_file_name("headwater-node")
}
