//! Disks that are copied or put back: nothing acknowledged is silently missing, nothing is there
//! twice that only one of them held, whatever loses power in between.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use headwater_agent_core::handshake::{Fork, Handshake};
use headwater_agent_core::lane::LaneName;
use headwater_wire::uplink::{Position, RepairReason};

use super::broker::Broker;
use super::crash::seeds_or;
use super::disk::FakeDisk;
use super::{HandClock, Random, append, event, options};
use crate::log::LogOptions;
use crate::log::engine::Engine;

fn lane() -> LaneName {
    LaneName::main("events")
}

/// One device, whose disk can be copied.
struct Agent {
    options: LogOptions,
    clock: Arc<HandClock>,
    disk: FakeDisk,
    acked: BTreeSet<String>,
}

impl Agent {
    fn new(seed: u64) -> Self {
        let (mut options, clock) = options(Path::new("/log"));
        options.batch_bytes = 2_000;
        let disk = FakeDisk::new(seed);
        Self {
            options,
            clock,
            disk,
            acked: BTreeSet::new(),
        }
    }

    fn copy(&self, seed: u64) -> Self {
        Self {
            options: self.options.clone(),
            clock: self.clock.clone(),
            disk: self.disk.copy(seed),
            acked: self.acked.clone(),
        }
    }

    fn open(&mut self) -> Engine {
        self.options.disk = Arc::new(self.disk.clone());
        let mut engine = Engine::open(self.options.clone()).expect("it opens");
        engine.set_link(true);
        engine
    }

    /// Some appends and drains; the power may go after some operations.
    fn live(&mut self, random: &mut Random, number: &mut u64, broker: &mut Broker) {
        let mut engine = self.open();
        if random.one_in(2) {
            self.disk.cut_power_after(1 + random.below(200));
        }
        for _ in 0..random.below(12) {
            if !self.disk.has_power() {
                break;
            }
            if random.one_in(3) {
                self.clock.turn(2_000);
                engine.run(Vec::new());
                let mut answers = random.clone();
                broker.drain(&mut engine, random.index(9), || !answers.one_in(4));
            } else {
                let events: Vec<_> = (0..1 + random.below(30))
                    .map(|step| event(*number + step))
                    .collect();
                *number += events.len() as u64;
                let keys: Vec<_> = events.iter().map(|event| event.key.clone()).collect();
                if append(&mut engine, "events", events).is_ok() {
                    self.acked.extend(keys);
                }
            }
        }
        drop(engine);
        self.disk = self.disk.crash();
    }

    fn finish(&mut self, broker: &mut Broker) {
        let mut engine = self.open();
        self.clock.turn(2_000);
        engine.run(Vec::new());
        broker.drain(&mut engine, usize::MAX, || true);
        for state in engine.lane_states() {
            assert_eq!(state.acked, state.next, "everything left");
        }
    }
}

/// How often each event arrived, over all generations; nothing was declared lost.
fn arrived(broker: &Broker) -> BTreeMap<String, u32> {
    let mut arrived = BTreeMap::new();
    for generation in 0..=broker.generation(&lane()) {
        let taken = broker.taken_as(&lane(), generation);
        assert_eq!(taken.losses, [], "no byte was damaged");
        for key in taken.keys {
            *arrived.entry(key).or_insert(0) += 1;
        }
    }
    arrived
}

fn check(arrived: &BTreeMap<String, u32>, owed: &BTreeSet<String>, shared: &BTreeSet<String>) {
    for key in owed {
        assert!(
            arrived.contains_key(key),
            "{key} was acknowledged and is not there"
        );
    }
    for (key, count) in arrived {
        assert!(
            *count == 1 || shared.contains(key),
            "{key} is there {count} times"
        );
    }
}

fn clones(seed: u64) {
    let mut random = Random::new(seed);
    let mut number = 0;
    let mut broker = Broker::default();
    broker.repairs = true;
    let mut original = Agent::new(seed);
    for _ in 0..random.below(4) {
        original.live(&mut random, &mut number, &mut broker);
    }
    let mut copy = original.copy(seed + 1);
    // What was not acknowledged may be in the log all the same, and in both.
    let shared: BTreeSet<String> = (0..number).map(|number| event(number).key).collect();
    for _ in 0..8 {
        let agent = if random.one_in(2) {
            &mut original
        } else {
            &mut copy
        };
        agent.live(&mut random, &mut number, &mut broker);
    }
    original.finish(&mut broker);
    copy.finish(&mut broker);
    original.finish(&mut broker);
    let owed = original.acked.union(&copy.acked).cloned().collect();
    check(&arrived(&broker), &owed, &shared);
}

