//! A gateway that is offline while events pour in: what it costs in memory, time and bytes.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::http;
use crate::load::Load;
use crate::stack::Stack;

const AGENT_SETTINGS: &str = "[log]\nkeep_acked = \"1h\"\n";

/// What a run saw.
#[derive(Debug)]
pub struct Report {
    /// Events buffered and drained.
    pub events: usize,
    /// How long the sources took to hand them over, each synced before its acknowledgement.
    pub intake: Duration,
    /// Processor time of the agent for that.
    pub intake_cpu: Duration,
    /// Bytes that the agent wrote to the device for that.
    pub intake_written_bytes: u64,
    /// From the start of the agent, all of it buffered, to its ready line.
    pub start: Duration,
    /// From the link's first chance to the last acknowledgement.
    pub drain: Duration,
    /// Processor time of the broker for that.
    pub drain_broker_cpu: Duration,
    /// Peak resident memory of the agent from its start to the end of the drain.
    pub peak_memory_bytes: u64,
    /// Of that, the pages of the program itself, more in a development build than in a release.
    pub program_bytes: u64,
    /// Bytes on the link, both ways, TLS included.
    pub link_bytes: u64,
    /// Bytes of the same events as single QoS 1 publishes with their answers, without TLS.
    pub single_publish_bytes: u64,
}

/// Buffers `events` with the broker out of reach, starts the agent anew, and lets it drain.
///
/// # Errors
/// What went wrong.
pub fn run(program: &Path, events: usize) -> Result<Report, String> {
    let mut stack = Stack::start(program, AGENT_SETTINGS, "")?;
    let mut broker = stack.broker.take().ok_or("No broker")?;
    broker.terminate()?;
    let load = Load {
        connections: 10,
        window: 1_000,
        events,
        seed: 1,
    };
    let intake = load.run(stack.agent().address("mqtt"))?;
    let intake_cpu = stack.agent().cpu().unwrap_or_default();
    let intake_written_bytes = stack.agent().device_written_bytes().unwrap_or(0);
    stack.agent.take().ok_or("No agent")?.terminate()?;

    let begun = Instant::now();
    stack.start_agent()?;
    let start = begun.elapsed();
    let before = stack.to_broker.bytes();
    stack.start_broker()?;
    let broker_cpu = stack.broker().cpu().unwrap_or_default();
    let begun = Instant::now();
    stack.wait_until_drained()?;
    let drain = begun.elapsed();
    let stored =
        http::json(stack.broker().address("http"), "/api/v1/streams/events")?["records"].as_u64();
    if stored != u64::try_from(events).ok() {
        return Err(format!(
            "{events} events committed, {stored:?} in the broker's log"
        ));
    }
    let after = stack.to_broker.bytes();
    Ok(Report {
        events,
        intake: intake.elapsed,
        intake_cpu,
        intake_written_bytes,
        start,
        drain,
        drain_broker_cpu: stack
            .broker()
            .cpu()
            .unwrap_or_default()
            .saturating_sub(broker_cpu),
        peak_memory_bytes: stack.agent().peak_memory_bytes().unwrap_or(u64::MAX),
        program_bytes: stack.agent().program_bytes().unwrap_or(0),
        link_bytes: after.0 + after.1 - before.0 - before.1,
        single_publish_bytes: intake.bytes,
    })
}
