//! Hostile sessions against a real broker (`headwater-node`, built beside this program):
//! `cargo build --release -p headwater-tests --bins`, then
//! `cargo run --release -p headwater-tests --bin fuzz-doors -- --seed S --for 10s [--door mqtt|kafka|http]`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use headwater_tests::hostile::{Door, Report, run};
use headwater_tests::process::node;

/// Attacks the broker's doors, by seed, while clients that behave must not notice.
#[derive(Debug, Parser)]
struct Arguments {
    /// Draws everything that is sent
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long, for each seed
    #[arg(long = "for", default_value = "10s", value_parser = seconds)]
    duration: Duration,
    /// Only this door; all in turn without it
    #[arg(long, value_parser = door)]
    door: Option<Door>,
    /// Seeds to try, from `seed` on, each with a new broker
    #[arg(long, default_value_t = 1)]
    seeds: u64,
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let doors = arguments
        .door
        .map_or_else(|| Door::ALL.to_vec(), |door| vec![door]);
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        match run(&node(), seed, arguments.duration, &doors) {
            Ok(report) => println!("ok seed {seed}: {}", said(&report)),
            Err(error) => {
                let door = arguments
                    .door
                    .map_or_else(String::new, |door| format!(" --door {}", door.name()));
                let seconds = arguments.duration.as_secs();
                println!("failed seed {seed}: {error}");
                println!(
                    "again: cargo run --release -p headwater-tests --bin fuzz-doors -- --seed {seed} --for {seconds}s{door}"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn said(report: &Report) -> String {
    let Report {
        sessions,
        plain,
        answers,
        stored,
        memory_bytes,
        log_bytes,
    } = report;
    let (from, to) = (memory_bytes.0 >> 20, memory_bytes.1 >> 20);
    format!(
        "{sessions} sessions, {plain} of them plain, {answers} answers decoded, {stored} records stored and found, memory {from} to {to} MiB, {log_bytes} bytes logged"
    )
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text
        .strip_suffix('s')
        .and_then(|number| number.parse().ok());
    number
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text} is not a number of seconds such as 10s"))
}

fn door(name: &str) -> Result<Door, String> {
    let door = Door::ALL.into_iter().find(|door| door.name() == name);
    door.ok_or_else(|| format!("{name} is not mqtt, kafka or http"))
}
