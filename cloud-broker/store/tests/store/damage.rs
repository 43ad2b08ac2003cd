//! Damage of every kind, at every place: told from a torn tail, and what follows is kept.

use headwater_store::faulty::{FakeDisk, FaultPlan};
use headwater_store::{ErrorKind, Scanned, Store};

use crate::support::{Journal, Random, Writer, open};

/// A journal of several files, closed by a kill.
fn journal(seed: u64, sealed: bool) -> (FakeDisk, Writer) {
    let disk = FakeDisk::new(seed);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, seed);
    for _ in 0..20 {
        writer.put(&store).unwrap();
    }
    if sealed {
        writer.seal(&store).unwrap();
    }
    disk.crash();
    (disk, writer)
}

fn files(disk: &FakeDisk, writer: &Writer) -> Vec<String> {
    let directory = format!("journal/{}/", writer.inc);
    disk.files()
        .into_iter()
        .filter(|path| path.starts_with(&directory))
        .collect()
}

/// File and position of a slot's frame.
fn place(disk: &FakeDisk, writer: &Writer, seq: usize) -> (String, usize) {
    let frame = &writer.acknowledged[seq].bytes;
    files(disk, writer)
        .into_iter()
        .find_map(|path| {
            let bytes = disk.contents(&path).unwrap();
            let at = bytes
                .windows(64)
                .step_by(4096)
                .position(|page| page == &frame[..64])?;
            Some((path, at * 4096))
        })
        .unwrap()
}

fn all_but(lost: std::ops::Range<u64>, end: u64) -> Vec<u64> {
    (0..end).filter(|seq| !lost.contains(seq)).collect()
}

fn read(disk: &FakeDisk, writer: &Writer) -> (Store, Journal) {
    let store = open(disk).unwrap();
    let journal = Journal::read(&store, writer.inc, 0);
    (store, journal)
}

#[test]
fn one_bit_in_a_header_or_index_costs_its_slot_alone() {
    for (seq, at) in
        (0..19).flat_map(|seq| [0, 9, 30, 40, 60, 80, 93, 100, 120].map(|at| (seq, at)))
    {
        let (disk, mut writer) = journal(1, false);
        let (path, position) = place(&disk, &writer, seq);
        disk.flip_bit(&path, (position as u64 + at) * 8 + 3);
        let (store, journal) = read(&disk, &writer);
        let slot = seq as u64;
        assert_eq!(
            journal.lost(),
            [(slot, Some(slot + 1))],
            "slot {seq}, byte {at}"
        );
        assert_eq!(journal.seqs(), all_but(slot..slot + 1, 20));
        assert_eq!(journal.end.next, 20);
        let unread = store.slots.get(writer.slot(slot), 0..1).unwrap_err();
        assert_eq!(unread.kind, ErrorKind::Damaged);
        // The journal goes on, and tells the same every time.
        writer.seal(&store).unwrap();
        disk.crash();
        let (_, again) = read(&disk, &writer);
        assert_eq!(again.lost(), journal.lost());
        assert!(again.end.sealed);
    }
}

/// Not a slot is lost, cut off as torn, or written again as it was misread.
#[test]
fn a_bit_that_turns_round_on_its_way_is_no_damage() {
    let (disk, writer) = journal(4, false);
    for read in 1.. {
        disk.kill();
        disk.plan(FaultPlan {
            flip_read: Some(read),
            ..FaultPlan::default()
        });
        let store = open(&disk).unwrap();
        let mut slots = Vec::new();
        let end = store.slots.scan(writer.inc, 0, &mut |scanned| {
            slots.push(matches!(scanned, Scanned::Chunk { .. }));
            Ok(())
        });
        let end = end.unwrap();
        assert_eq!((end.next, end.torn), (20, None), "{read}");
        assert_eq!(slots, [true; 20], "{read}");
        if disk.reads() < read {
            assert!(read > 5, "{read}");
            break;
        }
    }
    disk.kill();
    let (_store, journal) = read(&disk, &writer);
    assert_eq!((journal.lost(), journal.end.next), (Vec::new(), 20));
}

