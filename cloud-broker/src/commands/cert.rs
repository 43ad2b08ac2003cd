//! `cert`: development certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;
use crate::cert::{self, CertError};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an authority: ca.pem, ca.key
    Ca(Dir),
    /// Make a server's certificate: server.pem, server.key
    Server {
        #[command(flatten)]
        dir: Dir,
        /// Name or address under which the server is reached; may be given several times
        #[arg(long = "host", value_name = "HOST", required = true, num_args = 1..)]
        hosts: Vec<String>,
    },
    /// Make a device's certificate: NAME.pem, NAME.key
    Device {
        /// The device's name
        name: String,
        #[command(flatten)]
        dir: Dir,
    },
}

#[derive(Debug, Args)]
pub(super) struct Dir {
    /// Where the authority's files lie, and the new ones go
    #[arg(long = "dir", value_name = "DIR")]
    path: PathBuf,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let made = match command {
        Command::Ca(dir) => cert::create_ca(&dir.path),
        Command::Server { dir, hosts } => cert::create_server(&dir.path, hosts),
        Command::Device { name, dir } => cert::create_device(&dir.path, name),
    };
    made.map_err(|error| match error {
        CertError::Host(_) | CertError::Device(_) => Failure::usage(error),
        CertError::CaExists(_) | CertError::File { .. } | CertError::Sign(_) => {
            Failure::failed(error)
        }
    })
}
