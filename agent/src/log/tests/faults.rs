//! Bytes that changed behind the log's back: what is damaged is reported and declared, and
//! nothing else is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use headwater_agent_core::lane::LaneName;
use headwater_wire::batch::Header;

use super::broker::Broker;
use super::disk::FakeDisk;
use super::{Random, append, event, options};
use crate::log::engine::Engine;
use crate::log::space::TAIL_FILE_BYTES;
use crate::log::{AppendError, LogOptions, OpenError};

const PAGE: usize = 4096;

fn start(seed: u64) -> (LogOptions, FakeDisk) {
    let (mut options, _) = options(Path::new("/log"));
    let disk = FakeDisk::new(seed);
    options.disk = Arc::new(disk.clone());
    options.batch_age = Duration::ZERO;
    (options, disk)
}

fn lane() -> LaneName {
    LaneName::main("events")
}

/// Opens, seals everything and lets the broker take it.
fn drain(options: &LogOptions) -> (Broker, Vec<String>) {
    let mut engine = Engine::open(options.clone()).expect("damage does not stop the log");
    let (broker, alarms) = drain_engine(&mut engine);
    let name = lane();
    assert!(
        append(&mut engine, "events", vec![event(999_999)]).is_ok(),
        "intake goes on"
    );
    assert!(broker.taken(&name).next <= engine.lane_states()[0].next);
    (broker, alarms)
}

fn drain_engine(engine: &mut Engine) -> (Broker, Vec<String>) {
    engine.set_link(true);
    let mut broker = Broker::default();
    // Whatever is open is old enough.
    engine.run(Vec::new());
    broker.drain(engine, usize::MAX, || true);
    let alarms = engine.status().alarms;
    (broker, alarms.into_iter().map(|alarm| alarm.text).collect())
}

fn tail_files(disk: &FakeDisk) -> Vec<PathBuf> {
    let is_tail = |path: &PathBuf| path.to_string_lossy().contains("tail-");
    disk.names().into_iter().filter(is_tail).collect()
}

fn segments(disk: &FakeDisk) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|name| name == "redb");
    disk.names().into_iter().filter(is_segment).collect()
}

/// The journal file with the newest frames, and where each of them begins.
fn frames(disk: &FakeDisk) -> (PathBuf, Vec<usize>) {
    let sequence = |bytes: &[u8], at: usize| {
        let number = bytes[at + 24..at + 32].try_into().expect("eight bytes");
        (bytes[at..at + 4] == *b"HWJ1").then(|| u64::from_le_bytes(number))
    };
    let mut best = (0, PathBuf::new(), Vec::new());
    for path in tail_files(disk) {
        disk.edit(&path, |bytes| {
            let first = sequence(bytes, 0).unwrap_or(0);
            let mut expected = first;
            let mut starts = Vec::new();
            for at in (0..bytes.len()).step_by(PAGE) {
                if first > 0 && sequence(bytes, at) == Some(expected) {
                    starts.push(at);
                    expected += 1;
                }
            }
            if first > best.0 {
                best = (first, path.clone(), starts);
            }
        });
    }
    (best.1, best.2)
}

