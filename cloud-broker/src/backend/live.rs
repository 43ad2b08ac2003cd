//! When somebody last wrote who does not bring much at once: as long as there is such a one, those
//! who do leave time to others ([`headwater_broker_core::share`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Noted by the journal's thread, once for all that it takes together.
#[derive(Debug)]
pub(super) struct Live {
    origin: Instant,
    /// Milliseconds from there on, and one more; 0 = never.
    noted: AtomicU64,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            noted: AtomicU64::new(0),
        }
    }
}

impl Live {
    pub(super) fn note(&self) {
        self.noted.store(self.now_ms() + 1, Ordering::Relaxed);
    }

    /// For how long there was nobody.
    pub(super) fn quiet_for(&self) -> Duration {
        match self.noted.load(Ordering::Relaxed).checked_sub(1) {
            Some(noted) => Duration::from_millis(self.now_ms().saturating_sub(noted)),
            None => Duration::MAX,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}
