use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::Instant;

use headwater_wire::time::Millis;

/// Where the log's time comes from.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since a fixed moment of this process; never goes back.
    fn now(&self) -> Millis;

    /// Milliseconds since the epoch, for people and record timestamps.
    fn wall_ms(&self) -> i64;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        Millis(i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn wall_ms(&self) -> i64 {
        crate::clock::now_ms()
    }
}