#[test]
fn a_bad_frame_before_good_ones_is_damage_and_only_it_is_lost() {
    for bit in 0..8 {
        let (options, disk) = start(3);
        let mut engine = Engine::open(options.clone()).unwrap();
        for number in 0..20 {
            append(&mut engine, "events", vec![event(number)]).unwrap();
        }
        drop(engine);
        let (file, starts) = frames(&disk);
        assert_eq!(starts.len(), 21, "a checkpoint and 20 commits");
        let mut random = Random::new(bit);
        let at = starts[7] + random.index(300);
        disk.edit(&file, |bytes| bytes[at] ^= 1 << bit);
        let (broker, alarms) = drain(&options);
        let taken = broker.taken(&lane());
        assert!(
            alarms
                .iter()
                .any(|text| text.contains("Journal is damaged")),
            "{alarms:?}"
        );
        assert_eq!(taken.losses.len(), 1);
        assert_eq!((taken.losses[0].0.0, taken.losses[0].1.0), (6, 7));
        let expected = (0..20)
            .filter(|number| *number != 6)
            .map(|number| event(number).key);
        assert_eq!(taken.keys[..19], expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_bad_frame_with_nothing_behind_it_is_a_torn_end() {
    let (options, disk) = start(4);
    let mut engine = Engine::open(options.clone()).unwrap();
    for number in 0..5 {
        append(&mut engine, "events", vec![event(number)]).unwrap();
    }
    drop(engine);
    let (file, starts) = frames(&disk);
    let last = *starts.last().unwrap();
    disk.edit(&file, |bytes| bytes[last + 100] ^= 1);
    let mut engine = Engine::open(options).unwrap();
    assert_eq!(engine.status().alarms, []);
    assert_eq!(engine.lane_states()[0].next.0, 4);
}

#[test]
fn a_recycled_file_gives_only_the_frames_of_its_present_use() {
    let (options, disk) = start(5);
    let mut engine = Engine::open(options.clone()).unwrap();
    let pages = TAIL_FILE_BYTES / PAGE as u64;
    // Both files have been full, and the present one begins anew over old frames.
    let mut number = 0;
    let mut starts = Vec::new();
    while number < 2 * pages || starts.len() != 2 {
        append(&mut engine, "events", vec![event(number)]).unwrap();
        number += 1;
        if number > 2 * pages {
            starts = frames(&disk).1;
        }
    }
    drop(engine);
    let mut engine = Engine::open(LogOptions {
        disk: Arc::new(disk.crash()),
        ..options
    })
    .unwrap();
    assert_eq!(engine.status().alarms, []);
    assert_eq!(engine.lane_states()[0].next.0, number);
    let (broker, _) = drain_engine(&mut engine);
    let expected: Vec<_> = (0..number).map(|number| event(number).key).collect();
    assert_eq!(broker.taken(&lane()).keys[..expected.len()], expected);
}

#[test]
fn a_journal_file_that_was_cut_is_damage() {
    for bytes in [0, 1, PAGE, 3 * PAGE + 5] {
        let (options, disk) = start(6);
        let mut engine = Engine::open(options.clone()).unwrap();
        for number in 0..10 {
            append(&mut engine, "events", vec![event(number)]).unwrap();
        }
        drop(engine);
        let (file, _) = frames(&disk);
        disk.edit(&file, |content| content.truncate(bytes));
        let engine = Engine::open(options.clone());
        let mut engine = engine.expect("damage does not stop the log");
        if bytes >= PAGE {
            let alarms = engine.status().alarms;
            assert!(
                alarms.iter().any(|alarm| alarm.text.contains("was cut to")),
                "{alarms:?}"
            );
        }
        append(&mut engine, "events", vec![event(77)]).unwrap();
        drop(engine);
        let engine = Engine::open(options).unwrap();
        assert!(engine.lane_states()[0].next.0 >= 1);
    }
}

/// About 14 full batches of readings in segments, and some in the journal.
fn with_segments(options: &LogOptions) -> u64 {
    let mut engine = Engine::open(options.clone()).unwrap();
    let mut number = 0;
    for _ in 0..8 {
        let events = (0..5_000).map(|step| event(number + step)).collect();
        append(&mut engine, "events", events).unwrap();
        number += 5_000;
    }
    engine.close();
    number
}

#[test]
fn a_bit_in_a_segment_costs_at_most_what_it_lies_in() {
    for seed in 1..=12 {
        let (options, disk) = start(seed);
        let options = LogOptions {
            batch_bytes: 8_000,
            ..options
        };
        let number = with_segments(&options);
        let files = segments(&disk);
        let mut random = Random::new(seed);
        let file = &files[random.index(files.len())];
        disk.edit(file, |bytes| {
            let at = random.index(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        });
        let (broker, _) = drain(&options);
        check_subset(&broker, number);
    }
}

#[test]
fn a_damaged_batch_costs_no_other() {
    for newest in [false, true] {
        let (options, disk) = start(13);
        let number = with_segments(&options);
        let files = segments(&disk);
        let file = if newest { files.last() } else { files.first() };
        let mut lost = None;
        disk.edit(file.unwrap(), |bytes| {
            let mark = |window: &[u8]| {
                window.starts_with(&[0; 8]) && window[12..] == [255, 255, 255, 255, 2]
            };
            let starts = bytes
                .windows(17)
                .enumerate()
                .filter(|(_, window)| mark(window));
            let start = starts.map(|(at, _)| at).nth(1).expect("a second batch");
            lost = Header::parse(&bytes[start..])
                .ok()
                .map(|header| header.record_count);
            bytes[start + 100] ^= 1;
        });
        let (broker, _) = drain(&options);
        check_subset(&broker, number);
        let losses = broker.taken(&lane()).losses;
        let declared: u64 = losses.iter().map(|(from, to)| to.since(*from)).sum();
        assert_eq!(
            Some(declared),
            lost.map(|records| u64::try_from(records).unwrap())
        );
    }
}

#[test]
fn whatever_a_page_of_a_segment_says_is_survived() {
    let (options, disk) = start(14);
    let number = with_segments(&options);
    let file = segments(&disk).swap_remove(0);
    let mut random = Random::new(14);
    for at in (0..16_u64).map(|_| random.index(64 << 10)) {
        let mut was = Vec::new();
        disk.edit(&file, |bytes| {
            was.clone_from(bytes);
            let end = bytes.len().min(at + 8);
            bytes[at..end].fill(0xff);
        });
        let mut engine = Engine::open(options.clone()).expect("damage does not stop the log");
        let lanes = engine.lane_states();
        assert!(engine.next_batch(&lanes[0].name, lanes[0].oldest).is_ok());
        drop(engine);
        disk.edit(&file, |bytes| bytes.clone_from(&was));
    }
    let (broker, _) = drain(&options);
    check_subset(&broker, number);
}

/// In order, nothing twice, and whatever is not there lies within a declared loss.
fn check_subset(broker: &Broker, number: u64) {
    let taken = broker.taken(&lane());
    let lost: u64 = taken.losses.iter().map(|(from, to)| to.0 - from.0).sum();
    let mut expected = (0..number).map(|number| event(number).key);
    let mut there = 0;
    for key in &taken.keys {
        if key.starts_with("gw-1/") && expected.any(|expected| expected == *key) {
            there += 1;
        }
    }
    assert!(
        there + lost >= number,
        "{there} there and {lost} declared of {number}"
    );
}

#[test]
fn segments_that_are_gone_cut_or_garbage_are_declared_lost() {
    type Edit = fn(&mut Vec<u8>);
    let edits: [Edit; 3] = [
        |bytes| bytes.truncate(0),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.fill(0xa5),
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        for newest in [false, true] {
            let (options, disk) = start(9);
            let number = with_segments(&options);
            let files = segments(&disk);
            let file = if newest { files.last() } else { files.first() };
            disk.edit(file.unwrap(), edit);
            let (broker, alarms) = drain(&options);
            let taken = broker.taken(&lane());
            let text = format!("edit {index}, newest {newest}: {alarms:?}");
            let lost = taken.losses.iter().map(|(from, to)| to.since(*from));
            assert!(lost.sum::<u64>() <= number, "{text}: {:?}", taken.losses);
            assert!(!taken.losses.is_empty(), "{text}");
            assert!(!alarms.is_empty(), "{text}");
            check_subset(&broker, number);
        }
    }
}

#[test]
fn a_damaged_or_missing_identity_is_never_guessed() {
    let (options, disk) = start(10);
    drop(Engine::open(options.clone()).unwrap());
    let file = Path::new("/log/identity");
    disk.edit(file, |bytes| bytes[9] ^= 1);
    let error = Engine::open(options.clone())
        .err()
        .expect("it does not open");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let disk: &dyn crate::log::Disk = &disk;
    disk.remove(file).unwrap();
    let error = Engine::open(options).err().expect("it does not open");
    assert!(
        error
            .to_string()
            .contains("identity is damaged: it is missing"),
        "{error}"
    );
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let (options, disk) = start(11);
    let mut engine = Engine::open(options.clone()).unwrap();
    let mut random = Random::new(11);
    disk.limit_pages(Some(disk.pages() + 200));
    let mut acked = Vec::new();
    let mut refused = 0;
    let mut number = 0;
    while refused < 3 {
        number += 1;
        let mut event = event(number);
        event.value = random.bytes(20_000).into();
        match append(&mut engine, "events", vec![event.clone()]) {
            Ok(()) => acked.push(event.key),
            Err(AppendError::Io(error)) => {
                assert_eq!(error.raw_os_error(), Some(28), "{error}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        engine
            .status()
            .alarms
            .iter()
            .any(|alarm| alarm.code == "disk")
    );
    disk.limit_pages(None);
    number += 1;
    append(&mut engine, "events", vec![event(number)]).expect("there is room again");
    acked.push(event(number).key);
    assert_eq!(engine.status().alarms, []);
    drop(engine);
    let disk = disk.crash();
    let mut engine = Engine::open(LogOptions {
        disk: Arc::new(disk),
        ..options
    })
    .unwrap();
    let (broker, _) = drain_engine(&mut engine);
    assert_eq!(broker.taken(&lane()).keys[..acked.len()], acked);
}
