//! Syncs that fail, a full disk, reads and writes that end early.

use headwater_store::ErrorKind;
use headwater_store::faulty::{FakeDisk, FaultPlan};

use crate::support::{Journal, Writer, open};

/// After the n-th sync of a life has failed, other chunks take the slots that failed.
#[test]
fn after_a_failed_sync_a_new_file_is_begun_and_nothing_acknowledged_is_lost() {
    for (seed, fail) in (0..6).flat_map(|seed| (1..40).map(move |fail| (seed, fail))) {
        let disk = FakeDisk::new(seed * 100 + fail);
        let mut store = open(&disk).unwrap();
        disk.plan(FaultPlan {
            fail_sync: Some(fail),
            ..FaultPlan::default()
        });
        let mut writer = Writer::new(1, seed);
        let failures = (0..20).filter(|_| writer.put(&store).is_err()).count();
        assert!(failures <= 1);
        let failed = writer.failed.is_some();
        if seed % 2 == 0 {
            writer.verify(&store, 0);
        }
        // The process may die first, and the power be lost only after its restart has looked.
        if seed % 3 == 0 {
            drop(store);
            disk.kill();
            store = open(&disk).unwrap();
            writer.verify(&store, 0);
        }
        disk.crash();
        drop(store);
        let store = open(&disk).unwrap();
        writer.verify(&store, 0);
        assert!(!failed || writer.next() <= 20);
        writer.seal(&store).unwrap();
        writer.verify(&store, 0);
    }
}

#[test]
fn a_frame_whose_sync_failed_is_void_once_the_next_one_is_there() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    writer.put(&store).unwrap();
    disk.plan(FaultPlan {
        fail_sync: Some(1),
        ..FaultPlan::default()
    });
    let failed = writer.chunk(100);
    let error = writer.put_frame(&store, failed.clone()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    let unread = store.slots.get(writer.slot(1), 0..1).unwrap_err();
    assert_eq!(unread.kind, ErrorKind::NotFound);
    let other = writer.chunk(100);
    writer.put_frame(&store, other.clone()).unwrap();
    assert_ne!(failed.header.link.nonce, other.header.link.nonce);
    writer.verify(&store, 0);
    drop(store);
    disk.kill();
    let store = open(&disk).unwrap();
    writer.verify(&store, 0);
    let files = disk.files();
    let logs = files.iter().filter(|path| path.starts_with("journal/01"));
    assert_eq!(logs.count(), 2);
}

#[test]
fn the_first_frame_of_a_file_may_fail_too() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    for fail in [3, 1] {
        disk.plan(FaultPlan {
            fail_sync: Some(fail),
            ..FaultPlan::default()
        });
        writer.put(&store).unwrap_err();
    }
    writer.put(&store).unwrap();
    writer.verify(&store, 0);
    disk.crash();
    writer.verify(&open(&disk).unwrap(), 0);
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    for room in (0..300).step_by(7) {
        let disk = FakeDisk::new(room);
        let store = open(&disk).unwrap();
        let mut writer = Writer::new(1, room);
        writer.put(&store).unwrap();
        let used: u64 = disk
            .files()
            .iter()
            .map(|path| disk.contents(path).unwrap().len() as u64)
            .sum();
        let full = FaultPlan {
            bytes_max: Some(used + (room << 10)),
            ..FaultPlan::default()
        };
        disk.plan(full);
        let error = loop {
            if let Err(error) = writer.put(&store) {
                break error;
            }
        };
        assert_eq!(error.kind, ErrorKind::NoSpace, "{error}");
        let blob = store.blobs.put_new("s/1", &vec![0; 1 << 20]).unwrap_err();
        assert_eq!(blob.kind, ErrorKind::NoSpace);
        writer.verify(&store, 0);
        disk.plan(FaultPlan::default());
        for _ in 0..10 {
            writer.put(&store).unwrap();
        }
        disk.crash();
        writer.verify(&open(&disk).unwrap(), 0);
        let directories = ["blobs/.tmp/", "journal/spare/"];
        let left = disk
            .files()
            .into_iter()
            .filter(|path| path.ends_with(".tmp"));
        assert_eq!(left.count(), 0, "{directories:?}");
    }
}

#[test]
fn reads_and_writes_that_end_early_are_continued() {
    let disk = FakeDisk::new(1);
    disk.plan(FaultPlan {
        short: true,
        ..FaultPlan::default()
    });
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    for _ in 0..15 {
        writer.put(&store).unwrap();
    }
    writer.verify(&store, 0);
    store.blobs.put_new("s/1", &[7; 9999]).unwrap();
    assert_eq!(store.blobs.get("s/1", 0..u64::MAX).unwrap(), vec![7; 9999]);
    disk.crash();
    disk.plan(FaultPlan {
        short: true,
        ..FaultPlan::default()
    });
    let store = open(&disk).unwrap();
    writer.verify(&store, 0);
    assert!(Journal::read(&store, writer.inc, 0).end.torn.is_none());
}
