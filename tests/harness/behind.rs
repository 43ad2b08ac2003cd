//! An agent with a large backlog: what its start, its intake and its sending cost.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::backlog::{self, Backlog, DEVICE, STREAM};
use crate::broker::Broker;
use crate::load::Load;
use crate::process::Process;
use crate::stack::NOWHERE;

/// A drain that makes no progress for so long has failed.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Peak resident memory.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// All of it, bytes.
    pub peak_bytes: u64,
    /// Of that, the pages of the program itself, more in a development build than in a release.
    pub program_bytes: u64,
}

/// What a run saw.
#[derive(Debug)]
pub struct Report {
    /// What lay in the log.
    pub backlog: Backlog,
    /// From the start of the agent to its ready line.
    pub start: Duration,
    /// Once it was ready.
    pub memory_at_start: Memory,
    /// Once it had taken more, the broker out of reach.
    pub memory_after_intake: Memory,
    /// Of another process on the same log: once all of it was sent.
    pub memory_after_drain: Memory,
    /// From the start of that to the last event at the broker.
    pub drain: Duration,
    /// Events that the broker has then.
    pub stored: u64,
}

/// Makes a log of `bytes`, starts an agent on it, lets it take `more` events, starts another that
/// reaches a broker, and waits until that has what it should have.
///
/// # Errors
/// What went wrong.
pub fn run(program: &Path, bytes: u64, more: usize) -> Result<Report, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let backlog = backlog::make(&folder.path().join("data"), bytes)?;
    let nowhere = NOWHERE.parse().map_err(|e| format!("{NOWHERE}: {e}"))?;
    let begun = Instant::now();
    let mut agent = start(program, folder.path(), nowhere)?;
    let start_elapsed = begun.elapsed();
    let memory_at_start = memory(&agent);
    let load = Load {
        connections: 10,
        window: 1_000,
        events: more,
        seed: 1,
    };
    load.run(agent.address("mqtt"))?;
    let memory_after_intake = memory(&agent);
    agent.terminate()?;

    let broker = Broker::start(program)?;
    let begun = Instant::now();
    let agent = start(program, folder.path(), broker.process().address("mqtt"))?;
    let stored = stored(&broker, backlog.events + more)?;
    Ok(Report {
        backlog,
        start: start_elapsed,
        memory_at_start,
        memory_after_intake,
        memory_after_drain: memory(&agent),
        drain: begun.elapsed(),
        stored,
    })
}

fn start(program: &Path, folder: &Path, upstream: SocketAddr) -> Result<Process, String> {
    let data = folder.join("data");
    let text = format!(
        "device = \"{DEVICE}\"\ndata_dir = \"{}\"\nhttp = \"127.0.0.1:0\"\n[log]\nmax_bytes = \"16GiB\"\n\
         [uplink]\nurl = \"mqtt://{upstream}\"\n[[source]]\nkind = \"mqtt\"\nlisten = \"127.0.0.1:0\"\n",
        data.display()
    );
    let settings = folder.join("agent.toml");
    std::fs::write(&settings, text).map_err(|e| e.to_string())?;
    let settings = settings.display().to_string();
    Process::start(program, "agent", &["run", "--config", &settings])
}

fn memory(agent: &Process) -> Memory {
    Memory {
        peak_bytes: agent.peak_memory_bytes().unwrap_or(u64::MAX),
        program_bytes: agent.program_bytes().unwrap_or(0),
    }
}

/// Waits until the broker has `expected` events, or nothing more comes.
fn stored(broker: &Broker, expected: usize) -> Result<u64, String> {
    let expected = u64::try_from(expected).map_err(|e| e.to_string())?;
    let (mut count, mut progress) = (0, Instant::now());
    while count < expected && progress.elapsed() < GIVE_UP {
        std::thread::sleep(Duration::from_millis(5));
        let now = broker.records(STREAM).unwrap_or(0);
        if now > count {
            (count, progress) = (now, Instant::now());
        }
    }
    Ok(count)
}
