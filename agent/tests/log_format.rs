//! Logs that earlier versions wrote can be read: a sample of each format lies in `data/`.
//!
//! A new format gets a folder of its own, written by this test with `HW_WRITE_SAMPLES=1`; the
//! samples that are there are never written again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use headwater_agent::log::{Clock, Event, Log, LogOptions, Step, read_records};
use headwater_agent_core::handshake::{Handshake, ResumeAnswer, TopicId};
use headwater_agent_core::lane::LaneName;
use headwater_wire::time::Millis;
use headwater_wire::uplink::Position;

/// Every file of a sample. Journal files lie here without the zeros at their end.
const FILES: [&str; 4] = [
    "events.main.lane/00000000000000-1.redb",
    "expected.txt",
    "identity",
    "tail-0",
];

const JOURNAL_FILE_BYTES: u64 = 2 << 20;
const SOURCE: &str = "lines:1";
const CURSOR: &[u8] = b"\x01where it goes on";

#[test]
fn format_1_is_read() {
    let dir = is_read(&samples("v1"));
    assert_eq!(cursor(dir.path()), None);
}

#[test]
fn format_2_is_read() {
    let samples = samples("v2");
    if std::env::var_os("HW_WRITE_SAMPLES").is_some() && !samples.join("identity").exists() {
        write(&samples);
    }
    let dir = is_read(&samples);
    assert_eq!(cursor(dir.path()).as_deref(), Some(CURSOR));
}

fn is_read(samples: &Path) -> tempfile::TempDir {
    assert_eq!(
        files(samples, samples),
        FILES.map(PathBuf::from),
        "every sample is listed here"
    );
    let dir = tempfile::tempdir().expect("a directory");
    unpack(samples, dir.path());
    let expected = fs::read_to_string(samples.join("expected.txt")).expect("it is a sample");
    assert_eq!(read(dir.path()), expected);
    // Reading it once, with all that opening does, leaves the same.
    assert_eq!(read(dir.path()), expected);
    dir
}

/// Of the source that had one when the sample was made.
fn cursor(dir: &Path) -> Option<Bytes> {
    let log = Log::open(options(dir)).expect("it opens");
    block_on(log.cursor(SOURCE))
}

fn samples(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(version)
}

fn files(dir: &Path, root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory of samples") {
        let path = entry.expect("a sample").path();
        if path.is_dir() {
            found.extend(files(&path, root));
        } else {
            found.push(path.strip_prefix(root).expect("below the root").to_owned());
        }
    }
    found.sort();
    found
}

/// A log as it was, the zeros put back.
fn unpack(samples: &Path, dir: &Path) {
    for file in files(samples, samples) {
        let to = dir.join(&file);
        fs::create_dir_all(to.parent().expect("within the directory")).expect("a directory");
        fs::copy(samples.join(&file), &to).expect("a copy");
        if file.to_string_lossy().starts_with("tail-") {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(&to)
                .expect("the copy");
            file.set_len(JOURNAL_FILE_BYTES).expect("zeros");
        }
    }
}

/// Every record of the log, one a line.
fn read(dir: &Path) -> String {
    let mut text = String::new();
    let each = |record: headwater_agent::log::StoredRecord| {
        let show = |bytes: Option<Bytes>| {
            bytes.map_or_else(
                || "null".into(),
                |bytes| String::from_utf8_lossy(&bytes).into_owned(),
            )
        };
        let headers: Vec<String> = record
            .headers
            .into_iter()
            .map(|(name, value)| format!("{name}={}", show(value)))
            .collect();
        writeln!(
            text,
            "{} {} {} {} {} [{}]",
            record.lane,
            record.position,
            record.timestamp,
            show(record.key),
            show(record.value),
            headers.join(",")
        )
        .expect("a string takes everything");
    };
    read_records(options(dir), each).expect("it opens");
    text
}

fn options(dir: &Path) -> LogOptions {
    LogOptions {
        batch_bytes: 1_500,
        batch_age: Duration::from_secs(1),
        clock: Arc::new(Hand::default()),
        ..LogOptions::new(dir, "gw-1")
    }
}

#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> i64 {
        1_764_000_000_000
    }
}

/// Makes a log with everything that the format has: full batches in a segment, a small sealed one,
/// open events, a declared loss, remembered entries, two lanes, a cursor.
fn write(samples: &Path) {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(Hand::default());
    let options = LogOptions {
        clock: clock.clone(),
        ..options(dir.path())
    };
    block_on(async {
        let log = Log::open(options).expect("it opens");
        let small = LaneName::main("small");
        let events: Vec<Event> = (0..260).map(event).collect();
        log.append("events", events).await.expect("there is room");
        log.append("small", (260..263).map(event).collect())
            .await
            .expect("there is room");
        log.set_link(true);
        clock.0.store(1_000, Ordering::Relaxed);
        log.status().await;
        log.append("small", vec![event(263)])
            .await
            .expect("there is room");
        clock.0.store(2_000, Ordering::Relaxed);
        log.status().await;
        log.set_aside(&small, Position(3))
            .await
            .expect("it is sealed");
        let topic_id = TopicId([0xab; 16]);
        let answer = ResumeAnswer {
            next: Position(0),
            crc: None,
            topic_id,
            generation: None,
        };
        let handshake = log.handshake(&small, answer).await.expect("it is a lane");
        assert_eq!(handshake, Handshake::Send(Position(0)));
        log.append("small", (264..266).map(event).collect())
            .await
            .expect("there is room");
        log.append("events", vec![event(266)])
            .await
            .expect("there is room");
        log.append_step(Step {
            source: SOURCE.into(),
            cursor: Bytes::from_static(CURSOR),
            events: vec![("events".into(), vec![event(267)])],
        })
        .await
        .expect("there is room");
        log.stop().await;
    });
    pack(dir.path(), samples);
    fs::write(samples.join("expected.txt"), read(dir.path())).expect("a sample");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

fn pack(dir: &Path, samples: &Path) {
    for file in files(dir, dir)
        .into_iter()
        .filter(|file| !file.ends_with("lock"))
    {
        let mut content = fs::read(dir.join(&file)).expect("a file of the log");
        if file.to_string_lossy().starts_with("tail-") {
            let end = content
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            content.truncate(end);
        }
        let to = samples.join(&file);
        fs::create_dir_all(to.parent().expect("within the directory")).expect("a directory");
        fs::write(to, content).expect("a sample");
    }
}

fn event(number: i64) -> Event {
    Event {
        timestamp: 1_764_000_000_000 + number * 7,
        key: format!("gw-1/sample/{number}"),
        value: Bytes::from(format!(
            "{{\"value\":{}.{:03},\"unit\":\"%\"}}",
            number,
            number * 137 % 1_000
        )),
        headers: vec![
            ("hw-device".into(), Some(Bytes::from_static(b"gw-1"))),
            ("empty".into(), None),
        ],
    }
}
