//! Broker and agent behind one name: `headwater-node broker run …`, `headwater-node agent run …`.
//! Scenarios start this program, which Cargo builds for them, as their real processes.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let role = arguments.next().unwrap_or_default();
    let rest = std::iter::once(program).chain(arguments);
    match role.to_str() {
        Some("broker") => headwater_broker::commands::cli(rest),
        Some("agent") => headwater_agent::commands::Command::parse_from(rest).execute(),
        _ => ExitCode::from(2),
    }
}
