//! Waking those who wait for new records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Tells of commits to some partitions.
#[derive(Debug)]
pub struct Watch {
    bell: Arc<Notify>,
    watched: Vec<Arc<Watchers>>,
}

impl Watch {
    pub(super) fn new(watched: Vec<Arc<Watchers>>) -> Self {
        let bell = Arc::new(Notify::new());
        watched.iter().for_each(|watchers| watchers.add(&bell));
        Self { bell, watched }
    }

    /// Resolves at the next commit to any of the partitions, or at once if there was one since
    /// the watch was made or last resolved.
    pub async fn changed(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watched
            .iter()
            .for_each(|watchers| watchers.remove(&self.bell));
    }
}

/// Who watches one partition.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    count: AtomicUsize,
    bells: Mutex<BTreeMap<usize, Arc<Notify>>>,
}

impl Watchers {
    /// There is something new. Each watch wakes once, however often it is rung.
    pub(super) fn ring(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
            bells.values().for_each(|bell| bell.notify_one());
        }
    }

    fn add(&self, bell: &Arc<Notify>) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.insert(key(bell), Arc::clone(bell));
        self.count.store(bells.len(), Ordering::Release);
    }

    fn remove(&self, bell: &Arc<Notify>) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.remove(&key(bell));
        self.count.store(bells.len(), Ordering::Release);
    }
}

/// A bell's address is its own for as long as it is in a list.
fn key(bell: &Arc<Notify>) -> usize {
    Arc::as_ptr(bell).addr()
}
