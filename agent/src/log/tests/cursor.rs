//! Steps under power cuts and failing syncs, from a seed: events and cursor are durable together.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use tokio::sync::oneshot;

use super::broker::Broker;
use super::disk::FakeDisk;
use super::{HandClock, Random, options, pending};
use crate::log::engine::{Engine, PendingStep};
use crate::log::{AppendError, Event, LogOptions, STEP_BYTES_MAX, Step};

const STREAMS: [&str; 2] = ["events", "rejected"];
const SOURCE: &str = "file:1";

struct World {
    random: Random,
    options: LogOptions,
    clock: Arc<HandClock>,
    disk: FakeDisk,
    broker: Broker,
    /// What the source read up to, as far as it was told.
    told: u64,
    others: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut options, clock) = options(Path::new("/log"));
        options.batch_bytes = [2_000, 20_000, 64_000][random.index(3)];
        options.keep_acked = std::time::Duration::from_secs([0, 30][random.index(2)]);
        Self {
            random,
            options,
            clock,
            disk: FakeDisk::new(seed),
            broker: Broker::default(),
            told: 0,
            others: 0,
        }
    }

    fn open(&mut self) -> Engine {
        self.options.disk = Arc::new(self.disk.clone());
        Engine::open(self.options.clone()).expect("a crash never stops the log")
    }

    fn event(&mut self, key: String) -> Event {
        let bytes = [10, 200, 3_000, 30_000][self.random.index(4)];
        Event {
            timestamp: 1_000,
            key,
            value: self.random.bytes(bytes).into(),
            headers: Vec::new(),
        }
    }

    /// The source goes on at its cursor.
    fn step(&mut self, engine: &mut Engine) {
        let at = cursor(engine);
        let mut to = at;
        let mut parts = STREAMS.map(|stream| (stream.to_owned(), Vec::new()));
        let mut left = STEP_BYTES_MAX;
        for _ in 0..=self.random.below(300) {
            let part = usize::from(self.random.one_in(5));
            let event = self.event(format!("line/{to}"));
            if left < event.bytes() + 64 {
                break;
            }
            left -= event.bytes() + 64;
            parts[part].1.push(event);
            to += 1;
        }
        let events = parts.into_iter().filter(|(_, events)| !events.is_empty());
        let step = Step {
            source: SOURCE.into(),
            cursor: Bytes::copy_from_slice(&to.to_le_bytes()),
            events: events.collect(),
        };
        if run_step(engine, step).is_ok() {
            self.told = to;
            assert_eq!(cursor(engine), to);
        }
    }

    fn other(&mut self, engine: &mut Engine) {
        let count = self.random.below(40);
        let events = (0..count).map(|_| {
            self.others += 1;
            self.event(format!("other/{}", self.others))
        });
        let events: Vec<Event> = events.collect();
        let (append, _answer) = pending(STREAMS[self.random.index(2)], events);
        engine.run(vec![append]);
    }

    fn live(&mut self, engine: &mut Engine) {
        for _ in 0..150 {
            if !self.disk.has_power() {
                return;
            }
            match self.random.below(10) {
                0..5 => self.step(engine),
                5..7 => self.other(engine),
                7 => {
                    engine.set_link(self.random.one_in(2));
                    self.clock.turn(self.random.below(40_000).cast_signed());
                    engine.run(Vec::new());
                }
                _ => {
                    let count = self.random.index(12);
                    self.broker.drain(engine, count, || true);
                }
            }
        }
    }

    fn finish(&mut self) {
        let mut engine = self.open();
        let read = cursor(&engine);
        assert!(read >= self.told, "{read} of {} that were told", self.told);
        engine.set_link(true);
        self.clock.turn(60_000);
        engine.run(Vec::new());
        self.broker.drain(&mut engine, usize::MAX, || true);
        let mut lines = Vec::new();
        for stream in STREAMS {
            let keys = self.broker.taken(&LaneName::main(stream)).keys;
            let numbers = keys.iter().filter_map(|key| key.strip_prefix("line/"));
            let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
            assert!(numbers.is_sorted(), "{stream} is in order");
            lines.extend(numbers);
        }
        lines.sort_unstable();
        assert_eq!(
            lines,
            (0..read).collect::<Vec<_>>(),
            "each line is there once"
        );
    }
}

fn cursor(engine: &Engine) -> u64 {
    let cursor = engine.cursor(SOURCE);
    cursor.map_or(0, |cursor| {
        u64::from_le_bytes(cursor[..].try_into().expect("8 bytes"))
    })
}

fn run_step(engine: &mut Engine, step: Step) -> Result<(), AppendError> {
    let (answer, mut waiting) = oneshot::channel();
    engine.run_step(PendingStep { step, answer }, |_| {});
    // A step is answered before it returns.
    waiting.try_recv().unwrap_or(Err(AppendError::Stopped))
}

#[test]
fn after_a_power_cut_the_cursor_says_what_is_there() {
    for seed in 1..=30 {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for round in 0..5 {
                let mut engine = world.open();
                if round % 2 == 1 {
                    world.disk.fail_sync_after(world.random.below(60));
                }
                world.disk.cut_power_after(1 + world.random.below(1_200));
                world.live(&mut engine);
                drop(engine);
                world.disk = world.disk.crash();
            }
            world.finish();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_full_log_takes_neither_events_nor_cursor_and_goes_on_later() {
    let mut world = World::new(7);
    world.options.max_bytes = crate::log::MAX_BYTES_MIN;
    let mut engine = world.open();
    let mut number = 0_u64;
    let step = |number: u64, random: &mut Random| Step {
        source: SOURCE.into(),
        cursor: Bytes::copy_from_slice(&(number + 1).to_le_bytes()),
        events: vec![(
            STREAMS[0].into(),
            vec![Event {
                timestamp: 1,
                key: format!("line/{number}"),
                value: random.bytes(200_000).into(),
                headers: Vec::new(),
            }],
        )],
    };
    let refused = loop {
        match run_step(&mut engine, step(number, &mut world.random)) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Full { .. }), "{refused}");
    assert_eq!(cursor(&engine), number);
    engine.set_link(true);
    world.clock.turn(60_000);
    engine.run(Vec::new());
    world.broker.drain(&mut engine, usize::MAX, || true);
    run_step(&mut engine, step(number, &mut world.random)).expect("there is room again");
    drop(engine);
    world.told = number + 1;
    world.finish();
}

#[test]
fn what_is_too_large_or_has_no_name_is_refused() {
    let step = Step {
        source: SOURCE.into(),
        cursor: Bytes::new(),
        events: Vec::new(),
    };
    assert!(step.check().is_ok());
    let nameless = Step {
        source: String::new(),
        ..step.clone()
    };
    assert!(matches!(nameless.check(), Err(AppendError::Stream(_))));
    let cursor = vec![0; crate::log::CURSOR_BYTES_MAX + 1].into();
    let long = Step { cursor, ..step };
    assert!(matches!(long.check(), Err(AppendError::TooLarge { .. })));
}
