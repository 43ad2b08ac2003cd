use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::disk::{Disk, FileDisk};
use super::lock::DirLock;
use super::space;

/// Smallest `max_bytes`: journal files, one of them being replaced, and two segments.
pub const MAX_BYTES_MIN: u64 = space::MAX_BYTES_MIN;

/// What the log is made of. [`LogOptions::new`] has the defaults of the configuration.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Directory; created if absent.
    pub dir: PathBuf,
    /// Device name, written into the log when it is created.
    pub device: String,
    /// What the directory may allocate on its file system, bytes.
    pub max_bytes: u64,
    /// Whether the oldest events are given up when `max_bytes` is reached; otherwise new ones are
    /// refused.
    pub drop_oldest: bool,
    /// Wait this long for more appends before each sync; zero syncs as soon as the disk is free.
    pub commit_interval: Duration,
    /// A batch is closed at this size, compressed.
    pub batch_bytes: usize,
    /// A batch is closed at this age, while the link is up.
    pub batch_age: Duration,
    /// zstd level.
    pub zstd_level: i32,
    /// How long acknowledged batches are kept, if there is room.
    pub keep_acked: Duration,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where files are; tests put a faulty one here.
    pub disk: Arc<dyn Disk>,
    /// The directory, if the caller holds it already: nobody gets in between two openings then.
    pub lock: Option<Arc<DirLock>>,
}

impl LogOptions {
    /// The defaults, for a log of `device` in `dir`.
    pub fn new(dir: impl Into<PathBuf>, device: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            device: device.into(),
            max_bytes: 1 << 30,
            drop_oldest: false,
            commit_interval: Duration::ZERO,
            batch_bytes: 64_000,
            batch_age: Duration::from_secs(1),
            zstd_level: 1,
            keep_acked: Duration::from_secs(600),
            clock: Arc::new(SystemClock),
            disk: Arc::new(FileDisk),
            lock: None,
        }
    }
}
