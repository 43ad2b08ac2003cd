//! `headwater-agent buffer` as a program, on a log that is sound, damaged, repaired and in use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use headwater_agent::log::{Event, Log, LogOptions};

const EVENTS: u32 = 4_000;

#[test]
fn verify_export_and_repair() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path());
    let before = contents(dir.path());
    let verified = run(dir.path(), &["verify", "--output", "json"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let found: serde_json::Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    assert_eq!(found["lanes"][0]["events"], EVENTS);
    assert_eq!(found["damage"], serde_json::json!([]));
    assert_eq!(exported(dir.path()).len(), EVENTS as usize);
    assert!(before == contents(dir.path()), "reading changes nothing");

    let segment = damage(dir.path());
    let damaged = contents(dir.path());
    let verified = run(dir.path(), &["verify"]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    assert!(String::from_utf8_lossy(&verified.stdout).contains("cannot be read"));
    let asked = run(dir.path(), &["repair"]);
    assert_eq!(asked.status.code(), Some(1), "nobody said yes");
    assert!(damaged == contents(dir.path()), "and nothing was changed");

    let repaired = run(dir.path(), &["repair", "--yes"]);
    assert_eq!(repaired.status.code(), Some(0), "{repaired:?}");
    assert_eq!(run(dir.path(), &["verify"]).status.code(), Some(0));
    let events = exported(dir.path());
    let lost = events
        .iter()
        .filter(|event| event["key"] == "$hw/loss/gw-1/events");
    let lost: Vec<_> = lost.collect();
    assert_eq!(lost.len(), 1);
    assert!(
        lost[0]["value"]
            .as_str()
            .is_some_and(|value| value.contains("\"damaged\""))
    );
    assert!(events.len() > EVENTS as usize / 2, "the rest is there");
    let kept = contents(dir.path());
    let copy = kept.iter().find(|(path, _)| {
        path.starts_with(dir.path())
            && path.to_string_lossy().contains("/damaged-")
            && path.ends_with(&segment)
    });
    assert!(copy.is_some_and(|(_, bytes)| *bytes == damaged[&dir.path().join(&segment)]));
}

#[test]
fn a_log_in_use_or_none_at_all_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let none = run(dir.path(), &["verify"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("There is no log in"));
    let log = Log::open(LogOptions::new(dir.path(), "gw-1")).expect("it opens");
    let used = run(dir.path(), &["export"]);
    assert_eq!(used.status.code(), Some(1));
    let said = format!("is in use by pid {}", std::process::id());
    assert!(
        String::from_utf8_lossy(&used.stderr).contains(&said),
        "{used:?}"
    );
    drop(log);
}

#[test]
fn a_damaged_identity_is_found_again_and_the_log_goes_on_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path());
    let before = contents(dir.path());
    let identity = dir.path().join("identity");
    // Its checksum, its whole length, the file: what is left of the device's name differs.
    for change in [0, 1, 2] {
        let mut bytes = before[&identity].clone();
        match change {
            0 => bytes[9] ^= 1,
            1 => bytes.truncate(20),
            _ => {}
        }
        fs::write(&identity, &bytes).expect("the identity");
        if change == 2 {
            fs::remove_file(&identity).expect("the identity");
        }
        assert_eq!(run(dir.path(), &["verify"]).status.code(), Some(1));
        assert_eq!(
            run(dir.path(), &["repair"]).status.code(),
            Some(1),
            "nobody said yes"
        );
        if change > 0 {
            let unnamed = run(dir.path(), &["repair", "--yes"]);
            assert!(
                String::from_utf8_lossy(&unnamed.stderr).contains("--device"),
                "{unnamed:?}"
            );
            let other = run(dir.path(), &["repair", "--yes", "--device", "gw-2"]);
            assert_eq!(other.status.code(), Some(1), "{other:?}");
        }
        let repaired = run(dir.path(), &["repair", "--yes", "--device", "gw-1"]);
        assert_eq!(repaired.status.code(), Some(0), "{repaired:?}");
        assert_eq!(fs::read(&identity).expect("it is there"), before[&identity]);
        assert_eq!(exported(dir.path()).len(), EVENTS as usize);
    }
}

#[test]
fn no_agent_starts_between_looking_and_repairing() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path());
    let held = headwater_agent::log::hold(dir.path()).expect("it is free");
    assert!(Log::open(LogOptions::new(dir.path(), "gw-1")).is_err());
    let options = LogOptions {
        lock: Some(held),
        ..LogOptions::new(dir.path(), "gw-1")
    };
    for _ in 0..2 {
        let found = headwater_agent::log::inspect(options.clone(), |_| {}).expect("it is ours");
        assert!(found.damage.is_empty(), "{found:?}");
        assert!(Log::open(LogOptions::new(dir.path(), "gw-1")).is_err());
    }
    drop(options);
    drop(Log::open(LogOptions::new(dir.path(), "gw-1")).expect("it is free again"));
}

fn run(dir: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headwater-agent"))
        .arg("buffer")
        .args(words)
        .arg("--data-dir")
        .arg(dir)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program runs")
}

fn exported(dir: &Path) -> Vec<serde_json::Value> {
    let text = run(dir, &["export"]).stdout;
    let text = String::from_utf8(text).expect("text");
    let line = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}

/// Enough for several batches in segments, and some events behind them.
fn fill(dir: &Path) {
    let log = Log::open(LogOptions::new(dir, "gw-1")).expect("it opens");
    let mut state = 1_u64;
    for first in (0..EVENTS).step_by(200) {
        let events = (first..first + 200).map(|number| {
            let mut value = Vec::new();
            for _ in 0..25 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                value.extend_from_slice(&state.to_le_bytes());
            }
            Event {
                timestamp: 1_764_000_000_000,
                key: format!("gw-1/a/{number}"),
                value: Bytes::from(value),
                headers: Vec::new(),
            }
        });
        log.append("events", events.collect())
            .wait()
            .expect("there is room");
    }
}

/// Changes bytes in the middle of a batch; the segment's path below `dir`.
fn damage(dir: &Path) -> PathBuf {
    let all = contents(dir);
    let (path, bytes) = all
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "redb"))
        .expect("a segment");
    let mut bytes = bytes.clone();
    // The batches take most of it: its middle is in one of them.
    let middle = bytes.len() / 2;
    let at = (middle..bytes.len() - 64)
        .find(|at| {
            bytes[*at..*at + 64]
                .iter()
                .filter(|byte| **byte == 0)
                .count()
                < 4
        })
        .expect("a batch");
    bytes[at + 32] ^= 1;
    fs::write(path, bytes).expect("the segment");
    path.strip_prefix(dir).expect("below it").to_owned()
}

/// Every file but the lock, whose pid changes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if !path.ends_with("lock") {
            found.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    found
}
