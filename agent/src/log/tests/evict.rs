//! A log that is full and drops the oldest: what the broker gets, event or declared loss, tiles the
//! lane, whatever loses power in between.

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::batch::{Header, payload, records};
use headwater_wire::uplink::Position;

use super::broker::{Broker, Taken};
use super::crash::{Appended, STREAMS, World, seeds_or};
use super::limits::du;
use super::{Random, append, event, options, small};
use crate::log::engine::Engine;
use crate::log::{Event, MAX_BYTES_MIN};

const COUNT: u64 = 1_000;

fn lane() -> LaneName {
    LaneName::main("events")
}

fn noise(random: &mut Random, number: u64) -> Event {
    Event {
        value: Bytes::from(random.bytes(40_000)),
        ..event(number)
    }
}

/// Every acknowledged event arrived, or lies in a declared loss of its place.
fn check(taken: &Taken, appended: &Appended) {
    let mut arrived = taken.keys.iter().enumerate().peekable();
    let mut losses = taken.losses.iter().zip(&taken.before).peekable();
    let mut gap = (0, 0);
    let mut at = 0;
    let mut close = |at: usize, gap: (u64, u64)| {
        let mut lost = 0;
        while let Some(((from, to), _)) = losses.next_if(|(_, before)| **before == at) {
            lost += to.since(*from);
        }
        let (all, acked) = gap;
        assert!(
            (acked..=all).contains(&lost),
            "{lost} declared before arrival {at}, {acked} acknowledged of {all} are not there"
        );
    };
    for (key, acked) in appended {
        match arrived.next_if(|(_, arrived)| *arrived == key) {
            Some((index, _)) => {
                close(index, gap);
                at = index + 1;
                gap = (0, 0);
            }
            None => gap = (gap.0 + 1, gap.1 + u64::from(*acked)),
        }
    }
    close(at, gap);
    assert_eq!(arrived.next(), None, "twice, or out of order");
}

#[test]
fn what_does_not_fit_is_declared_and_the_bytes_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, _) = options(dir.path());
    options.max_bytes = MAX_BYTES_MIN;
    options.drop_oldest = true;
    let mut engine = Engine::open(options.clone()).unwrap();
    let mut random = Random::new(1);
    let mut appended = Appended::new();
    for number in 0..COUNT {
        let noise = noise(&mut random, number);
        appended.push((noise.key.clone(), true));
        append(&mut engine, "events", vec![noise]).expect("there is always room");
        assert!(du(dir.path()) <= MAX_BYTES_MIN, "event {number}");
    }
    let status = engine.status();
    assert_eq!(status.lanes[0].lost_events, 0, "nothing is confirmed");
    assert!(status.alarms.iter().any(|alarm| alarm.code == "overflow"));
    drop(engine);
    let mut engine = Engine::open(options).unwrap();
    let mut broker = Broker::default();
    broker.drain(&mut engine, usize::MAX, || true);
    let taken = broker.taken(&lane());
    let [(from, to)] = taken.losses[..] else {
        panic!("one range is given up: {:?}", taken.losses);
    };
    assert!(from == Position(0) && to > Position(700) && to < Position(900));
    check(&taken, &appended[..taken.keys.len() + small(to.0)].to_vec());
    assert_eq!(engine.status().lanes[0].lost_events, to.0);
}

#[test]
fn a_declared_loss_says_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, _) = options(dir.path());
    options.max_bytes = MAX_BYTES_MIN;
    options.drop_oldest = true;
    let mut engine = Engine::open(options).unwrap();
    let mut random = Random::new(2);
    let mut number = 0;
    while engine.status().alarms.is_empty() {
        append(&mut engine, "events", vec![noise(&mut random, number)]).unwrap();
        number += 1;
    }
    let loss = engine.next_batch(&lane(), Position(0)).unwrap().unwrap();
    let again = engine.next_batch(&lane(), Position(0)).unwrap().unwrap();
    assert_eq!(loss, again, "made once");
    let header = Header::parse_exact(&loss.bytes).unwrap();
    let record = records(&header, payload(&header, &loss.bytes))
        .next()
        .unwrap()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(record.value.unwrap()).unwrap();
    let (to, base) = (loss.next.0, 1_700_000_000_000_u64);
    assert_eq!(value["reason"], "overflow");
    assert_eq!((&value["from"], &value["to"]), (&0.into(), &to.into()));
    assert_eq!(value["events"], to);
    assert_eq!(value["first_ms"], base);
    assert_eq!(value["last_ms"], base + to - 1);
    assert!(value["crc"].is_string());
    // What is evicted next is another loss: this one may be on its way.
    while engine.lane_states()[0].oldest == Position(0) && number < 2 * COUNT {
        append(&mut engine, "events", vec![noise(&mut random, number)]).unwrap();
        number += 1;
    }
    assert_eq!(engine.next_batch(&lane(), Position(0)).unwrap(), Some(loss));
    let next = engine.next_batch(&lane(), Position(to)).unwrap().unwrap();
    assert!(next.next > Position(to + 1), "one range again");
}

