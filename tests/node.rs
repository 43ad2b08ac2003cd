//! The broker, as scenarios start it: `headwater-node broker run …`. Cargo builds this program and
//! its sibling, the agent, for them.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    match arguments.next() {
        Some(role) if role == "broker" => {
            headwater_broker::commands::cli(std::iter::once(program).chain(arguments))
        }
        _ => ExitCode::from(2),
    }
}
