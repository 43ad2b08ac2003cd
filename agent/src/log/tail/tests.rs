use std::path::Path;

use super::*;
use crate::log::tests::disk::FakeDisk;

const ID: LogId = [3; 16];

fn open(disk: &FakeDisk) -> (Journal, Found) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Journal::open(&disk, PathBuf::from("/log"), ID, Meter::default()).expect("it opens")
}

fn bodies(found: &Found) -> Vec<&[u8]> {
    found.frames.iter().map(AsRef::as_ref).collect()
}

#[test]
fn frames_are_found_from_the_last_checkpoint_on() {
    let disk = FakeDisk::new(1);
    let (mut journal, found) = open(&disk);
    assert!(found.frames.is_empty() && found.damage.is_empty());
    assert!(
        journal.commit(b"too early").is_err(),
        "a checkpoint comes first"
    );
    journal.checkpoint(b"one").unwrap();
    journal.commit(b"two").unwrap();
    journal.commit(&[7; 10_000]).unwrap();
    let (mut journal, found) = open(&disk.crash());
    assert_eq!(bodies(&found), [&b"one"[..], b"two", &[7; 10_000]]);
    journal.checkpoint(b"three").unwrap();
    journal.commit(b"four").unwrap();
}

#[test]
fn files_take_turns_and_no_more_than_two_are_kept() {
    let disk = FakeDisk::new(2);
    let (mut journal, _) = open(&disk);
    for round in 0..5u8 {
        journal.checkpoint(&[round]).unwrap();
        while !journal.is_full(3 * frame::PAGE_BYTES) {
            journal.commit(&[round; 3 * frame::PAGE_BYTES]).unwrap();
        }
    }
    assert_eq!(disk.names().len(), 2);
    let (_, found) = open(&disk.crash());
    assert_eq!(found.damage, []);
    assert_eq!(found.frames[0].as_ref(), [4]);
}

#[test]
fn after_a_failed_sync_another_file_is_begun_and_the_first_given_up() {
    for seed in 0..20 {
        let disk = FakeDisk::new(seed);
        let (mut journal, _) = open(&disk);
        journal.checkpoint(b"one").unwrap();
        journal.commit(b"two").unwrap();
        disk.fail_sync_after(0);
        assert!(journal.commit(b"failed").is_err());
        assert!(
            journal.commit(b"refused").is_err(),
            "that file is not written again"
        );
        assert!(journal.is_full(1));
        journal.checkpoint(b"one and two").unwrap();
        journal.commit(b"three").unwrap();
        assert!(
            !disk.names().contains(&PathBuf::from("/log/tail-0")),
            "it is gone"
        );
        let (_, found) = open(&disk.crash());
        assert_eq!(
            bodies(&found),
            [&b"one and two"[..], b"three"],
            "seed {seed}"
        );
        assert_eq!(found.damage, []);
    }
}

#[test]
fn a_checkpoint_that_fails_leaves_what_was_acknowledged() {
    for seed in 0..20 {
        let disk = FakeDisk::new(seed);
        let (mut journal, _) = open(&disk);
        journal.checkpoint(b"one").unwrap();
        journal.commit(b"two").unwrap();
        disk.fail_sync_after(0);
        assert!(journal.checkpoint(b"one and two").is_err());
        let (mut journal, found) = open(&disk.crash());
        let before = bodies(&found) == [&b"one"[..], b"two"];
        assert!(
            before || bodies(&found) == [b"one and two"],
            "seed {seed}: {found:?}"
        );
        assert_eq!(found.damage, []);
        journal.checkpoint(b"three").unwrap();
    }
}

#[test]
fn frames_without_a_checkpoint_are_damage_and_count() {
    let disk = FakeDisk::new(5);
    let (mut journal, _) = open(&disk);
    journal.checkpoint(b"one").unwrap();
    journal.commit(b"two").unwrap();
    disk.edit(Path::new("/log/tail-0"), |bytes| bytes[65] ^= 1);
    let (_, found) = open(&disk);
    assert_eq!(found.damage, [Damage::NoCheckpoint]);
    assert_eq!(bodies(&found), [b"two"]);
}
