//! What all connections together may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::config::LimitsConfig;
use crate::metrics::{DoorName, Metrics};

/// `[limits]` while the broker runs: places for connections, and memory for requests. One for all
/// doors, behind an `Arc`.
///
/// A quarter of the memory is for answers, so that those who ask for much and those who send much
/// cannot starve each other. Of the rest an eighth of all is kept for requests of at most
/// [`SMALL_BYTES_MAX`]: they go on while others are half sent.
#[derive(Debug)]
pub struct Limits {
    connections_max: u64,
    connections: AtomicU64,
    requests: Pool,
    answers: Pool,
    metrics: Arc<Metrics>,
}

/// Requests up to this size, in bytes, have memory of their own: batches as agents make them fit.
pub const SMALL_BYTES_MAX: usize = 64 << 10;

/// How often, and how many times, memory that others hold is asked for again.
const RETRY: Duration = Duration::from_millis(20);
const RETRIES: u32 = 250;

/// Memory for one purpose.
#[derive(Debug)]
struct Pool {
    max: usize,
    /// For what is larger than [`SMALL_BYTES_MAX`].
    large_max: usize,
    taken: AtomicUsize,
}

/// A connection's place, given back when it is dropped; counted in the metrics of its door.
#[derive(Debug)]
pub struct Place {
    limits: Arc<Limits>,
    door: DoorName,
}

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Request,
    Answer,
}

/// Memory that a request or an answer holds, given back when it is dropped. It is to grow with the
/// bytes that have arrived, never with those that were announced.
#[derive(Debug)]
pub struct Reserved {
    limits: Arc<Limits>,
    purpose: Purpose,
    bytes: usize,
}

impl Limits {
    /// Everything free.
    pub fn new(config: &LimitsConfig, metrics: Arc<Metrics>) -> Arc<Self> {
        let all = config.request_memory.as_usize();
        let eighths = |count: usize| all / 8 * count;
        Arc::new(Self {
            connections_max: u64::from(config.connections),
            connections: AtomicU64::new(0),
            requests: Pool::new(eighths(6), eighths(5)),
            answers: Pool::new(eighths(2), eighths(2)),
            metrics,
        })
    }

    /// A place for one more connection; `None` if all are taken: close it.
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

    /// For a request; holds nothing yet, see [`Reserved::grow_to`].
    pub fn reserve(self: &Arc<Self>) -> Reserved {
        self.reserved(Purpose::Request)
    }

    /// For an answer, or whatever else waits to be sent; holds nothing yet.
    pub fn reserve_answer(self: &Arc<Self>) -> Reserved {
        self.reserved(Purpose::Answer)
    }

    /// Whether most of the memory for answers is taken: who does not read is in others' way.
    pub fn is_short_of_answers(&self) -> bool {
        self.answers.taken.load(Ordering::Relaxed) > self.answers.max / 2
    }

    fn reserved(self: &Arc<Self>, purpose: Purpose) -> Reserved {
        Reserved {
            limits: Arc::clone(self),
            purpose,
            bytes: 0,
        }
    }

    fn pool(&self, purpose: Purpose) -> &Pool {
        match purpose {
            Purpose::Request => &self.requests,
            Purpose::Answer => &self.answers,
        }
    }
}

impl Pool {
    fn new(max: usize, large_max: usize) -> Self {
        Self {
            max,
            large_max,
            taken: AtomicUsize::new(0),
        }
    }

    /// The most that there is for what has `bytes` altogether.
    fn most(&self, bytes: usize) -> usize {
        match bytes <= SMALL_BYTES_MAX {
            true => self.max,
            false => self.large_max,
        }
    }

    /// Takes `more` for what then has `bytes` altogether.
    fn take(&self, bytes: usize, more: usize) -> bool {
        let max = self.most(bytes);
        let taken = |now: usize| now.checked_add(more).filter(|sum| *sum <= max);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_ok()
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
        let granted = self.limits.pool(self.purpose).take(bytes, more);
        if granted {
            self.bytes = bytes;
        }
        granted
    }

    /// Holds `bytes` altogether, if there is so much within some seconds: others have to go on, or
    /// are cut ([`crate::pace`]).
    #[must_use = "without the memory the request cannot go on"]
    pub async fn wait_for(&mut self, bytes: usize) -> bool {
        for _ in 0..RETRIES {
            if self.grow_to(bytes) {
                return true;
            }
            sleep(RETRY).await;
        }
        self.grow_to(bytes)
    }

    /// Gives back what is above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        if less > 0 {
            let pool = self.limits.pool(self.purpose);
            pool.taken.fetch_sub(less, Ordering::Relaxed);
            self.bytes -= less;
        }
    }

    /// Whether it could hold `bytes` if nobody else held anything.
    pub fn could_hold(&self, bytes: usize) -> bool {
        bytes <= self.limits.pool(self.purpose).most(bytes)
    }

    /// Where refusals are counted.
    pub fn metrics(&self) -> &Metrics {
        &self.limits.metrics
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use headwater_settings::Bytes;

    use super::*;

    const SMALL: usize = SMALL_BYTES_MAX;

    fn limits() -> Arc<Limits> {
        let config = LimitsConfig {
            connections: 2,
            request_memory: Bytes(16 * SMALL as u64),
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
        assert!(first.grow_to(6 * SMALL) && first.grow_to(5 * SMALL));
        assert_eq!(first.bytes(), 6 * SMALL);
        assert!(!second.grow_to(4 * SMALL + 1) && second.grow_to(4 * SMALL));
        assert!(!first.grow_to(usize::MAX));
        assert!(first.could_hold(10 * SMALL) && !first.could_hold(10 * SMALL + 1));
        first.shrink_to(9 * SMALL);
        first.shrink_to(2 * SMALL);
        assert_eq!(first.bytes(), 2 * SMALL);
        assert!(second.grow_to(8 * SMALL) && !second.grow_to(8 * SMALL + 1));
        drop(first);
        assert!(second.grow_to(10 * SMALL));
        drop(second);
        assert_eq!(limits.requests.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn small_requests_and_answers_have_their_own() {
        let limits = limits();
        let mut large = limits.reserve();
        assert!(large.grow_to(10 * SMALL) && !large.grow_to(10 * SMALL + 1));
        let mut small = [limits.reserve(), limits.reserve()];
        assert!(small.iter_mut().all(|small| small.grow_to(SMALL)));
        assert!(!limits.reserve().grow_to(1), "now there is nothing");
        let mut answer = limits.reserve_answer();
        assert!(!limits.is_short_of_answers() && answer.grow_to(4 * SMALL));
        assert!(limits.is_short_of_answers() && !limits.reserve_answer().grow_to(1));
    }
}