#[test]
fn what_was_sent_before_it_was_evicted_may_have_arrived() {
    for restart in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut options, _) = options(dir.path());
        options.max_bytes = MAX_BYTES_MIN;
        options.drop_oldest = true;
        let mut engine = Engine::open(options.clone()).unwrap();
        let mut random = Random::new(3);
        let mut broker = Broker::default();
        let mut appended = Appended::new();
        let mut add = |engine: &mut Engine, numbers: std::ops::Range<u64>| {
            for number in numbers {
                let noise = noise(&mut random, number);
                appended.push((noise.key.clone(), true));
                append(engine, "events", vec![noise]).unwrap();
            }
        };
        add(&mut engine, 0..100);
        broker.drain(&mut engine, 10, || false);
        assert_eq!(
            broker.taken(&lane()).next,
            Position(10),
            "no answer came back"
        );
        if restart {
            drop(engine);
            engine = Engine::open(options).unwrap();
        }
        add(&mut engine, 100..COUNT);
        broker.drain(&mut engine, usize::MAX, || true);
        let taken = broker.taken(&lane());
        let [(from, to)] = taken.losses[..] else {
            panic!("one range is given up: {:?}", taken.losses);
        };
        assert_eq!(from, Position(10), "restart {restart}");
        assert_eq!(engine.status().lanes[0].lost_events, to.since(from));
        check(
            &taken,
            &appended[..taken.keys.len() + small(to.since(from))].to_vec(),
        );
    }
}

fn overflows(seed: u64) {
    let mut world = World::new(seed);
    world.options.max_bytes = MAX_BYTES_MIN;
    world.options.drop_oldest = true;
    world.options.batch_bytes = 64_000;
    world.sizes = [200, 20_000, 60_000, 120_000];
    for _ in 0..4 {
        let mut engine = world.open();
        let operations = 1 + world.random.below(3_000);
        world.disk.cut_power_after(operations);
        // Mostly offline, so that it fills.
        while world.disk.has_power() {
            for _ in 0..world.random.below(60) {
                world.append(&mut engine);
            }
            world.live(&mut engine, 3);
            let status = engine.status();
            assert!(status.bytes <= MAX_BYTES_MIN, "{} bytes", status.bytes);
        }
        drop(engine);
        world.disk = world.disk.crash();
    }
    let mut engine = world.open();
    // What is closed by age may find no room before the broker has taken the rest.
    world.drain(&mut engine);
    world.drain(&mut engine);
    for (index, stream) in STREAMS.iter().enumerate() {
        let taken = world.broker.taken(&LaneName::main(stream));
        check(&taken, &world.appended[index]);
    }
}

#[test]
fn a_power_cut_while_the_oldest_is_given_up_loses_nothing_silently() {
    for seed in seeds_or(2) {
        let outcome = std::panic::catch_unwind(|| overflows(seed));
        assert!(outcome.is_ok(), "HW_SEED={seed} plays this again");
    }
}

#[test]
fn a_held_lane_gives_up_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, _) = options(dir.path());
    options.max_bytes = 20 << 20;
    options.drop_oldest = true;
    let mut engine = Engine::open(options).unwrap();
    let mut random = Random::new(4);
    // The other lane's events are the oldest of all, and lie in a segment that could be given up.
    for number in 0..20 {
        append(&mut engine, "other", vec![noise(&mut random, number)]).unwrap();
    }
    append(&mut engine, "events", vec![noise(&mut random, COUNT)]).unwrap();
    engine.hold(&lane(), Some("Broker refused".into()));
    for number in 1..COUNT {
        append(
            &mut engine,
            "events",
            vec![noise(&mut random, COUNT + number)],
        )
        .unwrap();
    }
    let states = engine.lane_states();
    let (own, other) = (&states[0], &states[1]);
    assert_eq!(other.name, LaneName::main("other"));
    let mut at = Position(0);
    while let Some(batch) = engine.next_batch(&other.name, at).unwrap() {
        assert_eq!(
            crate::log::tail::lost(&batch.bytes),
            None,
            "others lose nothing"
        );
        at = batch.next;
    }
    assert!(
        at >= Position(18) && other.next == Position(20),
        "{other:?}"
    );
    let first = engine.next_batch(&own.name, Position(0)).unwrap().unwrap();
    assert!(
        crate::log::tail::lost(&first.bytes).is_some(),
        "its own are given up"
    );
}
