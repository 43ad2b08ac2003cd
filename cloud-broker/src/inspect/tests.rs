//! Samples of every format, whole and damaged.

use std::fs;
use std::path::PathBuf;

use super::*;

const KINDS: [(&str, &str); 10] = [
    ("chunk.bin", "chunk"),
    ("cluster.json", "register"),
    ("head-sealed.json", "register"),
    ("journal.log", "journal file"),
    ("manifest.bin", "manifest"),
    ("producer-ids.json", "register"),
    ("registers.redb", "registers"),
    ("segment.bin", "segment"),
    ("snapshot.bin", "snapshot"),
    ("tombstone.bin", "tombstone"),
];

fn sample(name: &str) -> PathBuf {
    let samples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("store/tests/data/v1");
    samples.join(name)
}

#[test]
fn every_sample_is_shown() {
    for (name, kind) in KINDS {
        let shown = file(&sample(name)).unwrap();
        assert_eq!(shown["kind"], kind, "{name}");
        assert!(shown.get("error").is_none(), "{shown}");
    }
    let journal = file(&sample("journal.log")).unwrap();
    assert_eq!(journal["frames"][0]["batches"][1]["partition"], 6);
    assert_eq!(journal["frames"][1]["tombstone"]["reason"], "restart");
    let segment = file(&sample("segment.bin")).unwrap();
    assert_eq!(segment["directory"], "whole");
    assert_eq!(segment["partitions"][1]["blocks"][1]["batches"], 1);
}

/// Something is said of every damaged object, and nothing panics.
#[test]
fn damaged_samples_are_shown_as_far_as_possible() {
    let dir = tempfile::tempdir().unwrap();
    for (name, kind) in KINDS {
        if kind == "registers" {
            continue;
        }
        let bytes = fs::read(sample(name)).unwrap();
        let path = dir.path().join(name);
        for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            fs::write(&path, &changed).unwrap();
            assert!(file(&path).unwrap()["kind"].is_string());
            fs::write(&path, &bytes[..at]).unwrap();
            assert!(file(&path).unwrap()["kind"].is_string());
        }
    }
}

#[test]
fn objects_have_names() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(sample("registers.redb"), dir.path().join("registers.redb")).unwrap();
    let blob = "s/00003/g/00000002-696e6361-00000001";
    let path = dir.path().join("blobs").join(blob);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(sample("segment.bin"), &path).unwrap();
    let kind = |name: &str| object(dir.path(), name).map(|shown| shown["kind"].clone());
    assert_eq!(kind("cluster").unwrap(), "register");
    assert_eq!(kind("registers.redb").unwrap(), "registers");
    assert_eq!(kind(blob).unwrap(), "segment");
    assert!(kind("../registers.redb").is_err() && kind("s/00000/manifest").is_err());
    // Only its name tells what this was.
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[..24].fill(0);
    bytes[end - 64..].fill(0);
    fs::write(&path, bytes).unwrap();
    let shown = object(dir.path(), blob).unwrap();
    assert_eq!(
        (&shown["kind"], &shown["directory"]),
        (&"segment".into(), &"damaged".into())
    );
    assert_eq!(shown["partitions"].as_array().map(Vec::len), Some(2));
}
