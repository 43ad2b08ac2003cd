//! What a process with a log costs: memory beside a long backlog, bytes written to the device.
//!
//! One test, so that nothing else runs in this process.
#![expect(clippy::print_stdout, reason = "the figures are worth seeing")]

use std::path::Path;

use bytes::Bytes;
use headwater_agent::log::{Event, Log, LogOptions};
use headwater_agent_core::lane::LaneName;
use headwater_wire::uplink::Position;

/// As many as take a while; `HW_EVENTS` says otherwise.
const EVENTS: u64 = 150_000;
const MEMORY_KIB_MAX: u64 = 16 << 10;
const WRITTEN_PER_EVENT_MAX: u64 = 8 << 10;
const WRITTEN_PER_COMPRESSED_BYTE_MAX: f64 = 1.6;

#[test]
fn memory_and_bytes_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    bytes_for_single_events(&log);
    let count = std::env::var("HW_EVENTS")
        .ok()
        .and_then(|count| count.parse().ok());
    fill(&log, count.unwrap_or(EVENTS), 2_000);
    drop(log);
    let start = std::time::Instant::now();
    let log = open(dir.path());
    println!("opened in {:?}", start.elapsed());
    drain(&log);
    let peak_kib = proc_number("/proc/self/status", "VmHWM:");
    println!("{peak_kib} KiB at the peak");
    assert!(peak_kib <= MEMORY_KIB_MAX, "{peak_kib} KiB at the peak");
    bytes_at_full_rate();
}

fn open(dir: &Path) -> Log {
    Log::open(LogOptions::new(dir, "gw-1")).expect("it opens")
}

/// More in flight than fills a batch, so that full ones wait at each commit.
fn bytes_at_full_rate() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let before = written_bytes();
    fill(&log, 100_000, 20_000);
    let written = written_bytes() - before;
    let ratio = written as f64 / drain(&log) as f64;
    println!("{ratio:.2} bytes written per compressed byte");
    assert!(
        ratio <= WRITTEN_PER_COMPRESSED_BYTE_MAX,
        "{ratio:.2} bytes per compressed byte"
    );
}

/// Every commit holds one event, as when a sensor waits for each answer.
fn bytes_for_single_events(log: &Log) {
    log.append("events", vec![event(0)])
        .wait()
        .expect("there is room");
    let before = written_bytes();
    let count = 500;
    for number in 1..=count {
        log.append("events", vec![event(number)])
            .wait()
            .expect("there is room");
    }
    let written = written_bytes() - before;
    println!("{} bytes written for one event alone", written / count);
    assert!(
        written <= count * WRITTEN_PER_EVENT_MAX,
        "{} bytes per event",
        written / count
    );
}

fn fill(log: &Log, count: u64, in_flight: u64) {
    for burst in (0..count).step_by(usize::try_from(in_flight).expect("it is small")) {
        let firsts = (burst..burst + in_flight).step_by(100);
        let appends: Vec<Vec<Event>> = firsts
            .map(|first| (first..first + 100).map(event).collect())
            .collect();
        let waiting: Vec<_> = appends
            .into_iter()
            .map(|events| log.append("events", events))
            .collect();
        for append in waiting {
            append.wait().expect("there is room");
        }
    }
}

/// Gives the bytes of all batches.
fn drain(log: &Log) -> u64 {
    let lane = LaneName::main("events");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut at = Position(0);
        let mut bytes = 0;
        while let Some(batch) = log.next_batch(&lane, at).await.expect("it reads") {
            at = batch.next;
            bytes += batch.bytes.len() as u64;
            log.acknowledge(&lane, at);
        }
        let status = log.status().await;
        assert_eq!(status.lanes[0].acked, at);
        assert_eq!(status.alarms, []);
        log.stop().await;
        bytes
    })
}

fn written_bytes() -> u64 {
    proc_number("/proc/self/io", "write_bytes:")
}

fn proc_number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("Linux has it");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("it has the line");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("it is a number")
}

fn event(number: u64) -> Event {
    let walk = |step: u64| (number * step % 9_973) as f64 / 1_000.0;
    let value = format!(
        r#"{{"ts":{},"n":{number},"device":"sensor-{:02}","a":{:.3},"b":{:.3},"c":{:.3},"d":{:.3},"e":{:.3},"f":{:.3},"unit":"degree celsius"}}"#,
        1_764_000_000_000 + number,
        number % 40,
        walk(3),
        walk(7),
        walk(11),
        walk(13),
        walk(17),
        walk(19),
    );
    Event {
        timestamp: 1_764_000_000_000 + number.cast_signed(),
        key: format!("gw-1/sensor-{:02}", number % 40),
        value: Bytes::from(value),
        headers: Vec::new(),
    }
}
