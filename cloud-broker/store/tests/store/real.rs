//! The real disk: the lock, files that are prepared ahead, and a restart.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use headwater_store::ErrorKind;
use headwater_store::local::{self, LocalOptions};

use crate::support::{Writer, options};

fn prepared() -> LocalOptions {
    LocalOptions {
        prepare: true,
        ..options()
    }
}

fn bytes_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => bytes_of(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}

#[test]
fn a_store_is_read_back_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("a/b");
    let store = local::open(&root, prepared()).unwrap();
    let mut writer = Writer::new(1, 1);
    for _ in 0..60 {
        writer.put(&store).unwrap();
    }
    store.blobs.put_new("s/1", b"blob").unwrap();
    store
        .registers
        .create("cluster", b"{}")
        .unwrap()
        .unwrap_mine();
    drop(store);
    let store = local::open(&root, prepared()).unwrap();
    writer.verify(&store, 0);
    assert_eq!(store.blobs.get("s/1", 0..9).unwrap(), b"blob"[..]);
    assert_eq!(
        store.registers.read("cluster").unwrap().unwrap().value,
        b"{}"[..]
    );
    writer.seal(&store).unwrap();
    let mut next = Writer::new(2, 2);
    next.put(&store).unwrap();
    store.slots.delete_below(writer.inc, writer.next()).unwrap();
    next.verify(&store, 0);
    writer.verify(&store, writer.next() - 1);
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = local::open(directory.path(), options()).unwrap();
    let error = local::open(directory.path(), options()).unwrap_err();
    let pid = std::process::id();
    assert_eq!(error.kind, ErrorKind::InUse { pid });
    let place = directory.path().display();
    assert_eq!(
        error.to_string(),
        format!("data directory {place} is in use by pid {pid}")
    );
    // One part alone keeps the directory.
    let blobs = Arc::clone(&store.blobs);
    drop(store);
    local::open(directory.path(), options()).unwrap_err();
    drop(blobs);
    local::open(directory.path(), prepared()).unwrap();
    local::open(directory.path(), prepared()).unwrap();
}

#[test]
fn a_place_where_no_directory_can_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = local::open(&file.join("below"), options()).unwrap_err();
    assert!(error.to_string().contains("file/below"), "{error}");
}

#[test]
fn a_store_with_little_in_it_is_small() {
    let directory = tempfile::tempdir().unwrap();
    // A spare file that another thread is filling would be counted or not, as it happens.
    let options = LocalOptions {
        prepare: false,
        ..LocalOptions::default()
    };
    let store = local::open(directory.path(), options).unwrap();
    let mut writer = Writer::new(1, 1);
    writer.put(&store).unwrap();
    let bytes = bytes_of(directory.path());
    assert!(bytes < 12 << 20, "{bytes} bytes");
    writer.seal(&store).unwrap();
    let bytes = bytes_of(directory.path());
    assert!(bytes < 4 << 20, "{bytes} bytes");
}

#[test]
fn readers_go_on_while_slots_are_written_and_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = local::open(directory.path(), prepared()).unwrap();
    let mut writer = Writer::new(1, 1);
    writer.put(&store).unwrap();
    let (frames, acknowledged) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let reading = &store;
        let inc = writer.inc;
        scope.spawn(move || {
            for (seq, bytes) in acknowledged {
                let slot = headwater_store::Slot { inc, seq };
                match reading.slots.get(slot, 0..u64::MAX) {
                    Ok(read) => assert_eq!(read, bytes),
                    Err(error) => assert_eq!(error.kind, ErrorKind::NotFound, "{error}"),
                }
            }
        });
        for round in 0..150u64 {
            writer.put(&store).unwrap();
            for back in [0, 5, 20] {
                let frame = writer.acknowledged.iter().rev().nth(back);
                let Some(frame) = frame else { continue };
                frames
                    .send((frame.header.link.seq, frame.bytes.clone()))
                    .unwrap();
            }
            if round % 10 == 9 {
                store
                    .slots
                    .delete_below(inc, writer.next().saturating_sub(15))
                    .unwrap();
            }
        }
        drop(frames);
    });
}

trait Expected {
    /// The write went through.
    fn unwrap_mine(self);
}

impl Expected for headwater_store::Outcome<headwater_store::Registered> {
    fn unwrap_mine(self) {
        assert_eq!(self, Self::Mine);
    }
}
