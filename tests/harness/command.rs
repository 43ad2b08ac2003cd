//! A command of the broker's program, run against a broker that runs.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use crate::process::GIVE_UP;

/// What a command that has ended said.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit code, nothing if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `headwater-broker arguments… --url http://web` with `input`, until it ends.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run(program: &Path, web: SocketAddr, arguments: &[&str], input: &[u8]) -> Said {
    let mut child = command(program, web, arguments)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // It may end before it has read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it does not panic");
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A command that goes on until it has been told enough.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its standard input.
    pub input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: &Path, web: SocketAddr, arguments: &[&str]) -> Self {
        let mut child = command(program, web, arguments)
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let out: ChildStdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    /// The next line that it prints; nothing once it has ended.
    ///
    /// # Panics
    /// If it prints nothing for too long.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(GIVE_UP) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("It prints nothing"),
        }
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; its exit code.
    ///
    /// # Panics
    /// If the system forgets it.
    #[must_use]
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("it was started").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn command(program: &Path, web: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .arg("broker")
        .args(arguments)
        .args(["--url", &format!("http://{web}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}
