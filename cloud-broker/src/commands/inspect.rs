//! `inspect`: any object of the store as JSON.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Failure;
use super::output::{self, Output};
use crate::inspect;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// A file; with --data-dir the name of a register, blob or file of the data directory
    #[arg(value_name = "OBJECT")]
    object: String,
    /// The data directory that the name belongs to
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let read = match &args.data_dir {
        Some(dir) => inspect::object(dir, &args.object),
        None => inspect::file(args.object.as_ref()),
    };
    let value = read.map_err(Failure::failed)?;
    let pretty = serde_json::to_string_pretty(&value).map_err(Failure::failed)?;
    output::print(Output::Text, &value, |_| pretty)?;
    match value.get("error") {
        None => Ok(()),
        Some(error) => Err(Failure::failed(output::cell(error))),
    }
}
