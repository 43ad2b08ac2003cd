//! What puts and gets answer when nothing fails.

use headwater_store::faulty::{Did, FakeDisk};
use headwater_store::{ErrorKind, Incarnation, Outcome, Scanned, StoreError};

use crate::support::{Journal, Writer, open};

#[test]
fn a_put_is_one_write_and_one_sync_at_a_page() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    writer.put(&store).unwrap();
    let before = disk.history().len();
    let frame = writer.chunk(5000);
    writer.put_frame(&store, frame).unwrap();
    let history = disk.history();
    let [write, sync] = &history[before..] else {
        panic!("{:?}", &history[before..])
    };
    let Did::Write { position, bytes } = write.what else {
        panic!("{write:?}")
    };
    assert_eq!((position % 4096, bytes), (0, 8192));
    assert_eq!(sync.what, Did::Sync);
    assert_eq!(sync.path, write.path);
}

#[test]
fn a_taken_slot_says_whose_it_is() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    for _ in 0..5 {
        writer.put(&store).unwrap();
    }
    let mine = writer.acknowledged[2].clone();
    let outcome = store
        .slots
        .put_absent(writer.slot(2), &[&mine.bytes])
        .unwrap();
    assert_eq!(outcome, Outcome::Mine);
    let mut other = Writer::new(1, 2);
    other.acknowledged.clone_from(&writer.acknowledged);
    other.acknowledged.truncate(2);
    let theirs = other.chunk(10);
    let outcome = store
        .slots
        .put_absent(writer.slot(2), &[&theirs.bytes])
        .unwrap();
    assert_eq!(outcome, Outcome::Theirs(mine.header));
    writer.verify(&store, 0);
}

#[test]
fn a_tombstone_ends_a_journal() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    for _ in 0..3 {
        writer.put(&store).unwrap();
    }
    let late = writer.chunk(10);
    writer.seal(&store).unwrap();
    let tombstone = writer.acknowledged[3].clone();
    for (seq, frame) in [(3, late), (4, writer.chunk(10))] {
        let outcome = store
            .slots
            .put_absent(writer.slot(seq), &[&frame.bytes])
            .unwrap();
        assert_eq!(outcome, Outcome::Theirs(tombstone.header));
    }
    let again = store
        .slots
        .put_absent(writer.slot(3), &[&tombstone.bytes])
        .unwrap();
    assert_eq!(again, Outcome::Mine);
    writer.verify(&store, 0);
    assert!(Journal::read(&store, writer.inc, 0).end.sealed);
}

#[test]
fn a_frame_that_does_not_continue_the_journal_is_refused() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    writer.put(&store).unwrap();
    let next = writer.chunk(10);
    let stranger = Writer::new(2, 1).chunk(10);
    writer.acknowledged.push(stranger.clone());
    let beyond = writer.chunk(10);
    writer.acknowledged.pop();
    let cut = &next.bytes[..next.bytes.len() - 1];
    let pieces: [(u64, &[u8]); 5] = [
        (1, &stranger.bytes),
        (2, &beyond.bytes),
        (0, &next.bytes),
        (1, cut),
        (1, b""),
    ];
    for (seq, piece) in pieces {
        let refused = store
            .slots
            .put_absent(writer.slot(seq), &[piece])
            .unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid, "{refused}");
    }
    writer.put_frame(&store, next).unwrap();
    writer.verify(&store, 0);
}

#[test]
fn a_part_of_a_frame_is_read() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    writer.put(&store).unwrap();
    let frame = writer.acknowledged[0].bytes.clone();
    let end = frame.len() as u64;
    let slot = writer.slot(0);
    assert_eq!(store.slots.get(slot, 10..20).unwrap(), frame[10..20]);
    assert_eq!(
        store.slots.get(slot, end - 1..end + 9).unwrap(),
        frame[frame.len() - 1..]
    );
    assert_eq!(store.slots.get(slot, end..end).unwrap(), b""[..]);
    #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake is tested")]
    for range in [end + 1..end + 2, 5..4] {
        assert_eq!(
            store.slots.get(slot, range).unwrap_err().kind,
            ErrorKind::Invalid
        );
    }
    let missing = store.slots.get(writer.slot(1), 0..1).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    let nobody = headwater_store::Slot {
        inc: Incarnation([9; 16]),
        seq: 0,
    };
    assert_eq!(
        store.slots.get(nobody, 0..1).unwrap_err().kind,
        ErrorKind::NotFound
    );
}

#[test]
fn a_frame_of_many_pieces_or_larger_than_a_file_is_written() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    let frame = writer.chunk(300_000);
    let pieces: Vec<&[u8]> = frame.bytes.chunks(100).collect();
    assert_eq!(
        store.slots.put_absent(writer.slot(0), &pieces).unwrap(),
        Outcome::Mine
    );
    writer.acknowledged.push(frame);
    writer.put(&store).unwrap();
    writer.verify(&store, 0);
}

#[test]
fn slots_are_read_in_any_order_before_any_scan() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    for _ in 0..40 {
        writer.put(&store).unwrap();
    }
    drop(store);
    disk.kill();
    let store = open(&disk).unwrap();
    assert_eq!(store.slots.incarnations().unwrap(), [writer.inc]);
    for seq in [7, 39, 0, 20, 21] {
        let bytes = store.slots.get(writer.slot(seq), 0..u64::MAX).unwrap();
        assert_eq!(
            bytes,
            writer.acknowledged[usize::try_from(seq).unwrap()].bytes
        );
    }
    let missing = store.slots.get(writer.slot(40), 0..1).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    for from in [0, 13, 40, 41] {
        let journal = Journal::read(&store, writer.inc, from);
        assert_eq!(journal.seqs(), (from..40).collect::<Vec<_>>());
        assert_eq!(journal.end.next, 40);
    }
    writer.put(&store).unwrap();
    writer.verify(&store, 0);
}

#[test]
fn slots_are_read_while_they_are_told() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 1);
    for _ in 0..20 {
        writer.put(&store).unwrap();
    }
    drop(store);
    disk.kill();
    let store = open(&disk).unwrap();
    let mut told = 0;
    let scan = store.slots.scan(writer.inc, 10, &mut |found| {
        let Scanned::Chunk { header, .. } = found else {
            panic!("{found:?}")
        };
        for seq in [header.link.seq, 19 - header.link.seq] {
            store.slots.get(writer.slot(seq), 0..u64::MAX)?;
        }
        told += 1;
        Ok(())
    });
    assert_eq!((scan.unwrap().next, told), (20, 10));
    let stop = || StoreError::new(ErrorKind::Invalid, "Cannot go on", "here");
    let stopped = store
        .slots
        .scan(writer.inc, 0, &mut |_| Err(stop()))
        .unwrap_err();
    assert_eq!(stopped.what, "Cannot go on");
}
