//! The agent on the device: sources, the durable log, the uplink.

use std::process::ExitCode;

use clap::Parser;
use headwater_agent::commands::Command;

fn main() -> ExitCode {
    Command::parse().execute()
}
