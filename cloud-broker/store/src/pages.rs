//! Reading the pages that a manifest names.

use crate::error::{ErrorKind, StoreError};
use crate::format::Kept;
use crate::format::manifest::{Page, Segment};
use crate::format::page;
use crate::traits::Blobs;

/// The segments that a page lists, from whichever of its copies can be read. `damaged` is told what
/// is wrong with one that cannot.
///
/// # Errors
/// That of the last copy, if none can be read: nothing else tells what the page listed.
pub fn read(
    blobs: &dyn Blobs,
    shard: u32,
    page: &Page,
    mut damaged: impl FnMut(&str, &StoreError),
) -> Result<Vec<Kept<Segment>>, StoreError> {
    let mut error = StoreError::new(ErrorKind::Damaged, "Cannot find a page of shard", shard);
    for name in [&page.name, &page.copy] {
        if name.is_empty() {
            continue;
        }
        match read_copy(blobs, shard, page, name) {
            Ok(segments) => return Ok(segments),
            Err(found) => {
                damaged(name, &found);
                error = found;
            }
        }
    }
    Err(error)
}

fn read_copy(
    blobs: &dyn Blobs,
    shard: u32,
    page: &Page,
    name: &str,
) -> Result<Vec<Kept<Segment>>, StoreError> {
    let bytes = blobs.get(name, 0..u64::MAX)?;
    let read = page::decode(&bytes);
    let read = read.map_err(|error| StoreError::format("Cannot read", name, error))?;
    if read.shard != shard || read.segments.len() as u64 != u64::from(page.segments) {
        let what = "It is not what the manifest says:";
        return Err(StoreError::new(ErrorKind::Damaged, what, name));
    }
    Ok(read.known.segments)
}
