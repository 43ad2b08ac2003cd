//! What the program does, by its first word. Exit codes: 0 done, 1 failed, 2 usage or configuration.

mod asked;
mod cert;
mod client;
mod consume;
mod doctor;
mod group;
mod inspect;
mod logging;
mod output;
mod produce;
mod run;
mod stream;

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
    /// Append lines of standard input to a stream of a running broker
    Produce(produce::Args),
    /// Print records of a stream of a running broker
    Consume(consume::Args),
    /// List, create, describe or delete streams of a running broker
    #[command(subcommand)]
    Stream(stream::Command),
    /// List, describe or delete consumer groups of a running broker
    #[command(subcommand)]
    Group(group::Command),
    /// Print an object of the store as JSON
    Inspect(inspect::Args),
    /// Look for damage
    #[command(subcommand)]
    Doctor(doctor::Command),
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
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Stream(command) => stream::run(&command),
        Command::Group(command) => group::run(&command),
        Command::Inspect(args) => inspect::run(&args),
        Command::Doctor(command) => doctor::run(&command),
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

/// Runs what waits for a broker, on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::failed)?;
    Ok(runtime.block_on(work))
}

impl Failure {
    /// The same with its place before it.
    fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

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
