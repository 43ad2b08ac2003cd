//! What the program does, by its first word. Exit codes: 0 done, 1 failed, 2 usage or configuration.

mod cert;
mod logging;
mod run;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "headwater-broker", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker
    Run(Box<run::Args>),
    /// Make development certificates
    #[command(subcommand)]
    Cert(cert::Command),
}

/// How a command ends, other than well.
#[derive(Debug)]
struct Failure {
    message: String,
    code: u8,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    cli(std::env::args_os())
}

/// Does what `arguments` say, the program's name first: for programs that play this role too.
pub fn cli(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = match Cli::parse_from(arguments).command {
        Command::Run(args) => run::run(&args),
        Command::Cert(command) => cert::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed, the code still tells.
            drop(writeln!(std::io::stderr(), "{}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

impl Failure {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self {
            message: error.to_string(),
            code: 1,
        }
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Self {
            message: error.to_string(),
            code: 2,
        }
    }
}
