//! One machine's home of the log: journal files, registers in redb, blobs as files.
//!
//! ```text
//! LOCK                            whose process this directory belongs to
//! journal/<inc>/<first seq>.log   chunks, each at a 4 KiB boundary; made full of zeros
//! journal/spare/<n>.log           such files, ready for use
//! registers.redb                  heads, manifests, cluster
//! blobs/<name>                    snapshots and segments
//! ```

mod blobs;
mod index;
mod layout;
mod registers;
mod slots;
mod spares;
mod walk;
mod window;

use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, RealDisk};
use crate::error::StoreError;
use crate::traits::{Registers, Store};

/// How large files are made. The defaults are for real disks; tests take small ones.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Bytes of the first file of an incarnation, so that a small installation stays small.
    pub first_file_bytes: u64,
    /// Bytes of every later one.
    pub file_bytes: u64,
    /// Files that are kept for use again, at most.
    pub spares_max: usize,
    /// Prepare the next file in a thread of its own before it is needed. Without it every file
    /// is made when it is needed, in the same order each time.
    pub prepare: bool,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            first_file_bytes: 8 << 20,
            file_bytes: 64 << 20,
            spares_max: 2,
            prepare: true,
        }
    }
}

/// Opens the data directory, made if it is missing. It stays locked until every part of the
/// store is dropped. Journals are read when they are scanned, not here.
pub fn open(directory: &Path, options: LocalOptions) -> Result<Store, StoreError> {
    open_on(Arc::new(RealDisk::open(directory)?), options)
}

/// Opens the registers alone.
pub fn open_registers(disk: Arc<dyn Disk>) -> Result<Arc<dyn Registers>, StoreError> {
    Ok(Arc::new(registers::LocalRegisters::open(disk)?))
}

/// Opens the same on any disk.
pub fn open_on(disk: Arc<dyn Disk>, options: LocalOptions) -> Result<Store, StoreError> {
    let registers = registers::LocalRegisters::open(Arc::clone(&disk))?;
    let blobs = blobs::LocalBlobs::open(Arc::clone(&disk))?;
    let slots = slots::LocalSlots::open(disk, options)?;
    Ok(Store {
        blobs: Arc::new(blobs),
        registers: Arc::new(registers),
        slots: Arc::new(slots),
    })
}
