//! What a backend is made with.

use std::path::PathBuf;
use std::sync::Arc;

use headwater_broker_core::StreamSpec;
use headwater_broker_core::groups::Limits as GroupLimits;
use headwater_broker_core::segments::Thresholds;
use headwater_store::Store;
use headwater_wire::time::Millis;

use crate::clock::now_ms;
use crate::metrics::Metrics;

/// Wall-clock time, ms since 1970; tests turn it by hand.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Free and total bytes of the disk, if they can be told.
pub type Space = Arc<dyn Fn() -> Option<(u64, u64)> + Send + Sync>;

/// Settings and parts.
#[derive(Clone)]
pub struct Options {
    /// Directory of the log.
    pub data_dir: PathBuf,
    /// Configured streams, in file order: created if absent, changed otherwise.
    pub streams: Vec<StreamSpec>,
    /// Most lanes that one device may have.
    pub lanes_per_device: usize,
    /// What consumer groups may use.
    pub groups: GroupLimits,
    /// Most bytes that wait for a commit, all doors together.
    pub request_memory_bytes: usize,
    /// Least share of the disk that stays free, percent.
    pub disk_min_free_percent: u8,
    /// Recent commits that stay in memory for readers at the tail, bytes.
    pub recent_bytes: usize,
    /// When the journal goes into segments.
    pub thresholds: Thresholds,
    /// Whether segments are written by a thread of their own; otherwise by the journal's, in the
    /// same order each time.
    pub compaction_thread: bool,
    /// How long an object stays after nothing names it any more, ms: readers may still hold an
    /// older view.
    pub delete_grace_ms: i64,
    /// How often it is looked what may be deleted, ms.
    pub tidy_ms: i64,
    /// Memory for directories and indexes of segments, bytes.
    pub index_memory_bytes: usize,
    /// Memory for the keys of a partition that is compacted, bytes.
    pub compaction_memory_bytes: usize,
    /// How long a record without a value stays after it was first compacted, ms: whoever reads
    /// slowly learns of the deletion.
    pub tombstones_ms: i64,
    /// How long the log takes nothing after a write that failed, before it tries again, ms.
    pub retry_ms: u32,
    /// Gives arrival times.
    pub clock: Clock,
    /// Time since some moment, ms, that goes on while the machine sleeps and that nobody sets.
    pub monotonic: Clock,
    /// Names the boot of the machine since which `monotonic` goes on; empty if it is not known.
    pub boot: String,
    /// Tells how full the disk is.
    pub space: Space,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults of `interfaces.md` 4, the system's clock and disk.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, streams: Vec<StreamSpec>) -> Self {
        let data_dir = data_dir.into();
        let dir = data_dir.clone();
        Self {
            data_dir,
            streams,
            lanes_per_device: 64,
            groups: GroupLimits::default(),
            request_memory_bytes: 128 << 20,
            disk_min_free_percent: 5,
            recent_bytes: 16 << 20,
            thresholds: Thresholds::default(),
            compaction_thread: true,
            delete_grace_ms: 600_000,
            tidy_ms: 5_000,
            index_memory_bytes: 16 << 20,
            compaction_memory_bytes: 64 << 20,
            tombstones_ms: 24 * 3_600_000,
            retry_ms: 1000,
            clock: Arc::new(system_clock),
            monotonic: Arc::new(boot_clock),
            boot: boot_id(),
            space: Arc::new(move || {
                let found = rustix::fs::statvfs(&dir).ok()?;
                let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
                Some((bytes(found.f_bavail), bytes(found.f_blocks)))
            }),
            metrics: Arc::default(),
        }
    }

    /// For tests: one that does not look how full the disk is that the tests run on.
    #[cfg(test)]
    pub(crate) fn on_any_disk(data_dir: &std::path::Path, streams: Vec<StreamSpec>) -> Self {
        Self {
            space: Arc::new(|| None),
            // Nobody comes in company.
            groups: GroupLimits {
                first_wait_ms: 0,
                ..GroupLimits::default()
            },
            ..Self::new(data_dir, streams)
        }
    }

    /// What is opened: the local store of `data_dir`, made if it is missing.
    pub(super) fn open_store(&self) -> Result<Store, headwater_store::StoreError> {
        headwater_store::local::open(
            &self.data_dir,
            headwater_store::local::LocalOptions::default(),
        )
    }
}

fn system_clock() -> Millis {
    Millis(now_ms())
}

/// A machine that does not tell which boot this is may have been off for long.
fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn boot_clock() -> Millis {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Millis(since.tv_sec * 1000 + since.tv_nsec / 1_000_000)
}
