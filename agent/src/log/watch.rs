use tokio::sync::watch;

/// The last version: the log is stopped.
pub(super) const STOPPED: u64 = u64::MAX;

/// Tells that something changed since the last look. Level-triggered: a change between two calls
/// is not missed.
#[derive(Debug, Clone)]
pub struct Watch {
    version: watch::Receiver<u64>,
}

impl Watch {
    pub(super) fn new(version: watch::Receiver<u64>) -> Self {
        Self { version }
    }

    /// Resolves when there was a change since the last time it resolved: sealed data, the list of
    /// lanes, a hold, an alarm. `false` once the log is stopped.
    pub async fn changed(&mut self) -> bool {
        self.version.changed().await.is_ok() && *self.version.borrow_and_update() != STOPPED
    }
}
