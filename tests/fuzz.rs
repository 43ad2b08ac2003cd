//! The checks of the fuzz targets over the kept corpus, and over thousands of damaged copies of
//! it, the same ones in each run. `tests/fuzz` runs them under libFuzzer.

#[path = "fuzz/checks/mod.rs"]
pub mod checks;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use checks::{CHECKS, Check};
use headwater_tests::rng::Rng;

/// Damaged copies for each check, spread over its corpus.
const DAMAGED: usize = 10_000;
/// Damaged copies are no longer than this.
const BYTES_MAX: usize = 16 << 10;

#[test]
fn every_check_is_a_target_with_a_corpus() {
    let checks: BTreeSet<String> = CHECKS.iter().map(|check| check.name.to_owned()).collect();
    for folder in ["corpus", "fuzz_targets"] {
        let found = files(&folder_of(folder)).into_iter();
        let names = found.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        assert_eq!(names.collect::<BTreeSet<_>>(), checks, "{folder}");
    }
}

#[test]
fn record_batches() {
    replay(&checks::BATCH);
}

#[test]
fn kafka_requests() {
    replay(&checks::KAFKA_REQUEST);
}

#[test]
fn mqtt_packets() {
    replay(&checks::MQTT);
}

#[test]
fn topics_and_filters() {
    replay(&checks::TOPIC);
}

#[test]
fn the_log_of_an_agent() {
    replay(&checks::AGENT_LOG);
}

#[test]
fn other_files_of_an_agent() {
    replay(&checks::AGENT_FILES);
}

#[test]
fn http_requests() {
    replay(&checks::HTTP);
}

#[test]
fn internal_records() {
    replay(&checks::INTERNAL);
}

#[test]
fn segments() {
    replay(&checks::SEGMENT);
}

#[test]
fn settings_files() {
    replay(&checks::SETTINGS);
}

#[test]
fn stored_formats() {
    replay(&checks::STORE);
}

#[test]
fn uplink_topics_and_payloads() {
    replay(&checks::UPLINK);
}

#[test]
fn what_devices_say() {
    replay(&checks::DEVICE_STATUS);
}

#[test]
fn the_state_of_groups() {
    replay(&checks::GROUPS);
}

#[test]
fn records_over_http() {
    replay(&checks::HTTP_APPEND);
}

#[test]
fn kafka_responses() {
    replay(&checks::KAFKA_RESPONSE);
}

#[test]
fn registers() {
    replay(&checks::REGISTERS);
}

#[test]
fn configurations_of_streams() {
    replay(&checks::STREAM_CONFIG);
}

fn replay(check: &Check) {
    let folder = folder_of("corpus").join(check.name);
    let read = |path: &PathBuf| fs::read(path).expect("readable");
    let corpus: Vec<Vec<u8>> = files(&folder).iter().map(read).collect();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    corpus.iter().for_each(|bytes| run(check, bytes));
    let mut rng = Rng::new(1);
    for _ in 0..DAMAGED {
        run(check, &damaged(&corpus, &mut rng));
    }
}

/// A finding is named by a file that can be kept in the corpus.
fn run(check: &Check, bytes: &[u8]) {
    if catch_unwind(|| (check.run)(bytes)).is_err() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-finding", check.name));
        fs::write(&file, bytes).expect("the target directory can be written");
        panic!("Check {} fails over {}", check.name, file.display());
    }
}

/// One of the corpus with some bytes changed, removed, doubled or put in from another.
fn damaged(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = pick(corpus, rng).clone();
    for _ in 0..=rng.below(4) {
        let at = index(bytes.len() + 1, rng);
        let end = (at + index(16, rng)).min(bytes.len());
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][index(5, rng)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.extend_from_within(at..end),
            _ => {
                let other = pick(corpus, rng);
                let from = index(other.len() + 1, rng);
                bytes.splice(at..at, other[from..].iter().copied());
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn pick<'a>(corpus: &'a [Vec<u8>], rng: &mut Rng) -> &'a Vec<u8> {
    &corpus[index(corpus.len(), rng)]
}

fn index(bound: usize, rng: &mut Rng) -> usize {
    usize::try_from(rng.below(bound as u64)).expect("below a usize")
}

fn folder_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(name)
}

/// What lies in a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
}
