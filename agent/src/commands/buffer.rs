//! `headwater-agent buffer verify/export/repair`: the log of an agent that does not run.

mod aside;
mod export;
mod repair;
mod show;

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
        /// The device's name, if the file that says it is damaged and nothing else does.
        #[arg(long, value_name = "NAME")]
        device: Option<String>,
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
        Buffer::Repair {
            place,
            device,
            yes,
            output,
        } => {
            let names = names(&place, device);
            on(&place, |dir| repair::run(dir, &names, yes, output))
        }
    }
}

/// What the device may be called.
fn names(place: &Place, device: Option<String>) -> Vec<String> {
    let config = place.config.as_deref();
    let config = config.and_then(|file| Config::read(Some(file)).ok());
    let names = config.and_then(|config| run::names(&config).ok()?.device().ok());
    device.into_iter().chain(names).collect()
}

/// Finds the log, and does `work` with it.
fn with(place: &Place, work: impl FnOnce(LogOptions) -> Result<u8, String>) -> u8 {
    on(place, |dir| options(dir).and_then(work))
}

/// Finds the directory, and does `work` with it.
fn on(place: &Place, work: impl FnOnce(&Path) -> Result<u8, String>) -> u8 {
    match dir_of(place) {
        Ok(dir) => work(&dir).unwrap_or_else(|error| fail(&error, FAILED)),
        Err(error) => fail(&error, USAGE),
    }
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

fn code(inspection: &Inspection) -> u8 {
    if inspection.damage.is_empty() {
        DONE
    } else {
        FAILED
    }
}
