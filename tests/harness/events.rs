//! Sensor events as the byte ratios of this project are measured on: JSON of 200 +- 20 bytes
//! with a millisecond timestamp, a counter, one of 40 device names and six random walks.

use std::fmt::Write as _;

use crate::rng::Rng;

/// Names that take turns in the events.
pub const DEVICES: u64 = 40;

const CHANNELS: [&str; 6] = [
    "temperature",
    "pressure",
    "humidity",
    "vibration",
    "current",
    "rpm",
];
const STEP: f64 = 0.05;

/// An endless source of events, the same for the same seed.
#[derive(Debug)]
pub struct Events {
    rng: Rng,
    counter: u64,
    now_ms: i64,
    walks: [f64; CHANNELS.len()],
}

/// One event of the generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Topic, `plant/<device>/readings`.
    pub topic: String,
    /// JSON.
    pub payload: String,
    /// Milliseconds since the epoch, rising.
    pub timestamp_ms: i64,
}

impl Events {
    /// Events of `seed`, the first at `start_ms`.
    #[must_use]
    pub fn new(seed: u64, start_ms: i64) -> Self {
        let walks = [21.5, 1_013.2, 45.0, 0.8, 12.4, 1_480.0];
        Self {
            rng: Rng::new(seed),
            counter: 0,
            now_ms: start_ms,
            walks,
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let device = self.rng.below(DEVICES);
        self.now_ms += 1 + i64::try_from(self.rng.below(3)).ok()?;
        self.counter += 1;
        let mut payload = format!(
            "{{\"ts\":{},\"seq\":{:08},\"device\":\"machine-{device:02}\",\"line\":\"assembly-3\",\"state\":\"ok\"",
            self.now_ms, self.counter
        );
        for (walk, name) in self.walks.iter_mut().zip(CHANNELS) {
            *walk += self.rng.signed_unit() * STEP;
            write!(payload, ",\"{name}\":{walk:.3}").ok()?;
        }
        payload.push('}');
        Some(Event {
            topic: format!("plant/machine-{device:02}/readings"),
            payload,
            timestamp_ms: self.now_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_size_that_the_ratios_are_stated_for() {
        for event in Events::new(1, 1_760_000_000_000).take(10_000) {
            assert!(
                (180..=220).contains(&event.payload.len()),
                "{} bytes: {}",
                event.payload.len(),
                event.payload
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        assert!(Events::new(7, 0).take(100).eq(Events::new(7, 0).take(100)));
    }
}
