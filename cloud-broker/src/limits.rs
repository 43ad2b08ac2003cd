//! What all connections together may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::config::LimitsConfig;
use crate::metrics::{DoorName, Metrics};

/// `[limits]` while the broker runs: places for connections, and memory for requests. One for all
/// doors, behind an `Arc`.
#[derive(Debug)]
pub struct Limits {
    connections_max: u64,
    connections: AtomicU64,
    memory_max: usize,
    memory: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// A connection's place, given back when it is dropped; counted in the metrics of its door.
#[derive(Debug)]
pub struct Place {
    limits: Arc<Limits>,
    door: DoorName,
}

/// Memory that a request holds, given back when it is dropped. It is to grow with the bytes that
/// have arrived, never with those that were announced.
#[derive(Debug)]
pub struct Reserved {
    limits: Arc<Limits>,
    bytes: usize,
}

impl Limits {
    /// Everything free.
    pub fn new(config: &LimitsConfig, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            connections_max: u64::from(config.connections),
            connections: AtomicU64::new(0),
            memory_max: config.request_memory.as_usize(),
            memory: AtomicUsize::new(0),
            metrics,
        })
    }

    /// A place for a connection that was just accepted; `None` if all are taken: close it.
    pub fn enter(self: &Arc<Self>, door: DoorName) -> Option<Place> {
        let max = self.connections_max;
        let one_more = |now| (now < max).then_some(now + 1);
        self.connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        self.metrics.connections.of(door).add(1);
        Some(Place {
            limits: Arc::clone(self),
            door,
        })
    }

    /// Holds nothing yet; see [`Reserved::grow_to`].
    pub fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved {
            limits: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.limits.connections.fetch_sub(1, Ordering::Relaxed);
        self.limits.metrics.connections.of(self.door).add(-1);
    }
}

impl Reserved {
    /// Holds `bytes` altogether, if there is so much; else holds what it held.
    #[must_use = "without the memory the request cannot go on"]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return true;
        };
        let max = self.limits.memory_max;
        let taken = |now: usize| now.checked_add(more).filter(|sum| *sum <= max);
        let memory = &self.limits.memory;
        let granted = memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        if granted.is_ok() {
            self.bytes = bytes;
        }
        granted.is_ok()
    }

    /// Gives back what is above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.limits.memory.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.limits.memory.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use headwater_settings::Bytes;

    use super::*;

    fn limits() -> Arc<Limits> {
        let config = LimitsConfig {
            connections: 2,
            request_memory: Bytes(100),
            ..LimitsConfig::default()
        };
        Limits::new(&config, Arc::default())
    }

    #[test]
    fn places_are_given_back() {
        let limits = limits();
        let first = limits.enter(DoorName::Mqtt);
        let second = limits.enter(DoorName::Kafka);
        assert!(first.is_some() && second.is_some());
        assert!(limits.enter(DoorName::Mqtt).is_none());
        assert_eq!(limits.metrics.connections.of(DoorName::Mqtt).value(), 1);
        drop(first);
        assert_eq!(limits.metrics.connections.of(DoorName::Mqtt).value(), 0);
        assert!(limits.enter(DoorName::Http).is_some());
    }

    #[test]
    fn memory_is_given_back() {
        let limits = limits();
        let mut first = limits.reserve();
        let mut second = limits.reserve();
        assert!(first.grow_to(60) && first.grow_to(50));
        assert_eq!(first.bytes(), 60);
        assert!(!second.grow_to(41) && second.grow_to(40));
        assert!(!first.grow_to(usize::MAX));
        first.shrink_to(90);
        first.shrink_to(20);
        assert_eq!(first.bytes(), 20);
        assert!(second.grow_to(80) && !second.grow_to(81));
        drop(first);
        assert!(second.grow_to(100));
        drop(second);
        assert_eq!(limits.memory.load(Ordering::Relaxed), 0);
    }
}
