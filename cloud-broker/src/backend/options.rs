//! What a backend is made with.

use std::path::PathBuf;
use std::sync::Arc;

use headwater_broker_core::StreamSpec;
use headwater_wire::time::Millis;

/// Wall-clock time, ms since 1970; tests turn it by hand.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Settings and parts.
#[derive(Clone)]
pub struct Options {
    /// Directory of the log.
    pub data_dir: PathBuf,
    /// Configured streams, in file order: created if absent, changed otherwise.
    pub streams: Vec<StreamSpec>,
    /// Most lanes that one device may have.
    pub lanes_per_device: usize,
    /// Most bytes that wait for a commit, all doors together.
    pub request_memory_bytes: usize,
    /// Least share of the disk that stays free, percent.
    pub disk_min_free_percent: u8,
    /// Gives arrival times.
    pub clock: Clock,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults of `interfaces.md` 4 and the system's clock.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, streams: Vec<StreamSpec>) -> Self {
        Self {
            data_dir: data_dir.into(),
            streams,
            lanes_per_device: 64,
            request_memory_bytes: 128 << 20,
            disk_min_free_percent: 5,
            clock: Arc::new(system_clock),
        }
    }
}

fn system_clock() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Millis(since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0))
}
