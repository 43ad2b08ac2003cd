//! Files are used again, and nothing that lies in them comes back.

use headwater_store::faulty::FakeDisk;
use headwater_store::format::chunk;
use headwater_store::{ErrorKind, Store};

use crate::support::{Journal, Writer, open};

/// Fills files until the journal has `files` of them.
fn fill(disk: &FakeDisk, store: &Store, writer: &mut Writer, files: usize) {
    while journal_files(disk, writer).len() < files {
        writer.put(store).unwrap();
    }
}

fn journal_files(disk: &FakeDisk, writer: &Writer) -> Vec<String> {
    let directory = format!("journal/{}/", writer.inc);
    disk.files()
        .into_iter()
        .filter(|path| path.starts_with(&directory))
        .collect()
}

fn spares(disk: &FakeDisk) -> usize {
    disk.files()
        .iter()
        .filter(|path| path.starts_with("journal/spare/"))
        .count()
}

/// Valid headers of chunks in a file, wherever they begin.
fn stale_frames(disk: &FakeDisk, path: &str) -> usize {
    let bytes = disk.contents(path).unwrap();
    bytes
        .chunks(4096)
        .filter(|page| chunk::Header::decode(page).is_ok())
        .count()
}

#[test]
fn one_frame_in_a_recycled_file_is_one_frame_after_a_crash() {
    for (seed, same) in (0..20).flat_map(|seed| [(seed, true), (seed, false)]) {
        let disk = FakeDisk::new(seed);
        let store = open(&disk).unwrap();
        let mut old = Writer::new(1, seed);
        fill(&disk, &store, &mut old, 4);
        store.slots.delete_below(old.inc, old.next() - 1).unwrap();
        assert_eq!(spares(&disk), 2, "two files of the usual size were kept");
        let files = journal_files(&disk, &old).len();
        let kept = old.next() - 1;
        // The same incarnation goes on, or another one begins.
        let mut new = Writer::new(2, seed);
        let writer = match same {
            true => {
                fill(&disk, &store, &mut old, files + 1);
                &mut old
            }
            false => {
                new.put(&store).unwrap();
                &mut new
            }
        };
        let newest = journal_files(&disk, writer).pop().unwrap();
        assert!(
            stale_frames(&disk, &newest) > 1,
            "the file was not full before"
        );
        disk.crash();
        let store = open(&disk).unwrap();
        let from = if same { kept } else { 0 };
        writer.verify(&store, from);
        let in_newest = Journal::read(&store, writer.inc, writer.next() - 1);
        assert_eq!(in_newest.seqs(), [writer.next() - 1]);
    }
}

#[test]
fn what_is_given_up_is_gone_and_the_rest_stays() {
    let disk = FakeDisk::new(3);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 3);
    fill(&disk, &store, &mut writer, 4);
    store.slots.delete_below(writer.inc, 0).unwrap();
    writer.verify(&store, 0);
    let low = writer.next() - 2;
    store.slots.delete_below(writer.inc, low).unwrap();
    let first = Journal::read(&store, writer.inc, 0).end.first;
    assert!(first > 0 && first <= low);
    let gone = store.slots.get(writer.slot(0), 0..1).unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    writer.verify(&store, first);
    store.slots.delete_below(writer.inc, u64::MAX).unwrap();
    disk.crash();
    let store = open(&disk).unwrap();
    let first = Journal::read(&store, writer.inc, 0).end.first;
    writer.verify(&store, first);
    writer.put(&store).unwrap();
    writer.verify(&store, first);
}

#[test]
fn of_a_sealed_journal_the_tombstone_stays() {
    for crashes in [false, true] {
        let disk = FakeDisk::new(4);
        let mut store = open(&disk).unwrap();
        let mut writer = Writer::new(1, 4);
        fill(&disk, &store, &mut writer, 3);
        writer.seal(&store).unwrap();
        let end = writer.next() - 1;
        if crashes {
            disk.crash();
            store = open(&disk).unwrap();
        }
        store.slots.delete_below(writer.inc, end + 1).unwrap();
        let files = journal_files(&disk, &writer);
        assert_eq!(files.len(), 1);
        assert_eq!(disk.contents(&files[0]).unwrap().len(), 8192);
        writer.verify(&store, end);
        disk.crash();
        let store = open(&disk).unwrap();
        let journal = Journal::read(&store, writer.inc, 0);
        assert_eq!((journal.end.first, journal.seqs()), (end, vec![end]));
        assert!(journal.end.sealed);
        store.slots.delete_below(writer.inc, u64::MAX).unwrap();
        writer.verify(&store, end);
    }
}

#[test]
fn a_sealed_journal_gives_its_space_back() {
    let disk = FakeDisk::new(5);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 5);
    writer.put(&store).unwrap();
    let [file] = &journal_files(&disk, &writer)[..] else {
        panic!("one file")
    };
    assert_eq!(disk.contents(file).unwrap().len(), 32 << 10);
    writer.seal(&store).unwrap();
    let frame = writer.acknowledged[0].bytes.len().next_multiple_of(4096);
    assert_eq!(disk.contents(file).unwrap().len(), 4096 + frame + 4096);
    for _ in 0..5 {
        disk.crash();
        let store = open(&disk).unwrap();
        writer.verify(&store, 0);
        assert_eq!(disk.contents(file).unwrap().len(), 4096 + frame + 4096);
    }
}

#[test]
fn a_sealed_journal_is_not_written_again_by_reading_it() {
    let disk = FakeDisk::new(6);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 6);
    writer.put(&store).unwrap();
    writer.seal(&store).unwrap();
    drop(store);
    disk.kill();
    let store = open(&disk).unwrap();
    let before = disk.history().len();
    writer.verify(&store, 0);
    assert_eq!(disk.history().len(), before);
}
