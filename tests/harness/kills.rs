//! Broker, agent or both are killed while sources publish, each time with something in flight at
//! both hops: committed by the next step, and not yet acknowledged to the one before.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::oracle::{self, Verdict};
use crate::process::GIVE_UP;
use crate::rng::Rng;
use crate::source::{Ledger, Source};
use crate::stack::Stack;

/// Sources that publish at once.
const SOURCES: u64 = 3;
/// Events that must get through between two kills.
const EVENTS_BETWEEN_KILLS: usize = 300;
const HOLD_TIMEOUT: Duration = Duration::from_secs(5);
/// Closes batches early, so that both hops always have something to do.
const AGENT_SETTINGS: &str = "[log]\nbatch_age = \"20ms\"\nkeep_acked = \"1h\"\n";

/// What a run saw.
#[derive(Debug)]
pub struct Report {
    /// Kills done.
    pub kills: u32,
    /// Kills that found something in flight between sources and agent, and between agent and broker.
    pub in_flight: (u32, u32),
    /// Events a second while all ran, over the time between kills.
    pub events_per_s: u64,
    /// What the books say at the end.
    pub verdict: Verdict,
}

/// Runs `kills` kills drawn from `seed` against processes of `program`.
///
/// # Errors
/// What went wrong: a process that does not come back, a backlog that does not drain, or an
/// event that is lost, doubled or out of order.
pub fn run(program: &Path, seed: u64, kills: u32) -> Result<Report, String> {
    let mut rng = Rng::new(seed);
    let mut stack = Stack::start(program, AGENT_SETTINGS, "")?;
    let start = |n| Source::start(&format!("source-{n}"), stack.to_agent.address(), seed ^ n);
    let sources: Vec<Source> = (1..=SOURCES).map(start).collect();
    let mut in_flight = (0, 0);
    let (mut events, mut time) = (0, Duration::ZERO);
    for _ in 0..kills {
        let begun = Instant::now();
        events += wait_for_events(&sources)?;
        time += begun.elapsed();
        stack.to_broker.hold_answers();
        in_flight.1 += u32::from(stack.to_broker.wait_for_held(HOLD_TIMEOUT));
        stack.to_agent.hold_answers();
        in_flight.0 += u32::from(stack.to_agent.wait_for_held(HOLD_TIMEOUT));
        kill_and_restart(&mut stack, rng.below(3))?;
    }
    let topics: Vec<String> = sources.iter().map(|source| source.topic.clone()).collect();
    let ledgers: Vec<Ledger> = sources.into_iter().map(Source::finish).collect();
    stack.wait_until_drained()?;
    let verdict = oracle::judge(&mut stack, "events", &topics, &ledgers)?;
    let events_per_s = u64::try_from(events).unwrap_or(0) * 1_000
        / u64::try_from(time.as_millis()).unwrap_or(1).max(1);
    Ok(Report {
        kills,
        in_flight,
        events_per_s,
        verdict,
    })
}

fn acked(sources: &[Source]) -> usize {
    sources.iter().map(Source::acked).sum()
}

fn wait_for_events(sources: &[Source]) -> Result<usize, String> {
    let (begun, first) = (Instant::now(), acked(sources));
    while acked(sources) < first + EVENTS_BETWEEN_KILLS {
        if begun.elapsed() > GIVE_UP {
            return Err("No events get through".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(acked(sources) - first)
}

fn kill_and_restart(stack: &mut Stack, what: u64) -> Result<(), String> {
    let (broker, agent) = (what != 1, what != 0);
    if broker {
        stack
            .broker
            .take()
            .into_iter()
            .for_each(|mut process| process.kill());
    }
    if agent {
        stack
            .agent
            .take()
            .into_iter()
            .for_each(|mut process| process.kill());
    }
    stack.to_broker.cut();
    stack.to_agent.cut();
    if broker {
        stack.start_broker()?;
    }
    if agent {
        stack.start_agent()?;
    }
    Ok(())
}
