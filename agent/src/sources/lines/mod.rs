//! The `lines` source: each line is an event, from standard input, a followed file, or sockets.
//!
//! A line's value is the line without its newline, and without one carriage return before it;
//! an empty line is an event with an empty value. A line that is too long goes to stream
//! `rejected`, its front kept. The topic is that of the source, `{name}` being `stdin`, the name
//! of the file or socket, or `tcp`.

mod cut;
mod file;
mod maker;
mod origin;
mod socket;
mod stdin;

pub use origin::{Origin, OriginError};

use super::{Intake, Opened, SourceError};
use maker::Maker;

/// Opens the source that reads `from`.
///
/// # Errors
/// What cannot be opened, with its address.
pub async fn open(intake: Intake, from: &str) -> Result<Opened, SourceError> {
    let from = Origin::parse(from).map_err(|reason| SourceError::Origin {
        name: intake.name().to_owned(),
        reason,
    })?;
    let maker = Maker::new(intake, &from.name());
    match from {
        Origin::Stdin => stdin::open(maker),
        Origin::File(path) => file::open(maker, path).await,
        Origin::Unix(path) => socket::open_unix(maker, &path).await,
        Origin::Tcp(address) => socket::open_tcp(maker, &address).await,
    }
}

/// The place in a followed file that a cursor says, as it is written: for the fuzz targets.
pub fn file_cursor(bytes: &[u8]) -> Option<Vec<u8>> {
    file::rewritten(bytes)
}

#[cfg(test)]
mod tests;
