//! The agent, as scenarios start it: `headwater-node-agent run …`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    headwater_agent::commands::Command::parse().execute()
}
