//! The commands of `headwater-agent`: `run`, `check`, `status`, `buffer`.

mod buffer;
mod check;
mod logging;
mod run;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;

/// Done.
const DONE: u8 = 0;
/// Failed.
const FAILED: u8 = 1;
/// Usage or configuration.
const USAGE: u8 = 2;

/// The agent on the device: takes events, keeps them in a durable log, forwards them.
#[derive(Debug, Parser)]
#[command(name = "headwater-agent", version, arg_required_else_help = true)]
pub struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the agent until SIGTERM or Ctrl-C.
    Run(Settings),
    /// Checks settings, certificates, addresses and the device's name, and starts nothing.
    Check {
        #[command(flatten)]
        settings: Settings,
        /// As JSON, in one line.
        #[arg(long)]
        json: bool,
    },
    /// Shows the status of the agent that runs with these settings.
    Status {
        #[command(flatten)]
        settings: Settings,
        /// As JSON, in one line.
        #[arg(long)]
        json: bool,
    },
    /// Reads or repairs the log of an agent that does not run.
    #[command(subcommand)]
    Buffer(buffer::Buffer),
}

#[derive(Debug, Args)]
struct Settings {
    /// The settings file; without one, defaults and environment (HEADWATER_SECTION__KEY).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Command {
    /// Does it.
    pub fn execute(self) -> ExitCode {
        let (settings, act): (_, Box<dyn FnOnce(Config) -> u8>) = match self.verb {
            Verb::Run(settings) => (settings, Box::new(run::run)),
            Verb::Check { settings, json } => (
                settings,
                Box::new(move |config| check::check(&config, json)),
            ),
            Verb::Status { settings, json } => (
                settings,
                Box::new(move |config| status::status(&config, json)),
            ),
            Verb::Buffer(verb) => return ExitCode::from(buffer::buffer(verb)),
        };
        ExitCode::from(match Config::read(settings.config.as_deref()) {
            Ok(config) => act(config),
            Err(error) => fail(&error, USAGE),
        })
    }
}

/// Prints the error alone, and gives the code back.
#[expect(
    clippy::print_stderr,
    reason = "the error of a command is for its user"
)]
fn fail(error: &dyn std::fmt::Display, code: u8) -> u8 {
    eprintln!("{error}");
    code
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn print(text: &str) {
    println!("{text}");
}
