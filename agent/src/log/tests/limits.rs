//! Room: what the log allocates, what it writes, and what it refuses.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::uplink::Position;

use super::{Random, append, event, options, pending};
use crate::log::engine::{Engine, LANES_MAX};
use crate::log::{AppendError, Event, LogOptions, MAX_BYTES_MIN, OpenError};

/// As `du -B1` counts.
pub(super) fn du(path: &Path) -> u64 {
    let metadata = std::fs::metadata(path).expect("it is there");
    let inside = std::fs::read_dir(path).into_iter().flatten();
    metadata.blocks() * 512 + inside.map(|entry| du(&entry.unwrap().path())).sum::<u64>()
}

fn noise(random: &mut Random, number: u64, bytes: usize) -> Event {
    Event {
        value: Bytes::from(random.bytes(bytes)),
        ..event(number)
    }
}

#[test]
fn the_directory_never_exceeds_its_bytes_and_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, clock) = options(dir.path());
    options.max_bytes = MAX_BYTES_MIN;
    options.keep_acked = Duration::from_secs(60);
    let mut engine = Engine::open(options).unwrap();
    engine.set_link(true);
    let mut random = Random::new(1);
    let mut number = 0;
    let mut accepted_bytes = 0;
    for round in 0..3 {
        let mut accepted = 0;
        loop {
            let stream = ["a", "b", "c"][random.index(3)];
            let bytes = [200, 5_000, 60_000, 200_000][random.index(4)];
            let count = if bytes > 50_000 {
                1
            } else {
                1 + random.below(30)
            };
            let events: Vec<_> = (0..count)
                .map(|_| {
                    number += 1;
                    noise(&mut random, number, bytes)
                })
                .collect();
            let outcome = append(&mut engine, stream, events);
            clock.turn(random.below(500).cast_signed());
            assert!(du(dir.path()) <= MAX_BYTES_MIN, "round {round}");
            match outcome {
                Ok(()) => accepted += bytes as u64 * count,
                Err(AppendError::Full { used, max_bytes }) => {
                    assert!(used <= max_bytes * 2 && max_bytes == MAX_BYTES_MIN);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(
            accepted > 4 << 20,
            "round {round}: {accepted} bytes were accepted"
        );
        accepted_bytes += accepted;
        // The broker takes everything; what is acknowledged gives way at once, grace or not.
        for lane in engine.lane_states() {
            engine.acknowledge(&lane.name, lane.sealed);
        }
    }
    assert!(accepted_bytes > 16 << 20);
}

#[test]
fn the_least_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        max_bytes: MAX_BYTES_MIN - 1,
        ..options(dir.path()).0
    };
    let error = Engine::open(options).err().expect("it does not open");
    assert_eq!(
        error.to_string(),
        "log.max_bytes is 16777215, and the least is 16777216"
    );
}

#[test]
fn a_held_lane_takes_half_at_most_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, _) = options(dir.path());
    options.max_bytes = 20 << 20;
    let mut engine = Engine::open(options).unwrap();
    let mut random = Random::new(2);
    append(&mut engine, "held", vec![event(0)]).unwrap();
    engine.hold(&LaneName::main("held"), Some("Broker refused".into()));
    let mut bytes = 0;
    let error = loop {
        match append(&mut engine, "held", vec![noise(&mut random, 1, 60_000)]) {
            Ok(()) => bytes += 60_000,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Held { .. }), "{error}");
    assert!((7 << 20..=10 << 20).contains(&bytes), "{bytes}");
    append(&mut engine, "other", vec![noise(&mut random, 1, 60_000)]).expect("others go on");
    engine.hold(&LaneName::main("held"), None);
    append(&mut engine, "held", vec![event(2)]).expect("released");
}

#[test]
fn one_event_alone_costs_two_pages_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let (options, _) = options(dir.path());
    let mut engine = Engine::open(options).unwrap();
    append(&mut engine, "events", vec![event(0)]).unwrap();
    let before = engine.status();
    for number in 1..=2_000 {
        append(&mut engine, "events", vec![event(number)]).unwrap();
    }
    let after = engine.status();
    let written = after.written_bytes - before.written_bytes;
    assert!(
        written <= 2_000 * 8_192,
        "{} bytes per event",
        written / 2_000
    );
    assert!(after.synced_commits - before.synced_commits <= 2_010);
}

#[test]
fn at_full_rate_a_compressed_byte_is_written_about_once() {
    let dir = tempfile::tempdir().unwrap();
    let (options, _) = options(dir.path());
    let mut engine = Engine::open(options).unwrap();
    append(&mut engine, "events", vec![event(0)]).unwrap();
    let before = engine.status().written_bytes;
    let mut number = 1;
    for _ in 0..20 {
        let mut appends = Vec::new();
        for _ in 0..40 {
            appends.push(pending("events", (number..number + 250).map(event).collect()).0);
            number += 250;
        }
        engine.run(appends);
    }
    let written = engine.status().written_bytes - before;
    let lane = LaneName::main("events");
    let (mut at, mut compressed, mut batches) = (Position(0), 0, 0);
    while let Some(batch) = engine.next_batch(&lane, at).unwrap() {
        at = batch.next;
        compressed += batch.bytes.len() as u64;
        batches += 1;
    }
    assert!(
        batches > 40 && compressed / batches > 57_000,
        "batches come close to their size"
    );
    let ratio = written as f64 / compressed as f64;
    assert!(ratio <= 1.6, "{ratio:.2} bytes written per compressed byte");
}

#[test]
fn lanes_are_bounded_and_names_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (options, _) = options(dir.path());
    let mut engine = Engine::open(options).unwrap();
    for index in 0..LANES_MAX {
        append(&mut engine, &format!("stream-{index}"), vec![event(0)]).unwrap();
    }
    let error = append(&mut engine, "one-more", vec![event(0)]).unwrap_err();
    assert_eq!(error.to_string(), "Log has 64 lanes and takes no more");
    append(&mut engine, "stream-3", vec![event(1)]).unwrap();
}

#[test]
fn many_lanes_with_much_open_fit_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (options, _) = options(dir.path());
    let mut engine = Engine::open(options.clone()).unwrap();
    let mut random = Random::new(4);
    for turn in 0..3 {
        let mut waiting = Vec::new();
        let mut appends = Vec::new();
        for index in 0..40 {
            let event = noise(&mut random, turn, 40_000);
            let (append, answer) = pending(&format!("stream-{index}"), vec![event]);
            appends.push(append);
            waiting.push(answer);
        }
        engine.run(appends);
        assert!(
            waiting
                .iter_mut()
                .all(|answer| answer.try_recv().unwrap().is_ok())
        );
    }
    drop(engine);
    let mut engine = Engine::open(options).unwrap();
    assert_eq!(engine.status().alarms, []);
    assert!(
        engine
            .lane_states()
            .iter()
            .all(|lane| lane.next == Position(3))
    );
}

#[test]
fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (options, _) = options(dir.path());
    let engine = Engine::open(options.clone()).unwrap();
    let error = Engine::open(options.clone()).err().expect("it is in use");
    assert!(matches!(error, OpenError::InUse { pid, .. } if pid == std::process::id()));
    let text = format!("data directory {} is in use by pid", dir.path().display());
    assert!(error.to_string().starts_with(&text), "{error}");
    engine.close();
    assert!(Engine::open(options).is_ok());
}
