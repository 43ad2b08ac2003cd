//! Whether redb may be let loose on a file. It follows what pages say without asking whether that can
//! be: a flipped bit would have it ask for gigabytes, or go round in circles. So the first look at a
//! file in a process checks every page against the checksum that its parent holds.

use std::io;
use std::sync::Arc;

use redb::{Builder, Database, StorageBackend as _};

use super::overlay::Overlay;
use crate::log::disk::DiskFile;

/// No segment is nearly as long, and what redb remembers grows with the file.
const FILE_BYTES_MAX: u64 = 64 << 20;
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// The byte behind it: which commit counts, and whether the file was not closed.
const FLAGS: usize = MAGIC.len();
const SECOND_COUNTS: u8 = 1;
const NOT_CLOSED: u8 = 2;
/// Where the two commits are described, and where in that its checksum is.
const COMMITS: [u64; 2] = [64, 192];
const COMMIT_CHECKSUM: u64 = 112;
const CHECKSUM_BYTES: usize = 16;

/// Opens a segment if it is sound, or can be made so as after a crash. The file is not changed.
pub(super) fn open_checked(file: Arc<dyn DiskFile>, cache_bytes: usize) -> io::Result<Database> {
    let mut head = [0; FLAGS + 1];
    if file.bytes()? > FILE_BYTES_MAX {
        return Err(damaged("it is too long"));
    }
    file.read_at(0, &mut head)?;
    if !head.starts_with(&MAGIC) {
        return Err(damaged("it does not begin as a database"));
    }
    let overlay = Overlay::new(file)?;
    if head[FLAGS] & NOT_CLOSED == 0 {
        hide_previous_commit(&overlay, head[FLAGS])?;
    }
    Builder::new()
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(true)
        .create_with_backend(overlay)
        .map_err(super::db::failed)
}

/// In a file that was closed, the last commit is all that counts: if it is damaged, what was there
/// before it is not the truth.
fn hide_previous_commit(overlay: &Overlay, flags: u8) -> io::Result<()> {
    let previous = usize::from(flags & SECOND_COUNTS == 0);
    let at = COMMITS[previous] + COMMIT_CHECKSUM;
    let mut checksum = [0; CHECKSUM_BYTES];
    overlay.read(at, &mut checksum)?;
    overlay.write(at, &checksum.map(|byte| !byte))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
