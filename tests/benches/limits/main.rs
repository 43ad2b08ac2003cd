//! What many clients at once cost, and what they do to each other.
//! `cargo run --release -p headwater-tests --bin limits -- idle|returning|resumed|stored`

mod agents;
mod idle;
mod live;
mod resumed;
mod stored;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use headwater_tests::broker::Broker;
use headwater_tests::process;

use agents::Fleet;
use live::{Latencies, Pair};

/// Prints figures of README.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Memory and processor time of connections that say nothing
    Idle {
        /// MQTT connections; a tenth as many over Kafka and HTTP
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
    },
    /// Agents that return at once with what they have kept, beside one live publisher
    Returning {
        /// How many
        #[arg(long, default_value_t = 1000)]
        agents: usize,
        /// Batches of 64,000 bytes that each has kept
        #[arg(long, default_value_t = 10)]
        batches: u64,
        /// Repetitions, idle and returning in turn
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Subscriptions with `from`, each with its own topic, and what they make the broker read
    Resumed {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        subscriptions: u64,
        /// Records that have passed
        #[arg(long, default_value_t = 10_000_000)]
        records: u64,
    },
    /// Opening a log with many segments
    Stored {
        /// How many, of 64 MiB each
        #[arg(long, default_value_t = 1600)]
        segments: u64,
        /// Partitions that share them
        #[arg(long, default_value_t = 16)]
        partitions: u32,
    },
}

/// How long the live pair is watched alone.
const ALONE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Idle { connections } => idle::measure(connections),
        What::Stored {
            segments,
            partitions,
        } => stored::measure(segments, partitions),
        What::Returning {
            agents,
            batches,
            rounds,
        } => returning(agents, batches, rounds),
        What::Resumed {
            subscriptions,
            records,
        } => resumed::measure(subscriptions, records),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn returning(agents: usize, batches: u64, rounds: u32) -> Result<(), String> {
    let (mut alone, mut beside) = (Latencies::default(), Latencies::default());
    for round in 0..rounds {
        let broker = Broker::start(&process::node())?;
        let door = broker.process().address("mqtt");
        let pair = Pair::start(door)?;
        std::thread::sleep(ALONE);
        let idle = pair.take();
        let fleet = Fleet { agents, batches };
        let returned = fleet.run(door)?;
        let busy = pair.take();
        say(&format!(
            "round {round}: {:.1} s to take {} MB of {agents} agents; live fan-out alone {idle}; beside them {busy}",
            returned.as_secs_f64(),
            fleet.bytes() / 1_000_000,
        ));
        alone.extend(idle);
        beside.extend(busy);
    }
    say(&format!("all rounds: alone {alone}; beside them {beside}"));
    let ratio = beside.percentile(99).as_secs_f64() / alone.percentile(99).as_secs_f64();
    say(&format!("p99 beside / alone: {ratio:.2}"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn say(line: &str) {
    println!("{line}");
}
