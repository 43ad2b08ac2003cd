//! Which connection has which client id, on whatever core it sits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// All client ids in use; one for the whole door.
#[derive(Debug, Default)]
pub(super) struct Registry {
    holders: Mutex<HashMap<Box<str>, Arc<Holder>>>,
    connections: AtomicU64,
}

/// A connection as other cores see it.
#[derive(Debug)]
pub(super) struct Holder {
    /// Never used again in this process.
    pub(super) number: u64,
    taken_over: AtomicBool,
    /// Wakes the connection's task.
    pub(super) signal: Notify,
}

impl Registry {
    /// A new connection, without a client id yet.
    pub(super) fn connection(&self) -> Arc<Holder> {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Holder {
            number,
            taken_over: AtomicBool::new(false),
            signal: Notify::new(),
        })
    }

    /// Gives `client_id` to `holder`; whoever had it is told to end (MQTT-3.1.4-3).
    pub(super) fn enter(&self, client_id: &str, holder: &Arc<Holder>) {
        let before = self.lock().insert(client_id.into(), Arc::clone(holder));
        if let Some(before) = before {
            before.taken_over.store(true, Ordering::Release);
            before.signal.notify_one();
        }
    }

    /// Frees `client_id`, if `holder` still has it.
    pub(super) fn leave(&self, client_id: &str, holder: &Holder) {
        let mut holders = self.lock();
        if holders
            .get(client_id)
            .is_some_and(|current| current.number == holder.number)
        {
            holders.remove(client_id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<Holder>>> {
        // Nothing in here panics half way.
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// Whether another connection has come with the same client id.
    pub(super) fn is_taken_over(&self) -> bool {
        self.taken_over.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_connection_has_the_client_id() {
        let registry = Registry::default();
        let (first, second) = (registry.connection(), registry.connection());
        assert_ne!(first.number, second.number);
        registry.enter("c", &first);
        registry.enter("c", &second);
        assert!(first.is_taken_over() && !second.is_taken_over());
        registry.leave("c", &first);
        let third = registry.connection();
        registry.enter("c", &third);
        assert!(second.is_taken_over());
        registry.leave("c", &third);
        registry.enter("c", &registry.connection());
        assert!(!third.is_taken_over());
    }
}
