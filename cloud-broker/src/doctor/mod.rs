//! `doctor data`: looks at everything that a data directory holds, names what is damaged, and
//! changes nothing.
//!
//! The store opens on a disk that keeps changes in memory ([`CopyDisk`]), so journals are read
//! exactly as a broker would read them.

mod batches;
mod journals;
mod ranges;
mod registers;
mod report;
mod segments;

use std::path::Path;
use std::sync::Arc;

use headwater_store::disk::{CopyDisk, Disk};
use headwater_store::local::{self, LocalOptions};
use headwater_store::{ErrorKind, Store, StoreError};

use batches::Batches;
pub use report::{Damage, Report};

/// The registers of a data directory.
const REGISTERS: &str = "registers.redb";

/// Looks at the data directory `dir`, which no broker may use.
///
/// # Errors
/// There is no such directory, it is in use, of a newer format, or cannot be read at all. Damage
/// is no error.
pub fn check(dir: &Path) -> Result<Report, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(CopyDisk::open(dir)?);
    let mut report = Report::new(dir);
    if disk.open(REGISTERS).is_err() && disk.list("journal").is_ok_and(|found| found.is_empty()) {
        let place = dir.display();
        return Err(StoreError::new(
            ErrorKind::NotFound,
            "Cannot find a log in",
            place,
        ));
    }
    let store = open(&disk, &mut report)?;
    let mut batches = Batches::default();
    let manifests = registers::check(&store, &mut report);
    segments::check(&store, &manifests, &mut batches, &mut report)?;
    journals::check(&disk, &store, &manifests, &mut batches, &mut report)?;
    batches.finish(&mut report);
    Ok(report)
}

/// Opens the store; without its registers if they are damaged.
fn open(disk: &Arc<dyn Disk>, report: &mut Report) -> Result<Store, StoreError> {
    // Nothing may be prepared: it would lie in memory.
    let options = || LocalOptions {
        first_file_bytes: 64 << 10,
        file_bytes: 64 << 10,
        spares_max: 0,
        prepare: false,
    };
    let error = match local::open_on(Arc::clone(disk), options()) {
        Ok(store) => return Ok(store),
        Err(error) if error.kind == ErrorKind::UnknownFormat => return Err(error),
        Err(error) => error,
    };
    report.damaged(Damage::object(REGISTERS, &error));
    disk.remove(REGISTERS)
        .map_err(|error| StoreError::io("Cannot open", disk.show(REGISTERS), error))?;
    local::open_on(Arc::clone(disk), options())
}

#[cfg(test)]
mod tests;
