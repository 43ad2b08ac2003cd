//! The kill scenario, as long as you like: `--bin kills -- --seed 1 --kills 50`.

use std::process::ExitCode;

use clap::Parser;
use headwater_tests::{kills, process};

/// Kills broker, agent or both under load and judges what is left.
#[derive(Debug, Parser)]
struct Arguments {
    /// Draws which process each kill hits
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Kills to do
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Kills that must find something in flight at each hop
    #[arg(long, default_value_t = 40)]
    in_flight_min: u32,
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn main() -> ExitCode {
    let Arguments {
        seed,
        kills,
        in_flight_min,
    } = Arguments::parse();
    match kills::run(&process::node(), seed, kills) {
        Ok(report) => {
            let enough = report.in_flight.0.min(report.in_flight.1) >= in_flight_min.min(kills);
            println!(
                "{} seed {seed}: {report:#?}",
                if enough {
                    "ok"
                } else {
                    "failed: too little in flight,"
                }
            );
            ExitCode::from(u8::from(!enough))
        }
        Err(error) => {
            println!("failed seed {seed}: {error}");
            ExitCode::FAILURE
        }
    }
}
