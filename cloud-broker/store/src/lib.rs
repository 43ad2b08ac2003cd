//! Where the broker's log lives: Slots, Registers, Blobs, their formats and their local and faulty homes.
//!
//! Everything above [`traits`] is the same code on one machine and in a cluster. [`mod@format`]
//! holds every byte that is stored (`FORMAT.md` beside this crate documents them), [`local`]
//! keeps them in files of one directory, [`disk`] is the waist below it, and [`faulty`] a disk
//! that loses power, lies, tears and fills up by a seed. This crate decides nothing about
//! offsets, owners or groups: it stores what it is given and tells what it finds.
//!
//! Calls block. They are made from the journal thread, or from a runtime's blocking threads.

pub mod disk;
pub mod error;
pub mod faulty;
pub mod format;
pub mod ids;
pub mod local;
pub mod memory;
pub mod names;
pub mod pages;
pub mod segment;
pub mod traits;

pub use error::{ErrorKind, READS_MAX, StoreError, insist};
pub use ids::{Incarnation, Nonce, WriteId};
pub use traits::{
    BlobWriter, Blobs, Damage, Outcome, Registered, Registers, ScanEnd, Scanned, Slot, Slots,
    Store, Version,
};
