//! Memory for answers to consumers: shared with all doors, and bounded.

use std::sync::Arc;

use crate::limits::{Limits, Reserved};

/// What every consumer is owed at a time: one batch, however small its limits (KIP-74).
const OWED_BYTES: usize = 1 << 20;

/// What one answer holds, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room(Reserved);

impl Room {
    /// Up to `bytes`, and at least for one batch; after a while of waiting nothing, if slow
    /// readers hold all that there is.
    pub(super) async fn take(limits: &Arc<Limits>, bytes: usize) -> Self {
        let mut reserved = limits.reserve_answer();
        let mut wanted = bytes.max(OWED_BYTES);
        while wanted > OWED_BYTES && !reserved.grow_to(wanted) {
            wanted = (wanted / 4).max(OWED_BYTES);
        }
        let _or_none_at_all = reserved.wait_for(wanted).await;
        Self(reserved)
    }

    /// How many bytes the answer should stay within.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Holds what the answer, now known, needs.
    pub(super) fn fit(&mut self, bytes: usize) {
        self.0.shrink_to(bytes);
        // The one batch that is owed may be above it.
        let _held_as_far_as_there_is = self.0.grow_to(bytes);
    }
}

#[cfg(test)]
mod tests {
    use headwater_settings::Bytes;

    use super::*;
    use crate::config::LimitsConfig;

    #[tokio::test(start_paused = true)]
    async fn the_last_get_less_and_then_wait() {
        let config = LimitsConfig {
            request_memory: Bytes::mib(40),
            ..LimitsConfig::default()
        };
        let limits = Limits::new(&config, Arc::default());
        let mut first = Room::take(&limits, 8 << 20).await;
        let second = Room::take(&limits, 8 << 20).await;
        assert_eq!([first.bytes(), second.bytes()], [8 << 20, 2 << 20]);
        assert_eq!(Room::take(&limits, 1).await.bytes(), 0, "nobody reads");
        first.fit(100);
        assert_eq!(first.bytes(), 100);
        assert_eq!(Room::take(&limits, 1).await.bytes(), OWED_BYTES);
        drop((first, second));
        assert_eq!(Room::take(&limits, 10 << 20).await.bytes(), 10 << 20);
    }
}
