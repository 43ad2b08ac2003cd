//! What the listeners of all doors have in common: connections that cannot be accepted.

use std::io;
use std::time::{Duration, Instant};

/// Pause after a connection could not be accepted. The process has no file handle left, and the
/// connection stays in the queue: without a pause the listener would spin on it.
pub const PAUSE: Duration = Duration::from_millis(100);
/// Between two lines in the log.
const SILENCE: Duration = Duration::from_secs(60);

/// Says that connections cannot be accepted: once, and again only after a while.
#[derive(Debug, Default)]
pub struct AcceptTrouble {
    told: Option<Instant>,
}

impl AcceptTrouble {
    /// One more connection could not be accepted on `listener`.
    pub fn tell(&mut self, listener: &str, error: &io::Error) {
        let now = Instant::now();
        if self.is_due(now) {
            tracing::warn!("Connections cannot be accepted on {listener}: {error}");
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.told.is_none_or(|told| now - told >= SILENCE);
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_flood_the_log() {
        let (mut trouble, begun) = (AcceptTrouble::default(), Instant::now());
        let lines = (0..1000)
            .filter(|n| trouble.is_due(begun + PAUSE * *n))
            .count();
        assert_eq!(lines, 2, "in 100 seconds");
    }
}
