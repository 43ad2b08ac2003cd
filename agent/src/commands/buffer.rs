//! `headwater-agent buffer verify/export/repair`: the log of an agent that does not run.

mod aside;
mod export;
mod show;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{DONE, FAILED, USAGE, fail, print};
use crate::config::Config;
use crate::log::{self, Inspection, LogOptions};
use crate::run;

/// Longer than any log is kept: reading must not trim what it reads.
const KEEP_ACKED: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// No reading is refused for want of room.
const MAX_BYTES: u64 = u64::MAX >> 2;

/// What can be done with a log.
#[derive(Debug, Subcommand)]
pub(super) enum Buffer {
    /// Reads everything, checks every CRC, and says what is held; exit code 1 if anything is damaged.
    Verify {
        #[command(flatten)]
        place: Place,
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Writes every event that is held as NDJSON, one a line.
    Export {
        #[command(flatten)]
        place: Place,
        /// To this file instead of standard output.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Declares what cannot be read lost (reason "damaged"), and keeps a copy of the damaged files.
    Repair {
        #[command(flatten)]
        place: Place,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

/// Which log.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Place {
    /// The settings file that names the data directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// How the answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// One object.
    Json,
}

/// Does it; gives the exit code.
pub(super) fn buffer(verb: Buffer) -> u8 {
    match verb {
        Buffer::Verify { place, output } => with(&place, |options| verify(options, output)),
        Buffer::Export { place, to } => with(&place, |options| export::run(options, to.as_deref())),
        Buffer::Repair { place, yes, output } => {
            with(&place, |options| repair(&options, yes, output))
        }
    }
}

/// Finds the log, and does `work` with it.
fn with(place: &Place, work: impl FnOnce(LogOptions) -> Result<u8, String>) -> u8 {
    let dir = match dir_of(place) {
        Ok(dir) => dir,
        Err(error) => return fail(&error, USAGE),
    };
    let done = options(&dir).and_then(work);
    done.unwrap_or_else(|error| fail(&error, FAILED))
}

fn dir_of(place: &Place) -> Result<PathBuf, String> {
    if let Some(dir) = &place.data_dir {
        return Ok(dir.clone());
    }
    let config = Config::read(place.config.as_deref()).map_err(|error| error.to_string())?;
    Ok(run::data_dir(config.data_dir.as_deref()))
}

fn options(dir: &Path) -> Result<LogOptions, String> {
    let device = log::device_of(dir).map_err(|error| error.to_string())?;
    let device = device.ok_or_else(|| format!("There is no log in {}", dir.display()))?;
    Ok(LogOptions {
        keep_acked: KEEP_ACKED,
        max_bytes: MAX_BYTES,
        ..LogOptions::new(dir, device)
    })
}

fn verify(options: LogOptions, output: Output) -> Result<u8, String> {
    let inspection = log::inspect(options, |_| {}).map_err(|error| error.to_string())?;
    print(&show::inspection(&inspection, output));
    Ok(code(&inspection))
}

fn repair(options: &LogOptions, yes: bool, output: Output) -> Result<u8, String> {
    let found = log::inspect(options.clone(), |_| {}).map_err(|error| error.to_string())?;
    if found.damage.is_empty() {
        print(&show::inspection(&found, output));
        return Ok(DONE);
    }
    if output == Output::Text {
        print(&show::inspection(&found, output));
    }
    if !yes && !is_confirmed() {
        return Err("Nothing was changed; --yes repairs without asking".to_owned());
    }
    let kept = aside::keep(&options.dir, &found).map_err(|error| {
        format!("Nothing was changed: the damaged files cannot be copied: {error}")
    })?;
    let repaired = log::repair(options.clone()).map_err(|error| error.to_string())?;
    // Whatever was found is declared now; a second look must find nothing.
    let after = log::inspect(options.clone(), |_| {}).map_err(|error| error.to_string())?;
    print(&show::repair(&repaired, &after, &kept, output));
    Ok(code(&after))
}

fn code(inspection: &Inspection) -> u8 {
    if inspection.damage.is_empty() {
        DONE
    } else {
        FAILED
    }
}

/// Asks, where somebody can answer.
#[expect(clippy::print_stderr, reason = "a question to the user")]
fn is_confirmed() -> bool {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return false;
    }
    eprint!("Declare what cannot be read lost, and keep a copy of the damaged files? [y/N] ");
    let _shown = std::io::stderr().flush();
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}
