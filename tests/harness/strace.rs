//! strace on a running process: the n-th sync from now on kills it before it runs, or fails.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::process::Process;

/// An attached strace. Dropping it ends it; the process goes on without it.
#[derive(Debug)]
pub struct Strace {
    child: Child,
}

impl Strace {
    /// Attaches to all threads of `process`; `inject` is what happens to `fdatasync` (see
    /// strace(1), `-e inject`). `None` if strace is not installed or may not attach.
    #[must_use]
    pub fn attach(process: &Process, inject: &str) -> Option<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"])
            .arg(format!("inject=fdatasync:{inject}"))
            .args(["-p", &process.id().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let stderr = BufReader::new(child.stderr.take()?);
        let mut lines = stderr.lines().map_while(Result::ok);
        let attached = lines.any(|line| line.contains("attached") && !line.contains("failed"));
        // What else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let strace = Self { child };
        attached.then_some(strace)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _already_gone = rustix::process::kill_process(pid, Signal::KILL);
        }
        let _status = self.child.wait();
    }
}
