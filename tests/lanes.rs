//! What the agent gives up and how it is repaired, with real processes: disks that are copied, put
//! back, full or damaged, and a broker restored from an older copy. Each is found and reported, and
//! every acknowledged event is in the log or inside a declared range.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use headwater_tests::consume::{self, Record};
use headwater_tests::http;
use headwater_tests::process::{GIVE_UP, Process};
use headwater_tests::rng::Rng;
use headwater_tests::source::{connect, publish};
use headwater_tests::stack::Stack;
use serde_json::Value;

const STREAM: &str = "events";
const EVENTS: usize = 200;
const LOSS: &[u8] = b"$hw/loss/gw-1/events";
const REPAIR: &[u8] = b"$hw/repair/gw-1/events";

fn stack(agent: &str) -> Stack {
    let program = Path::new(env!("CARGO_BIN_EXE_headwater-node"));
    Stack::start(program, agent, "").expect("a stack")
}

/// Publishes numbered events of some bytes on topic `lanes/<name>`, each acknowledged.
fn publish_all(door: SocketAddr, name: &str, events: usize, bytes: usize) {
    let mut link = TcpStream::connect(door).expect("the agent listens");
    link.set_read_timeout(Some(GIVE_UP)).expect("a timeout");
    link.write_all(&connect(name)).expect("written");
    link.read_exact(&mut [0; 4]).expect("a CONNACK");
    let mut rng = Rng::new(u64::try_from(events).expect("few"));
    for number in 0..events {
        let noise = (0..bytes).map(|_| char::from(b'0' + u8::try_from(rng.below(64)).expect("64")));
        let payload = format!("{number}#{}", noise.collect::<String>());
        let packet_id = u16::try_from(number + 1).expect("few");
        let topic = format!("lanes/{name}");
        let packet = publish(&topic, packet_id, payload.as_bytes(), false);
        link.write_all(&packet).expect("written");
        let mut puback = [0; 4];
        link.read_exact(&mut puback).expect("acknowledged");
        assert_eq!(puback[0], 0x40);
    }
}

/// How often each event of `name` is there, by number.
fn copies(stored: &[Record], name: &str) -> BTreeMap<usize, u32> {
    let topic = format!("lanes/{name}");
    let mut copies = BTreeMap::new();
    for record in stored
        .iter()
        .filter(|r| r.key.as_deref() == Some(topic.as_bytes()))
    {
        let value = record.value.as_deref().unwrap_or_default();
        let number = headwater_tests::source::number(value).expect("one of ours");
        *copies.entry(number).or_insert(0) += 1;
    }
    copies
}

fn assert_once(stored: &[Record], name: &str) {
    let expected = (0..EVENTS).map(|number| (number, 1)).collect();
    assert_eq!(copies(stored, name), expected, "{name}");
}

/// Reports of a kind, as JSON.
fn reports(stored: &[Record], key: &[u8]) -> Vec<Value> {
    let of_kind = stored
        .iter()
        .filter(|record| record.key.as_deref() == Some(key));
    let value = |record: &Record| serde_json::from_slice(record.value.as_deref()?).ok();
    of_kind.map(|record| value(record).expect("JSON")).collect()
}

fn stored(stack: &Stack) -> Vec<Record> {
    consume::everything(stack.broker().address("kafka"), STREAM).expect("readable")
}

fn stop(process: &mut Option<Process>) {
    process
        .take()
        .expect("it runs")
        .terminate()
        .expect("it ends");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry").path();
        let to = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &to);
        } else {
            std::fs::copy(&entry, &to).expect("a copy");
        }
    }
}

fn put_back(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).expect("it is there");
    std::fs::rename(from, to).expect("renamed");
}

fn codes(alarms: &Value) -> BTreeSet<String> {
    let alarms = alarms.as_array().expect("a list").iter();
    alarms
        .inspect(|alarm| {
            assert!(
                alarm["since_ms"]
                    .as_i64()
                    .is_some_and(|since_ms| since_ms > 0)
            );
            assert!(
                alarm["text"]
                    .as_str()
                    .is_some_and(|text| text.contains(' '))
            );
        })
        .map(|alarm| alarm["code"].as_str().expect("a code").to_owned())
        .collect()
}

/// Waits until the agent at `http` shows one of the alarms; gives its status.
fn alarmed(http: SocketAddr, any: &[&str]) -> Value {
    wait(any, || {
        let status = http::json(http, "/status").ok()?;
        any.iter()
            .any(|code| codes(&status["alarms"]).contains(*code))
            .then_some(status)
    })
}

/// Waits until the broker shows one of the alarms of the device; gives what it shows.
fn seen(stack: &Stack, any: &[&str]) -> Value {
    wait(any, || {
        let devices = http::json(stack.broker().address("http"), "/api/v1/devices").ok()?;
        let device = devices["devices"].as_array()?.first()?.clone();
        any.iter()
            .any(|code| codes(&device["alarms"]).contains(*code))
            .then_some(device)
    })
}

