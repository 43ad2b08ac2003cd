//! A number of bytes that all connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bytes in use by all connections together. A connection that finds it spent stops reading until
/// some are given back; it may overshoot by what it had read by then.
#[derive(Debug, Clone)]
pub(in crate::sources) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    used: AtomicUsize,
    max: usize,
    freed: Notify,
}

/// What one holder has taken; given back when it is dropped.
#[derive(Debug)]
pub(in crate::sources) struct Held {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(in crate::sources) fn new(max: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                used: AtomicUsize::new(0),
                max,
                freed: Notify::new(),
            }),
        }
    }

    pub(in crate::sources) fn hold(&self, bytes: usize) -> Held {
        self.shared.used.fetch_add(bytes, Ordering::AcqRel);
        Held {
            budget: self.clone(),
            bytes,
        }
    }

    pub(in crate::sources) fn is_spent(&self) -> bool {
        self.shared.used.load(Ordering::Acquire) >= self.shared.max
    }

    /// Resolves once there is something left.
    pub(in crate::sources) async fn available(&self) {
        loop {
            let freed = self.shared.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if !self.is_spent() {
                return;
            }
            freed.await;
        }
    }
}

impl Held {
    /// Changes the amount.
    pub(in crate::sources) fn set(&mut self, bytes: usize) {
        let used = &self.budget.shared.used;
        if bytes >= self.bytes {
            used.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else {
            used.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
            self.budget.shared.freed.notify_waiters();
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_comes_back() {
        let budget = Budget::new(10);
        let mut held = budget.hold(4);
        assert!(!budget.is_spent());
        held.set(10);
        assert!(budget.is_spent());
        drop(held);
        assert!(!budget.is_spent());
    }
}