fn roll_backs(seed: u64) {
    let mut random = Random::new(seed);
    let mut number = 0;
    let mut broker = Broker::default();
    broker.repairs = true;
    let mut agent = Agent::new(seed);
    for _ in 0..random.below(4) {
        agent.live(&mut random, &mut number, &mut broker);
    }
    let mut image = agent.copy(seed + 1);
    let shared: BTreeSet<String> = (0..number).map(|number| event(number).key).collect();
    for _ in 0..4 {
        agent.live(&mut random, &mut number, &mut broker);
    }
    let before = arrived(&broker);
    for _ in 0..4 {
        image.live(&mut random, &mut number, &mut broker);
    }
    image.finish(&mut broker);
    // What the disk alone held is gone with it; what had arrived is still there.
    let mut owed = image.acked;
    owed.extend(before.into_keys());
    check(&arrived(&broker), &owed, &shared);
}

#[test]
fn two_copies_lose_nothing_and_double_only_what_both_held() {
    for seed in seeds_or(20) {
        let outcome = std::panic::catch_unwind(|| clones(seed));
        assert!(outcome.is_ok(), "HW_SEED={seed} plays this again");
    }
}

#[test]
fn a_disk_that_was_put_back_loses_only_what_it_alone_held() {
    for seed in seeds_or(20) {
        let outcome = std::panic::catch_unwind(|| roll_backs(seed));
        assert!(outcome.is_ok(), "HW_SEED={seed} plays this again");
    }
}

#[test]
fn a_repair_is_told_and_told_again_after_a_restart() {
    let mut agent = Agent::new(7);
    let mut engine = agent.open();
    append(&mut engine, "events", (0..40).map(event).collect()).unwrap();
    let ahead = Broker::default().answer(&lane(), 0);
    let ahead = headwater_agent_core::handshake::ResumeAnswer {
        next: Position(1_000),
        crc: Some(1),
        ..ahead
    };
    let fork = engine.handshake(&lane(), &ahead).unwrap();
    assert_eq!(fork, Handshake::Fork(Fork::Ahead));
    assert!(engine.status().lanes[0].forked.is_some());
    let state = engine.repair(&lane(), 3, RepairReason::Rollback).unwrap();
    assert_eq!((state.generation, state.predecessor), (3, Some(0)));
    assert_eq!((state.oldest, state.next), (Position(0), Position(40)));
    let again = engine.repair(&lane(), 3, RepairReason::Rollback).unwrap();
    assert_eq!(again, state, "asked twice, done once");
    for _ in 0..2 {
        let status = engine.status();
        assert_eq!(status.lanes[0].forked, None);
        let [alarm] = &status.alarms[..] else {
            panic!("one alarm: {:?}", status.alarms);
        };
        assert_eq!(alarm.code, "rollback");
        assert!(alarm.text.contains("generation 3"), "{}", alarm.text);
        drop(engine);
        engine = agent.open();
    }
}

/// As many positions as an epoch of the broker's count has.
const EPOCH: u64 = 1 << 31;

#[test]
fn a_batch_across_the_end_of_an_epoch_goes_behind_it_and_the_hole_is_declared() {
    let mut agent = Agent::new(8);
    let mut engine = agent.open();
    let mut broker = Broker::default();
    broker.repairs = true;
    append(&mut engine, "events", (0..40).map(event).collect()).unwrap();
    agent.clock.turn(2_000);
    engine.run(Vec::new());
    broker.drain(&mut engine, usize::MAX, || true);
    // An epoch's worth was given up since; what came then lies across its end as the broker will
    // count from here on.
    engine.give_up_to(&lane(), Position(40 + EPOCH - 30));
    append(&mut engine, "events", (40..140).map(event).collect()).unwrap();
    agent.clock.turn(2_000);
    engine.run(Vec::new());
    let mut ahead = broker.answer(&lane(), 0);
    ahead.next = Position(2 * EPOCH);
    let fork = engine.handshake(&lane(), &ahead).unwrap();
    assert_eq!(fork, Handshake::Fork(Fork::Ahead));
    broker.set_generation(&lane(), 1);
    engine.repair(&lane(), 1, RepairReason::Rollback).unwrap();

    // One batch at a time, with a restart after each and answers that do not arrive.
    for round in 0.. {
        drop(engine);
        engine = agent.open();
        broker.drain(&mut engine, 1, || round % 2 == 1);
        let taken = broker.taken_as(&lane(), 1);
        if taken.keys.len() == 100 {
            break;
        }
        assert!(round < 20, "{taken:?}");
    }
    let taken = broker.taken_as(&lane(), 1);
    let expected: Vec<_> = (40..140).map(|number| event(number).key).collect();
    assert_eq!(taken.keys, expected);
    let [(from, given_up), (hole, end)] = taken.losses[..] else {
        panic!("{:?}", taken.losses);
    };
    assert_eq!((from, given_up), (Position(0), Position(EPOCH - 30)));
    assert!(hole >= given_up, "{:?}", taken.losses);
    assert_eq!(end, Position(EPOCH), "the hole ends with the epoch");
    assert!(hole < end, "a batch lay across");
    broker.drain(&mut engine, usize::MAX, || true);
    let state = &engine.lane_states()[0];
    assert_eq!(state.acked, state.next, "everything left");
    assert_eq!(state.next, taken.next);
}
