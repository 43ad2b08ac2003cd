//! What the log allocates, to the block, and what it has written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::disk::DiskFile;
use super::sync_times::{SyncCounts, SyncTimes};

/// Length of one file of the tail journal.
pub(super) const TAIL_FILE_BYTES: u64 = 2 << 20;
/// Two in turn, and one while a file that failed is replaced.
pub(super) const TAIL_FILES_MAX: u64 = 3;
/// A segment is closed when it holds this much. redb doubles its file: just above 3 MiB of pages
/// it would ask for twice as much.
pub(super) const SEGMENT_BYTES: u64 = 3_000_000;
/// What a commit writes beside values, and what a segment has when it is made: tree pages, both
/// generations of them, region headers.
pub(super) const COMMIT_OVERHEAD_BYTES: u64 = 160 << 10;
/// Directories, lock, identity.
pub(super) const FIXED_BYTES: u64 = 64 << 10;

/// See [`super::MAX_BYTES_MIN`].
pub(super) const MAX_BYTES_MIN: u64 = 16 << 20;
const _: () = assert!(
    TAIL_FILES_MAX * TAIL_FILE_BYTES + 2 * (SEGMENT_BYTES + COMMIT_OVERHEAD_BYTES) + FIXED_BYTES
        <= MAX_BYTES_MIN
);

/// What redb allocates for a value: small ones share a page, others have a power of two of pages.
pub(super) fn value_bytes(bytes: usize) -> u64 {
    /// Page header, key, lengths.
    const AROUND: usize = 64;
    const SHARED_MAX: usize = 2048;
    let bytes = bytes + AROUND;
    if bytes <= SHARED_MAX {
        bytes as u64
    } else {
        (bytes.next_power_of_two() as u64).max(4096)
    }
}

/// Counts bytes written to the device, and syncs. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    bytes: Arc<AtomicU64>,
    syncs: SyncTimes,
}

impl Meter {
    pub(super) fn add(&self, bytes: usize) {
        self.add_bytes(bytes as u64);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Syncs a file.
    pub(super) fn sync(&self, file: &dyn DiskFile) -> io::Result<()> {
        let begun = Instant::now();
        let done = file.sync();
        self.syncs.record(begun.elapsed());
        done
    }

    pub(super) fn syncs(&self) -> SyncCounts {
        self.syncs.counts()
    }
}
