//! Several agents that were offline drain into one broker: what a batch of a real agent costs the
//! broker that checks every record of it, and what an event costs the agent.

use std::time::{Duration, Instant};

use clap::Args;
use headwater_tests::broker::Broker;
use headwater_tests::edge::{Edge, Gateway};
use headwater_tests::load::Load;
use headwater_tests::peers::free_address;
use headwater_tests::process::node;

use crate::figures::{figure, machine, per, rate, say};

/// A drain that makes no progress for so long has failed.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How much to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Agents
    #[arg(long, default_value_t = 4)]
    agents: usize,
    /// Events of each
    #[arg(long, default_value_t = 500_000)]
    events: usize,
}

/// Prints the figures.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let Arguments { agents, events } = *arguments;
    say(&format!(
        "{agents} agents with {events} events of 200 +- 20 bytes each; machine: {}",
        machine()
    ));
    let broker = Broker::start(&node())?;
    let door = broker.process().address("mqtt");
    // They begin with a link that leads nowhere, and get the broker's address at the second start.
    let folders: Vec<_> = (0..agents)
        .map(|_| tempfile::tempdir().map_err(|e| e.to_string()))
        .collect::<Result<_, _>>()?;
    let mut listens = Vec::new();
    say(
        "\nAgents, offline, one after the other, 10 connections with 1,000 in flight, synced before each PUBACK",
    );
    for folder in &folders {
        let listen = free_address()?;
        let edge = Edge::start(Gateway::Agent, folder.path(), listen, free_address()?)?;
        let load = Load {
            connections: 10,
            window: 1_000,
            events,
            seed: u64::from(listen.port()),
        };
        let done = load.run(listen)?;
        figure("events/s", rate(events, done.elapsed));
        figure(
            "agent CPU us/event",
            per(edge.process().cpu().unwrap_or_default(), events),
        );
        listens.push(listen);
    }
    let before = broker.process().cpu().unwrap_or_default();
    let begun = Instant::now();
    let edges: Vec<_> = folders
        .iter()
        .zip(&listens)
        .map(|(folder, listen)| Edge::start(Gateway::Agent, folder.path(), *listen, door))
        .collect::<Result<_, _>>()?;
    drained(&broker, agents * events)?;
    let elapsed = begun.elapsed();
    let cpu = broker
        .process()
        .cpu()
        .unwrap_or_default()
        .saturating_sub(before);
    let of_agents: Duration = edges.iter().filter_map(|edge| edge.process().cpu()).sum();
    let all = agents * events;
    say("\nAll of them drain into one broker at once, from their start");
    figure("events/s", rate(all, elapsed));
    figure("broker CPU us/event", per(cpu, all));
    figure("events/s per core of broker CPU", rate(all, cpu));
    figure("agent CPU us/event", per(of_agents, all));
    Ok(())
}

fn drained(broker: &Broker, events: usize) -> Result<(), String> {
    let expected = u64::try_from(events).unwrap_or(u64::MAX);
    let (mut count, mut progress) = (0, Instant::now());
    while count < expected {
        let now = broker.records("events")?;
        if now > count {
            (count, progress) = (now, Instant::now());
        }
        if progress.elapsed() > GIVE_UP {
            return Err(format!("{count} of {expected} events came"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if count == expected {
        Ok(())
    } else {
        Err(format!("{count} events where {expected} were committed"))
    }
}
