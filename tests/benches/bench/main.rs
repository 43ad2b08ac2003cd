//! What headwater costs on this machine, alone and beside what people use today: every figure of
//! ours with its sync. `cargo run --release -p headwater-tests --bin bench [-- COMMAND]`

mod agents;
mod backlog;
mod bridge;
mod figures;
mod peers_kafka;
mod peers_mqtt;
mod thread;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use figures::say;

/// Prints the figures of README, or compares with others.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of each measurement of the thread from sensor to consumer
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Several agents that drain into one broker
    Agents(agents::Arguments),
    /// An agent with 10 GB of backlog: its start, its memory
    Backlog(backlog::Arguments),
    /// Our agent beside a mosquitto that bridges: what is lost, and what an event costs
    Bridge(bridge::Arguments),
    /// Beside mosquitto and rumqttd in memory, one client program for all
    PeersMqtt(peers_mqtt::Arguments),
    /// Beside Apache Kafka, with its defaults and synced, one librdkafka client for all
    PeersKafka(peers_kafka::Arguments),
}

fn main() -> ExitCode {
    let Arguments { events, what } = Arguments::parse();
    let result = match what {
        None => thread::measure(events),
        Some(What::Agents(arguments)) => agents::measure(&arguments),
        Some(What::Backlog(arguments)) => backlog::measure(&arguments),
        Some(What::Bridge(arguments)) => bridge::measure(&arguments),
        Some(What::PeersMqtt(arguments)) => peers_mqtt::measure(&arguments),
        Some(What::PeersKafka(arguments)) => peers_kafka::measure(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
