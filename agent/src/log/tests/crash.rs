//! Power cuts, from a seed: every acknowledged event is there once, in order, and no position is
//! ever sent with other bytes.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;

use super::broker::Broker;
use super::disk::FakeDisk;
use super::{HandClock, Random, options, pending};
use crate::log::engine::Engine;
use crate::log::{Event, LogOptions};

const DIR: &str = "/log";
pub(super) const STREAMS: [&str; 2] = ["events", "slow"];

/// What was appended to a stream, in order, and whether it was acknowledged.
pub(super) type Appended = Vec<(String, bool)>;

pub(super) struct World {
    pub(super) random: Random,
    pub(super) options: LogOptions,
    clock: Arc<HandClock>,
    pub(super) disk: FakeDisk,
    pub(super) broker: Broker,
    pub(super) appended: [Appended; 2],
    number: u64,
    /// Sizes of events, bytes.
    pub(super) sizes: [u64; 4],
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut options, clock) = options(Path::new(DIR));
        options.batch_bytes = [2_000, 20_000, 64_000][random.index(3)];
        options.keep_acked = std::time::Duration::from_secs([0, 30, 600][random.index(3)]);
        let disk = FakeDisk::new(seed);
        Self {
            random,
            options,
            clock,
            disk,
            broker: Broker::default(),
            appended: Default::default(),
            number: 0,
            sizes: [20, 200, 3_000, 40_000],
        }
    }

    pub(super) fn open(&mut self) -> Engine {
        self.options.disk = Arc::new(self.disk.clone());
        let mut engine = Engine::open(self.options.clone()).expect("a crash never stops the log");
        let alarms = engine.status().alarms;
        assert!(
            alarms.iter().all(|alarm| alarm.code != "damaged"),
            "{alarms:?}"
        );
        engine
    }

    fn event(&mut self, stream: usize, bytes: u64) -> Event {
        self.number += 1;
        let key = format!("gw-1/{}/{}", STREAMS[stream], self.number);
        let bytes = usize::try_from(bytes).expect("small");
        let value = if self.random.one_in(2) {
            Bytes::from(self.random.bytes(bytes))
        } else {
            Bytes::from(vec![b'x'; bytes])
        };
        Event {
            timestamp: 1_000 + self.number.cast_signed(),
            key,
            value,
            headers: Vec::new(),
        }
    }

    /// One commit of a few appends.
    pub(super) fn append(&mut self, engine: &mut Engine) {
        let mut appends = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..=self.random.below(4) {
            let stream = usize::from(self.random.one_in(4));
            let bytes = self.sizes[self.random.index(4)];
            let count = 1 + self.random.below(if bytes > 1_000 { 3 } else { 60 });
            let events: Vec<Event> = (0..count).map(|_| self.event(stream, bytes)).collect();
            let keys: Vec<String> = events.iter().map(|event| event.key.clone()).collect();
            let (append, answer) = pending(STREAMS[stream], events);
            appends.push(append);
            waiting.push((stream, keys, answer));
        }
        engine.run(appends);
        for (stream, keys, mut answer) in waiting {
            let acked = answer.try_recv().expect("a commit answers").is_ok();
            self.appended[stream].extend(keys.into_iter().map(|key| (key, acked)));
        }
    }

    pub(super) fn live(&mut self, engine: &mut Engine, turns: u64) {
        for _ in 0..turns {
            if !self.disk.has_power() {
                return;
            }
            match self.random.below(10) {
                0..6 => self.append(engine),
                6 => {
                    engine.set_link(self.random.one_in(2));
                }
                7 => {
                    self.clock.turn(self.random.below(40_000).cast_signed());
                    engine.run(Vec::new());
                }
                8 if self.random.one_in(4) => {
                    self.broker.miss(engine, 12);
                }
                _ => {
                    let count = self.random.index(12);
                    let mut random = self.random.clone();
                    self.random.next();
                    self.broker.drain(engine, count, || !random.one_in(4));
                }
            }
        }
    }

    /// Everything leaves.
    pub(super) fn drain(&mut self, engine: &mut Engine) {
        engine.set_link(true);
        self.clock.turn(60_000);
        engine.run(Vec::new());
        self.broker.drain(engine, usize::MAX, || true);
    }

    /// Everything leaves, and is what it should be.
    fn finish(&mut self, mut engine: Engine) {
        self.drain(&mut engine);
        for (index, stream) in STREAMS.iter().enumerate() {
            let taken = self.broker.taken(&LaneName::main(stream));
            assert_eq!(taken.losses, [], "{stream}: nothing was damaged");
            let mut arrived = taken.keys.iter().peekable();
            for (key, acked) in &self.appended[index] {
                let is_there = arrived.next_if(|arrived| *arrived == key).is_some();
                assert!(
                    is_there || !acked,
                    "{stream}: {key} was acknowledged and is not there"
                );
            }
            assert_eq!(
                arrived.next(),
                None,
                "{stream}: something is there twice or out of order"
            );
        }
    }
}

fn power_cuts(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..6 {
        let mut engine = world.open();
        let operations = 1 + world.random.below(400);
        world.disk.cut_power_after(operations);
        world.live(&mut engine, 200);
        drop(engine);
        world.disk = world.disk.crash();
    }
    let engine = world.open();
    world.finish(engine);
}

#[test]
fn a_power_cut_loses_and_doubles_nothing_acknowledged() {
    for seed in seeds_or(5) {
        let outcome = std::panic::catch_unwind(|| power_cuts(seed));
        assert!(outcome.is_ok(), "HW_SEED={seed} plays this again");
    }
}

/// A few, or the one that the environment names with `HW_SEED`, or as many as `HW_SEEDS` says.
pub(super) fn seeds_or(few: u64) -> std::ops::RangeInclusive<u64> {
    let named = |name| {
        std::env::var(name)
            .ok()
            .and_then(|number| number.parse().ok())
    };
    match (named("HW_SEED"), named("HW_SEEDS")) {
        (Some(seed), _) => seed..=seed,
        (None, count) => 1..=count.unwrap_or(few),
    }
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_loses_nothing() {
    for seed in seeds_or(5) {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..4 {
                let mut engine = world.open();
                let syncs = world.random.below(30);
                world.disk.fail_sync_after(syncs);
                let operations = 1 + world.random.below(800);
                world.disk.cut_power_after(operations);
                world.live(&mut engine, 120);
                drop(engine);
                world.disk = world.disk.crash();
            }
            let engine = world.open();
            world.finish(engine);
        });
        assert!(outcome.is_ok(), "HW_SEED={seed} plays this again");
    }
}