#[test]
fn a_bit_in_a_payload_is_found_when_it_is_read() {
    let (disk, writer) = journal(2, false);
    let (path, position) = place(&disk, &writer, 5);
    let header = writer.acknowledged[5].header;
    disk.flip_bit(&path, (position as u64 + header.payload_pos()) * 8);
    let (store, journal) = read(&disk, &writer);
    assert_eq!(journal.lost(), []);
    let bytes = store
        .slots
        .get(writer.slot(5), header.payload_pos()..u64::MAX)
        .unwrap();
    header.check_payload(&bytes).unwrap_err();
}

#[test]
fn a_bad_last_frame_is_a_torn_tail_unless_a_tombstone_follows() {
    for at in [0, 30, 100, 5000] {
        for sealed in [false, true] {
            let (disk, mut writer) = journal(3, sealed);
            let frame = writer.chunk(0);
            let last = 19;
            let (path, position) = place(&disk, &writer, last);
            let bytes = writer.acknowledged[last].bytes.len();
            let at = at.min(bytes as u64 - 1);
            disk.flip_bit(&path, (position as u64 + at) * 8);
            let (store, journal) = read(&disk, &writer);
            let in_payload = at > 200;
            match sealed {
                true if in_payload => assert_eq!(journal.lost(), []),
                true => assert_eq!(journal.lost(), [(19, Some(20))]),
                false => {
                    assert_eq!(journal.lost(), []);
                    assert_eq!(
                        (journal.end.next, journal.seqs()),
                        (19, all_but(19..20, 19))
                    );
                    writer.acknowledged.truncate(last);
                    writer.put(&store).unwrap();
                    writer.verify(&store, 0);
                    drop(store);
                    disk.crash();
                    writer.verify(&open(&disk).unwrap(), 0);
                }
            }
            drop(frame);
        }
    }
}

#[test]
fn a_file_that_is_shorter_than_it_was_made_is_damage() {
    let whole = journal(4, false);
    let last = files(&whole.0, &whole.1).len() - 1;
    let length = whole
        .0
        .contents(&files(&whole.0, &whole.1)[last])
        .unwrap()
        .len();
    for cut in [
        1,
        511,
        4096,
        20_000,
        length - 4096,
        length - 64,
        length - 1,
        length,
    ] {
        let (disk, mut writer) = journal(4, false);
        let path = files(&disk, &writer)[last].clone();
        disk.cut(&path, length - cut);
        let (store, found) = read(&disk, &writer);
        let end = found.end.next;
        assert!(!found.lost().is_empty(), "{cut} bytes are missing");
        assert_eq!(
            found.lost().last(),
            Some(&(end, None)),
            "{cut} bytes are missing"
        );
        assert_eq!(found.seqs(), all_but(end..end, end));
        // What comes next goes to a new file, and the damage stays known.
        writer.acknowledged.truncate(usize::try_from(end).unwrap());
        writer.seal(&store).unwrap();
        drop(store);
        disk.crash();
        let (_, again) = read(&disk, &writer);
        assert!(again.end.sealed);
        assert!(
            again.lost().contains(&(end, None)),
            "{cut} bytes are missing"
        );
        assert_eq!(again.seqs(), all_but(0..0, end + 1));
    }
}

#[test]
fn a_sealed_file_that_is_cut_is_damage() {
    let whole = journal(5, true);
    let path = files(&whole.0, &whole.1).pop().unwrap();
    let length = whole.0.contents(&path).unwrap().len();
    for cut in [4000, 4096, 8192, length - 100, length] {
        let (disk, writer) = journal(5, true);
        disk.cut(&path, length - cut);
        let (_, found) = read(&disk, &writer);
        assert!(!found.lost().is_empty(), "{cut} bytes are missing");
        assert!(!found.end.sealed);
    }
}

