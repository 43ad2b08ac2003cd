//! `doctor`: is everything well?

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::Failure;
use super::output::{self, Output};
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
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Data { dir, output } = command;
    let report = doctor::check(dir).map_err(Failure::failed)?;
    let value = serde_json::to_value(&report).map_err(Failure::failed)?;
    output::print(*output, &value, |_: &Value| text(&report))?;
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