fn wait<T>(what: &[&str], mut there: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(begun.elapsed() < GIVE_UP, "No alarm of {what:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

const FORKS: [&str; 3] = ["rollback", "clone", "conflict"];

#[test]
fn a_copy_of_the_disk_beside_the_original_gets_a_generation_of_its_own() {
    let mut stack = stack("[log]\nbatch_age = \"20ms\"\n");
    publish_all(stack.agent().address("mqtt"), "before", EVENTS, 50);
    stack.wait_until_drained().expect("drained");
    stop(&mut stack.agent);
    copy(&stack.path("agent"), &stack.path("agent-copy"));
    let settings = std::fs::read_to_string(stack.path("agent.toml")).expect("settings");
    let folder = stack.path("").display().to_string();
    let (ours, theirs) = (format!("{folder}agent\""), format!("{folder}agent-copy\""));
    assert!(settings.contains(&ours), "{settings}");
    let file = stack.path("copy.toml");
    std::fs::write(&file, settings.replace(&ours, &theirs)).expect("written");
    stack.start_agent().expect("an agent");
    let file = file.display().to_string();
    let copied = Process::start(&stack.program, "agent", &["run", "--config", &file]);
    let copied = copied.expect("a second agent");

    let doors = [("original", stack.agent()), ("copy", &copied)];
    let doors = doors.map(|(name, agent)| (name, agent.address("mqtt")));
    std::thread::scope(|scope| {
        for (name, door) in doors {
            scope.spawn(move || publish_all(door, name, EVENTS, 50));
        }
    });
    stack.wait_until_drained().expect("drained");
    drained(copied.address("http"));
    seen(&stack, &FORKS);
    // The one that kept the lane learns of the other when it shakes hands again.
    stack.to_broker.cut();
    let both = [stack.agent(), &copied].map(|agent| alarmed(agent.address("http"), &FORKS));
    let generations = both.map(|status| status["lanes"][0]["generation"].as_u64());
    assert_eq!(
        BTreeSet::from(generations),
        BTreeSet::from([Some(0), Some(1)])
    );
    let stored = stored(&stack);
    for name in ["before", "original", "copy"] {
        assert_once(&stored, name);
    }
    let repairs = reports(&stored, REPAIR);
    assert_eq!(repairs.len(), 1, "{repairs:?}");
    assert_eq!(repairs[0]["to_generation"], 1);
}

fn drained(http: SocketAddr) {
    wait(&["drained"], || {
        let status = http::json(http, "/status").ok()?;
        let lanes = status["lanes"].as_array()?;
        let behind = lanes.iter().any(|lane| lane["events"].as_u64() != Some(0));
        (!behind && !lanes.is_empty()).then_some(())
    });
}

#[test]
fn a_disk_that_is_put_back_is_found_out_and_loses_nothing() {
    let mut stack = stack("[log]\nbatch_age = \"20ms\"\n");
    publish_all(stack.agent().address("mqtt"), "before", EVENTS, 50);
    stack.wait_until_drained().expect("drained");
    stop(&mut stack.agent);
    copy(&stack.path("agent"), &stack.path("agent-old"));
    stack.start_agent().expect("an agent");
    publish_all(stack.agent().address("mqtt"), "gone", EVENTS, 50);
    stack.wait_until_drained().expect("drained");
    stop(&mut stack.agent);
    put_back(&stack.path("agent-old"), &stack.path("agent"));
    stack.start_agent().expect("an agent");
    publish_all(stack.agent().address("mqtt"), "after", EVENTS, 50);
    stack.wait_until_drained().expect("drained");
    let status = alarmed(stack.agent().address("http"), &FORKS);
    assert_eq!(status["lanes"][0]["generation"], 1);
    assert_eq!(status["lanes"][0]["state"], "open");
    seen(&stack, &FORKS);
    let stored = stored(&stack);
    for name in ["gone", "after"] {
        assert_once(&stored, name);
    }
    // What the old disk held may be there twice: nothing on it said that it had arrived.
    assert_eq!(copies(&stored, "before").len(), EVENTS);
    assert_eq!(reports(&stored, REPAIR).len(), 1);
    assert_eq!(reports(&stored, LOSS), [] as [Value; 0]);
}

/// The broker's data directory is put back to before the events `second`.
fn restored(keep_acked: &str) -> Stack {
    let mut stack = stack(&format!(
        "[log]\nbatch_age = \"20ms\"\nkeep_acked = \"{keep_acked}\"\n"
    ));
    publish_all(stack.agent().address("mqtt"), "first", EVENTS, 50);
    stack.wait_until_drained().expect("drained");
    stop(&mut stack.broker);
    copy(&stack.path("broker"), &stack.path("broker-old"));
    stack.start_broker().expect("a broker");
    publish_all(stack.agent().address("mqtt"), "second", EVENTS, 50);
    stack.wait_until_drained().expect("drained");
    stop(&mut stack.broker);
    put_back(&stack.path("broker-old"), &stack.path("broker"));
    publish_all(stack.agent().address("mqtt"), "third", EVENTS, 50);
    stack.start_broker().expect("a broker");
    alarmed(stack.agent().address("http"), &["restored"]);
    stack.wait_until_drained().expect("drained");
    seen(&stack, &["restored"]);
    stack
}

#[test]
fn a_broker_from_an_older_copy_gets_again_what_is_still_kept() {
    let stack = restored("1h");
    let stored = stored(&stack);
    for name in ["first", "second", "third"] {
        assert_once(&stored, name);
    }
    assert_eq!(reports(&stored, LOSS), [] as [Value; 0]);
}

#[test]
fn a_broker_from_an_older_copy_is_told_what_is_not_kept_any_more() {
    let stack = restored("0s");
    let stored = stored(&stack);
    assert_once(&stored, "first");
    assert_once(&stored, "third");
    let losses = reports(&stored, LOSS);
    let lost: u64 = losses
        .iter()
        .filter_map(|loss| loss["events"].as_u64())
        .sum();
    let there = u64::try_from(copies(&stored, "second").len()).expect("few");
    assert_eq!(
        there + lost,
        u64::try_from(EVENTS).expect("few"),
        "{losses:?}"
    );
    assert!(lost > 0 && losses.iter().all(|loss| loss["reason"] == "restored"));
    let status = http::json(stack.agent().address("http"), "/status").expect("a status");
    assert_eq!(status["lanes"][0]["lost_events"], lost);
}

#[test]
fn what_a_full_log_drops_is_declared_and_positions_tile() {
    const NUMBERS: usize = 500;
    let mut stack = stack("[log]\nmax_bytes = \"16MiB\"\noverflow = \"drop-oldest\"\n");
    stop(&mut stack.broker);
    publish_all(stack.agent().address("mqtt"), "full", NUMBERS, 60_000);
    let used = du(&stack.path("agent"));
    assert!(used <= 16 << 20, "{used} bytes");
    stack.start_broker().expect("a broker");
    stack.wait_until_drained().expect("drained");
    seen(&stack, &["overflow"]);
    let stored = stored(&stack);
    let there = copies(&stored, "full");
    assert!(there.values().all(|count| *count == 1));
    // One source, one lane: an event's number is its position.
    let mut lost = BTreeSet::new();
    for loss in reports(&stored, LOSS) {
        assert_eq!(loss["reason"], "overflow");
        let bound =
            |name: &str| usize::try_from(loss[name].as_u64().expect("a number")).expect("few");
        lost.extend(bound("from")..bound("to"));
    }
    let missing = (0..NUMBERS).filter(|number| !there.contains_key(number));
    assert_eq!(lost, missing.collect());
    assert!(lost.len() > 100, "{} given up", lost.len());
    let device = seen(&stack, &["overflow"]);
    let status = http::json(stack.agent().address("http"), "/status").expect("a status");
    assert_eq!(status["lanes"][0]["lost_events"], lost.len());
    assert_eq!(device["backlog"]["events"], 0);
}

/// As `du -B1` counts.
fn du(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
    own + inside.map(|entry| du(&entry.path())).sum::<u64>()
}

#[test]
fn a_flipped_bit_costs_its_batch_and_is_told() {
    const NUMBERS: usize = 40;
    let mut stack = stack("");
    stop(&mut stack.broker);
    publish_all(stack.agent().address("mqtt"), "flip", NUMBERS, 60_000);
    stop(&mut stack.agent);
    let file = segment(&stack.path("agent"));
    let mut bytes = std::fs::read(&file).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&file, bytes).expect("written");
    stack.start_agent().expect("damage stops nothing");
    stack.start_broker().expect("a broker");
    stack.wait_until_drained().expect("drained");
    alarmed(stack.agent().address("http"), &["damaged"]);
    seen(&stack, &["damaged"]);
    let stored = stored(&stack);
    let there = copies(&stored, "flip");
    let losses = reports(&stored, LOSS);
    let lost: u64 = losses
        .iter()
        .filter_map(|loss| loss["events"].as_u64())
        .sum();
    assert!(losses.iter().all(|loss| loss["reason"] == "damaged"));
    assert_eq!(there.len() + usize::try_from(lost).expect("few"), NUMBERS);
    assert!((1..=3).contains(&lost), "{losses:?}");
}

fn segment(log: &Path) -> PathBuf {
    let lane = log.join("events.main.lane");
    let files = std::fs::read_dir(lane).expect("segments");
    let files = files.map(|entry| entry.expect("an entry").path());
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    files.max_by_key(size).expect("a segment")
}
