//! Where a journal's files lie, and the first page of one.

use std::io::IoSlice;
use std::sync::Arc;

use super::spares::{Spare, Spares};
use crate::disk::{self, Disk, DiskFile};
use crate::error::StoreError;
use crate::format::journal_file::FileHeader;
use crate::ids::Incarnation;

/// Every frame begins at a multiple of this, so that no page with acknowledged bytes is written
/// again.
pub(super) const PAGE_BYTES: u64 = PAGE_LEN as u64;
/// The same as a length.
pub(super) use crate::disk::pages::PAGE_LEN;
/// Directory of all journals.
pub(super) const JOURNALS: &str = "journal";

/// `bytes` up to the next page.
pub(super) fn whole_pages(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE_BYTES)
}

/// Directory of one journal.
pub(super) fn directory(inc: Incarnation) -> String {
    format!("{JOURNALS}/{inc}")
}

/// The file whose first slot is `first_seq`.
pub(super) fn path(inc: Incarnation, first_seq: u64) -> String {
    format!("{JOURNALS}/{inc}/{first_seq:016x}.log")
}

/// First slots of a journal's files, rising. Other names are none of ours.
pub(super) fn files(disk: &dyn Disk, inc: Incarnation) -> Result<Vec<u64>, StoreError> {
    let directory = directory(inc);
    let entries = disk
        .list(&directory)
        .map_err(|error| StoreError::io("Cannot list", disk.show(&directory), error))?;
    let mut found: Vec<u64> = entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| seq(&entry.name))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Makes a journal file from a spare one, durable with its name: header first, then the rename,
/// so that no name ever stands for a file that was not made whole.
///
/// A file that had this name and holds nothing that was acknowledged is replaced.
pub(super) fn begin(
    disk: &dyn Disk,
    spares: &Spares,
    header: FileHeader,
    bytes_min: u64,
) -> Result<Begun, StoreError> {
    begin_from(disk, &spares.take(bytes_min)?, header, &[])
}

/// The same, of exactly `bytes`: for the tombstone of a journal that needs no more.
pub(super) fn begin_small(
    disk: &dyn Disk,
    spares: &Spares,
    header: FileHeader,
    bytes: u64,
) -> Result<Begun, StoreError> {
    begin_from(disk, &spares.take_small(bytes)?, header, &[])
}

/// The same, with its only frame in it before it gets its name.
pub(super) fn begin_with(
    disk: &dyn Disk,
    spares: &Spares,
    header: FileHeader,
    frame: &[u8],
) -> Result<Begun, StoreError> {
    let bytes = PAGE_BYTES + whole_pages(frame.len() as u64);
    begin_from(disk, &spares.take_small(bytes)?, header, frame)
}

fn begin_from(
    disk: &dyn Disk,
    spare: &Spare,
    mut header: FileHeader,
    frame: &[u8],
) -> Result<Begun, StoreError> {
    header.preallocated = spare.bytes;
    let path = path(header.inc, header.first_seq);
    let begin = || {
        let file = disk.open_uncached(&spare.path)?;
        let mut pages = header.encode();
        pages.resize(PAGE_LEN, 0);
        pages.extend_from_slice(frame);
        pages.resize(pages.len().next_multiple_of(PAGE_LEN), 0);
        disk::write_all_at(&*file, &mut [IoSlice::new(&pages)], 0)?;
        sync_journal(&*file)?;
        disk::create_dirs(disk, &directory(header.inc))?;
        disk.rename(&spare.path, &path)?;
        disk.sync_dir(&directory(header.inc))?;
        // Whoever made the directory may have died, or failed, before its name was durable.
        disk.sync_dir(JOURNALS)?;
        Ok(file)
    };
    let file = begin().map_err(|error| StoreError::io("Cannot begin", disk.show(&path), error))?;
    Ok(Begun {
        file,
        bytes: spare.bytes,
    })
}

/// A journal file that was just begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) file: Arc<dyn DiskFile>,
    /// Its length.
    pub(super) bytes: u64,
}

/// The one sync that everything rests on. The fault switch leaves it out and says that all is
/// well; power-loss tests must then fail.
pub(super) fn sync_journal(file: &dyn DiskFile) -> std::io::Result<()> {
    if cfg!(hw_fault = "no_sync") {
        return Ok(());
    }
    file.sync_data()
}

fn seq(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let seq = u64::from_str_radix(digits, 16).ok()?;
    (format!("{seq:016x}") == digits).then_some(seq)
}
