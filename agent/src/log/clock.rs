use std::fmt::Debug;
use std::time::{Duration, Instant};

use headwater_wire::time::Millis;

/// Where the log's time comes from: one that only goes forward.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since a fixed moment of this process.
    fn now(&self) -> Millis;

    /// Milliseconds since the epoch, for people.
    fn wall_ms(&self) -> i64;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;
