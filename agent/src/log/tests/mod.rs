//! The log on disks that fail, and what it promises about bytes.

mod broker;
mod crash;
mod cursor;
pub(super) mod disk;
mod evict;
mod faults;
mod handle;
mod handshake;
mod limits;
mod repair;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::time::Millis;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::engine::{Engine, Pending};
use super::{AppendError, Event, LogOptions};

/// A clock that is turned by hand.
#[derive(Debug, Default)]
struct HandClock {
    now_ms: AtomicI64,
}

impl HandClock {
    fn turn(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Millis {
        Millis(self.now_ms.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000 + self.now_ms.load(Ordering::Relaxed)
    }
}

/// xorshift64*.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    fn index(&mut self, end: usize) -> usize {
        small(self.below(end as u64))
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// A number that is small by construction.
fn small(number: u64) -> usize {
    usize::try_from(number).expect("numbers of tests are small")
}

/// Options with a clock that is turned by hand.
fn options(dir: &std::path::Path) -> (LogOptions, Arc<HandClock>) {
    let clock = Arc::new(HandClock::default());
    let options = LogOptions {
        clock: clock.clone(),
        ..LogOptions::new(dir, "gw-1")
    };
    (options, clock)
}

/// An event that says its number, about 200 bytes, as compressible as readings are.
fn event(number: u64) -> Event {
    let walk = |step: u64| (number * step % 9_973) as f64 / 1_000.0;
    let value = format!(
        r#"{{"ts":{},"n":{number},"device":"sensor-{:02}","a":{:.3},"b":{:.3},"c":{:.3},"d":{:.3},"e":{:.3},"f":{:.3},"unit":"degree celsius"}}"#,
        1_700_000_000_000 + number,
        number % 40,
        walk(3),
        walk(7),
        walk(11),
        walk(13),
        walk(17),
        walk(19),
    );
    Event {
        timestamp: 1_700_000_000_000 + number.cast_signed(),
        key: format!("gw-1/sensor-{:02}/{number}", number % 40),
        value: Bytes::from(value),
        headers: Vec::new(),
    }
}

/// An append, and where its answer comes.
fn pending(
    stream: &str,
    events: Vec<Event>,
) -> (Pending, oneshot::Receiver<Result<(), AppendError>>) {
    let (answer, waiting) = oneshot::channel();
    (
        Pending {
            lane: LaneName::main(stream),
            events,
            answer,
        },
        waiting,
    )
}

/// One append, alone in its commit.
fn append(engine: &mut Engine, stream: &str, events: Vec<Event>) -> Result<(), AppendError> {
    let (append, mut waiting) = pending(stream, events);
    engine.run(vec![append]);
    // A commit answers every append before it returns.
    waiting.try_recv().unwrap_or(Err(AppendError::Stopped))
}
