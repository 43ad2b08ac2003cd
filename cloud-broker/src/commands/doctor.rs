//! `doctor`: is everything well?

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;

use super::Failure;
use super::asked::Asked;
use super::output::{self, Output, cell};
use crate::doctor::{self, Report};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look at everything in a data directory that no broker uses; changes nothing. Exit code 1 if
    /// anything is damaged
    Data {
        /// The data directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// How the findings are printed
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Say whether a running broker trusts its clock. Exit code 1 if it does not: nothing is
    /// deleted for its age then
    Clock {
        /// Take the clock for right as it is
        #[arg(long)]
        accept: bool,
        #[command(flatten)]
        asked: Asked,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Data { dir, output } => data(dir, *output),
        Command::Clock { accept, asked } => clock(*accept, asked),
    }
}

fn clock(accept: bool, asked: &Asked) -> Result<(), Failure> {
    if accept {
        asked.ask("POST", "/api/v1/clock/accept", None)?;
    }
    let found = asked.ask("GET", "/api/v1/clock", None)?;
    output::print(asked.output, &found, clock_text)?;
    match found["suspect"].as_bool() {
        Some(false) => Ok(()),
        _ => Err(Failure::failed("The clock is not trusted")),
    }
}

fn clock_text(found: &Value) -> String {
    let hours = |ms: &Value| {
        let ms = ms.as_i64().unwrap_or(0).unsigned_abs();
        (ms + HOUR_MS / 2) / HOUR_MS
    };
    let far = hours(&found["jumped_ms"]);
    let what = match found["doubt"].as_str() {
        None => "It is trusted".to_owned(),
        Some("ahead") if far > 0 => format!("It has jumped forward, by {far} h"),
        Some("ahead") => "It has jumped forward".to_owned(),
        Some("behind") => format!("It has jumped back, by {far} h"),
        Some(_) => format!("Nobody has looked at it for {far} h, as it says"),
    };
    let mut text = format!(
        "The broker's clock: {} ms since 1970\n{what}\n",
        cell(&found["now_ms"])
    );
    if !found["doubt"].is_null() {
        let left = hours(&found["left_ms"]);
        text += &format!(
            "Nothing is deleted for its age for {left} h more, or until it is set right or accepted\n"
        );
    }
    text
}

/// One hour.
const HOUR_MS: u64 = 3_600_000;

fn data(dir: &Path, output: Output) -> Result<(), Failure> {
    let report = doctor::check(dir).map_err(Failure::failed)?;
    let value = serde_json::to_value(&report).map_err(Failure::failed)?;
    output::print(output, &value, |_: &Value| text(&report))?;
    match report.damage.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format_args!("Damaged in {count} places"))),
    }
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{}: {} registers, {} snapshots, {} segments, {} journals with {} chunks; {} batches, {} records, {} bytes\n",
        report.data_dir,
        report.registers,
        report.snapshots,
        report.segments,
        report.journals,
        report.chunks,
        report.batches,
        report.records,
        report.bytes
    );
    for note in &report.notes {
        text += &format!("{note}\n");
    }
    for damage in &report.damage {
        text += &format!("{damage}\n");
    }
    if report.is_clean() {
        text += "Nothing is damaged\n";
    }
    text
}
