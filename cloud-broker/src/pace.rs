//! How slowly bytes may move: a client that holds memory has to go on.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// In this time a request that has begun brings at least [`BYTES_MIN`]. The slowest link that
/// agents are made for (10 kbit/s) brings three times as much.
pub const ARRIVAL: Duration = Duration::from_secs(10);
/// In this time a client takes at least [`BYTES_MIN`] of what waits for it, or all.
pub const TAKING: Duration = Duration::from_secs(60);
/// The same while memory for answers is short.
pub const TAKING_WHEN_SHORT: Duration = Duration::from_secs(5);
/// Bytes that have to move.
pub const BYTES_MIN: usize = 4 << 10;

/// Watches over one request, or one answer.
#[derive(Debug)]
pub struct Pace {
    window: Duration,
    since: Instant,
    bytes: usize,
}

/// The bytes move too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Less than {BYTES_MIN} bytes have moved in {} s", .0.as_secs())]
pub struct TooSlow(Duration);

impl Pace {
    /// Begins now; [`BYTES_MIN`] have to move in each `window`.
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            since: Instant::now(),
            bytes: 0,
        }
    }

    /// Waits for the next bytes to move.
    ///
    /// # Errors
    /// [`TooSlow`]: the window is over.
    pub async fn next<T>(&self, moving: impl Future<Output = T>) -> Result<T, TooSlow> {
        let until = self.since + self.window;
        timeout_at(until, moving)
            .await
            .map_err(|_| TooSlow(self.window))
    }

    /// Whether [`BYTES_MIN`] have not moved in a window of `window`.
    pub fn is_over(&self, window: Duration) -> bool {
        self.since.elapsed() >= window
    }

    /// So much has moved; with enough of it a new window begins.
    pub fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= BYTES_MIN {
            *self = Self::new(self.window);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn enough_in_each_window_is_never_too_slow() {
        let mut pace = Pace::new(ARRIVAL);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(9)).await;
            assert_eq!(pace.next(ready(1)).await, Ok(1));
            pace.count(BYTES_MIN);
        }
        assert_eq!(pace.next(pending::<()>()).await, Err(TooSlow(ARRIVAL)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is() {
        let mut pace = Pace::new(ARRIVAL);
        let mut bytes = 0;
        let second = || tokio::time::sleep(Duration::from_secs(1));
        while pace.next(second()).await.is_ok() {
            pace.count(1);
            bytes += 1;
        }
        assert!((9..=10).contains(&bytes), "{bytes}");
    }
}