#[test]
fn a_file_in_the_middle_that_is_cut_lost_or_without_its_first_page_costs_its_slots_alone() {
    let whole = journal(6, false);
    let all = files(&whole.0, &whole.1);
    assert!(all.len() > 3);
    let starts: Vec<u64> = all
        .iter()
        .map(|path| u64::from_str_radix(&path[path.len() - 20..path.len() - 4], 16).unwrap())
        .collect();
    let harm: [fn(&FakeDisk, &str); 4] = [
        |disk, path| disk.lose(path),
        |disk, path| disk.cut(path, 0),
        |disk, path| disk.cut(path, 4096),
        |disk, path| disk.flip_bit(path, 100),
    ];
    for (number, harm) in harm.into_iter().enumerate() {
        let (disk, writer) = journal(6, false);
        harm(&disk, &all[1]);
        let (_, found) = read(&disk, &writer);
        let lost = if number == 3 {
            starts[1]..starts[1]
        } else {
            starts[1]..starts[2]
        };
        assert_eq!(found.seqs(), all_but(lost.clone(), 20), "harm {number}");
        assert_eq!(found.lost().last(), Some(&(lost.start, Some(lost.end))));
        assert_eq!(found.end.next, 20);
    }
}

/// Whatever happens to single bits and sectors, nothing is shown that was not written.
#[test]
fn any_damage_is_survived_and_nothing_is_made_up() {
    for seed in 0..300 {
        let (disk, writer) = journal(seed % 10, seed % 2 == 0);
        let mut random = Random::new(seed);
        let all = files(&disk, &writer);
        for _ in 0..=random.below(3) {
            let path = &all[usize::try_from(random.below(all.len() as u64)).unwrap()];
            let mut bytes = disk.contents(path).unwrap();
            if bytes.len() < 8192 {
                continue;
            }
            let at = usize::try_from(random.below(bytes.len() as u64 / 512)).unwrap() * 512;
            match random.below(4) {
                0 => disk.flip_bit(path, random.below(bytes.len() as u64 * 8)),
                1 => disk.cut(path, at),
                2 => {
                    bytes[at..at + 512].copy_from_slice(&random.bytes(512));
                    disk.replace(path, bytes);
                }
                _ => {
                    let to = at.min(bytes.len() - 4096);
                    let from = to / 4096 * 4096;
                    bytes.copy_within(from..from + 4096, 4096);
                    disk.replace(path, bytes);
                }
            }
        }
        let (store, found) = read(&disk, &writer);
        for header in &found.headers {
            let slot = usize::try_from(header.link.seq).unwrap();
            assert_eq!(*header, writer.acknowledged[slot].header, "seed {seed}");
        }
        assert!(found.seqs().is_sorted());
        for seq in 0..writer.next() {
            let _ = store.slots.get(writer.slot(seq), 0..u64::MAX);
        }
    }
}

#[test]
fn a_frame_of_a_later_format_is_refused_not_cut() {
    let (disk, writer) = journal(7, false);
    let (path, position) = place(&disk, &writer, 19);
    let mut bytes = disk.contents(&path).unwrap();
    bytes[position + 4] = 2;
    let checksum = headwater_wire::crc::crc32c(&bytes[position..position + 92]);
    bytes[position + 92..position + 96].copy_from_slice(&checksum.to_le_bytes());
    disk.replace(&path, bytes);
    let store = open(&disk).unwrap();
    let refused = Journal::try_read(&store, writer.inc, 0).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::UnknownFormat, "{refused}");
}

#[test]
fn a_frame_that_does_not_follow_the_one_before_is_not_counted() {
    let disk = FakeDisk::new(8);
    let store = open(&disk).unwrap();
    let mut writer = Writer::new(1, 8);
    // The same incarnation and slots, but another history.
    let mut stranger = Writer::new(1, 9);
    for _ in 0..3 {
        let frame = writer.chunk(100);
        writer.put_frame(&store, frame).unwrap();
        let frame = stranger.chunk(100);
        stranger.acknowledged.push(frame);
    }
    let (path, position) = place(&disk, &writer, 2);
    let mut bytes = disk.contents(&path).unwrap();
    let frame = stranger.chunk(100).bytes;
    bytes[position + 4096..][..frame.len()].copy_from_slice(&frame);
    disk.replace(&path, bytes);
    drop(store);
    disk.kill();
    writer.verify(&open(&disk).unwrap(), 0);
}
