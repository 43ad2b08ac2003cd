//! Segments: what was written is read, and what was damaged costs only itself.

mod sample;

use std::sync::Arc;

use headwater_broker_core::bloom;
use headwater_store::faulty::{FakeDisk, FaultPlan};
use headwater_store::segment::{RunId, Segment, SegmentWriter, Segments};
use headwater_store::{ErrorKind, StoreError};
use proptest::prelude::*;

use self::sample::{Batch, NAME, Sample};
use crate::support::open;

const CACHE_BYTES: usize = 1 << 20;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_written_is_read(seed: u64) {
        let sample = Sample::new(seed);
        let disk = FakeDisk::new(seed);
        let written = sample.write(&disk);
        let segment = reopen(&disk);
        prop_assert_eq!(segment.bytes(), written.bytes);
        prop_assert_eq!(segment.directory(), &written.directory);
        prop_assert!(!segment.is_repaired());
        for (id, batches) in sample.runs() {
            check_run(&segment, id, &batches);
        }
        let nobody = RunId { topic: [0xff; 16], partition: 0 };
        prop_assert!(segment.run(nobody).is_none() && segment.index(nobody).unwrap().is_none());
        prop_assert!(segment.read(nobody, 0, 1).unwrap().batches.is_empty());
    }

    /// Wherever the bit lies: in a batch, a table, a head, an index, the directory or the footer.
    #[test]
    fn a_flipped_bit_costs_one_batch(seed: u64, bits in prop::collection::vec(any::<u64>(), 12)) {
        let sample = Sample::new(seed);
        let disk = FakeDisk::new(seed);
        let bytes = sample.write(&disk).bytes;
        for bit in bits {
            let bit = bit % (8 * bytes);
            disk.flip_bit(&sample::path(), bit);
            let lost = sample.count_lost(&reopen(&disk));
            prop_assert!(lost <= 1, "bit {} costs {} batches", bit, lost);
            disk.flip_bit(&sample::path(), bit);
        }
    }

    /// The end is where most is: whole directories and indexes go.
    #[test]
    fn the_end_is_not_needed(seed: u64, back in 0_u64..4096) {
        let sample = Sample::new(seed);
        let disk = FakeDisk::new(seed);
        let bytes = sample.write(&disk).bytes;
        disk.flip_bit(&sample::path(), 8 * (bytes - 1 - back.min(bytes - 1)));
        prop_assert!(sample.count_lost(&reopen(&disk)) <= 1);
    }

    #[test]
    fn a_cut_object_gives_what_is_left(seed: u64, cut: u64) {
        let sample = Sample::new(seed);
        let disk = FakeDisk::new(seed);
        let bytes = sample.write(&disk).bytes;
        let left = cut % bytes;
        disk.cut(&sample::path(), usize::try_from(left).unwrap());
        for length in [left, bytes] {
            match try_reopen(&disk, length) {
                Ok(segment) => sample.check_honest(&segment),
                Err(error) => prop_assert_eq!(error.kind, ErrorKind::Damaged),
            }
        }
    }
}

/// Every way into a run gives what lies there.
fn check_run(segment: &Segment, id: RunId, batches: &[Batch]) {
    let run = segment.run(id).unwrap();
    assert_eq!(
        (run.from, run.to),
        (batches[0].from(), batches.last().unwrap().to())
    );
    for (at, batch) in batches.iter().enumerate() {
        for offset in [batch.from(), batch.to() - 1] {
            let found = segment.read(id, offset, 300 << 10).unwrap();
            assert!(found.lost.is_empty());
            let rest = &batches[at..at + found.batches.len()];
            assert!(
                !rest.is_empty()
                    && rest
                        .iter()
                        .eq(found.batches.iter().map(|found| (found, id)))
            );
        }
        let epoch = run.epoch_at(batch.from());
        assert_eq!(epoch, Some(batch.entry.epoch));
    }
    assert!(segment.read(id, run.to, 1).unwrap().batches.is_empty());
    check_times(segment, id, batches);
    check_topics(segment, id, batches);
}

fn check_times(segment: &Segment, id: RunId, batches: &[Batch]) {
    let times = batches.iter().map(|batch| batch.entry.max_timestamp);
    for time in times.chain([i64::MIN, i64::MAX]) {
        let first = batches
            .iter()
            .find(|batch| batch.entry.max_timestamp >= time);
        let found = segment.first_at(id, time).unwrap();
        assert_eq!(
            found.map(|found| found.base_offset()),
            first.map(Batch::from)
        );
    }
}

fn check_topics(segment: &Segment, id: RunId, batches: &[Batch]) {
    let index = segment.index(id).unwrap().unwrap();
    for block in &index.blocks {
        let found = segment.read_block(id, block).unwrap();
        assert_eq!(found.batches.len(), block.batches as usize);
        for batch in found.batches {
            let arrivals = block.arrival_ms_min..=block.arrival_ms_max;
            assert!(arrivals.contains(&batch.arrival_ms));
            let topic = bloom::hash(sample::topic(batch.base_offset()).as_bytes());
            assert!(block.may_contain(topic) && bloom::may_contain(&batch.topics, topic));
        }
        assert_eq!(
            block.may_contain(bloom::hash(b"nobody/ever")),
            !block.filtered
        );
    }
    assert_eq!(
        index
            .blocks
            .iter()
            .map(|block| block.batches as usize)
            .sum::<usize>(),
        batches.len()
    );
}

#[test]
fn order_is_kept_and_damage_is_not_copied() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let mut writer = SegmentWriter::create(&*store.blobs, NAME, 0, 1).unwrap();
    let [first, second] = [sample::batch(1, 10, 2), sample::batch(1, 12, 1)];
    let mut flipped = second.bytes.clone();
    flipped[70] ^= 1;
    writer.push(&first.entry, &first.bytes).unwrap();
    let kind = |result: Result<(), StoreError>| result.unwrap_err().kind;
    assert_eq!(
        kind(writer.push(&second.entry, &flipped)),
        ErrorKind::Damaged
    );
    assert_eq!(
        kind(writer.push(&first.entry, &second.bytes)),
        ErrorKind::Damaged
    );
    assert_eq!(
        kind(writer.push(&first.entry, &first.bytes)),
        ErrorKind::Invalid
    );
    writer.push(&second.entry, &second.bytes).unwrap();
    let before = sample::batch(0, 0, 1);
    assert_eq!(
        kind(writer.push(&before.entry, &before.bytes)),
        ErrorKind::Invalid
    );
    let written = writer.finish().unwrap();
    assert_eq!(written.directory.runs.len(), 1);
    let read = reopen(&disk).read(sample::id(1), 0, usize::MAX).unwrap();
    assert!(
        [first, second]
            .iter()
            .eq(read.batches.iter().map(|found| (found, sample::id(1))))
    );
}

#[test]
fn an_unfinished_segment_leaves_nothing() {
    let disk = FakeDisk::new(2);
    let store = open(&disk).unwrap();
    let batch = sample::batch(0, 0, 1);
    let mut writer = SegmentWriter::create(&*store.blobs, NAME, 0, 1).unwrap();
    writer.push(&batch.entry, &batch.bytes).unwrap();
    drop(writer);
    assert!(disk.files().iter().all(|file| !file.starts_with("blobs/")));
    let empty = SegmentWriter::create(&*store.blobs, NAME, 0, 1).unwrap();
    assert_eq!(empty.finish().unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(store.blobs.len(NAME).unwrap_err().kind, ErrorKind::NotFound);
    store.blobs.put_new(NAME, b"taken").unwrap();
    let taken = SegmentWriter::create(&*store.blobs, NAME, 0, 1);
    assert_eq!(taken.unwrap_err().kind, ErrorKind::Exists);
}

/// Whichever read it is: footer, directory, index or blocks.
#[test]
fn a_bit_that_turns_round_on_its_way_costs_nothing() {
    let sample = Sample::new(3);
    let disk = FakeDisk::new(3);
    let bytes = sample.write(&disk).bytes;
    for read in 1.. {
        disk.plan(FaultPlan {
            flip_read: Some(read),
            ..FaultPlan::default()
        });
        let segment = try_reopen(&disk, bytes).unwrap();
        let lost = sample.count_lost(&segment);
        assert_eq!((lost, segment.is_repaired()), (0, false), "{read}");
        if disk.reads() < read {
            assert!(read > 10, "{read}");
            return;
        }
    }
}

/// Whenever the power goes while a segment is written, it is there whole or not at all.
#[test]
fn a_segment_is_whole_or_not_there() {
    let sample = Sample::new(3);
    for change in 1..40 {
        let disk = FakeDisk::new(change);
        drop(open(&disk).unwrap());
        disk.plan(FaultPlan {
            power_off_at_change: Some(change),
            ..FaultPlan::default()
        });
        let done = open(&disk)
            .and_then(|store| sample.try_write(&store))
            .is_ok();
        disk.crash();
        let store = open(&disk).unwrap();
        match store.blobs.len(NAME) {
            Ok(bytes) => {
                let segment = try_reopen(&disk, bytes).unwrap();
                assert_eq!(
                    (sample.count_lost(&segment), segment.is_repaired()),
                    (0, false)
                );
            }
            Err(error) => assert!(!done && error.kind == ErrorKind::NotFound),
        }
        assert!(
            disk.files()
                .iter()
                .all(|file| !file.starts_with("blobs/.tmp/"))
        );
    }
}

#[test]
fn a_later_format_is_refused() {
    let disk = FakeDisk::new(4);
    let sample = Sample::new(4);
    sample.write(&disk);
    let mut bytes = disk.contents(&sample::path()).unwrap();
    for at in [0, bytes.len() - 64] {
        let end = if at == 0 { 24 } else { bytes.len() };
        bytes[at + 4] = 2;
        let checksum = headwater_wire::crc::crc32c(&bytes[at..end - 4]);
        bytes[end - 4..end].copy_from_slice(&checksum.to_le_bytes());
    }
    disk.replace(&sample::path(), bytes.clone());
    assert_eq!(
        try_reopen(&disk, bytes.len() as u64).unwrap_err().kind,
        ErrorKind::UnknownFormat
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let disk = FakeDisk::new(5);
    let store = open(&disk).unwrap();
    let batch = sample::batch(0, 0, 1);
    let names: Vec<String> = (0..100).map(|n| format!("s/00000/g/{n}")).collect();
    for name in &names {
        let mut writer = SegmentWriter::create(&*store.blobs, name, 0, 1).unwrap();
        writer.push(&batch.entry, &batch.bytes).unwrap();
        writer.finish().unwrap();
    }
    let segments = Segments::new(Arc::clone(&store.blobs), 10_000);
    for name in names.iter().chain(&names) {
        let bytes = store.blobs.len(name).unwrap();
        let segment = segments.open(name, bytes).unwrap();
        assert_eq!(segment.read(sample::id(0), 0, 1).unwrap().batches.len(), 1);
        assert!(segments.memory_bytes() <= 10_000);
    }
    assert!(segments.memory_bytes() > 5_000);
}

fn reopen(disk: &FakeDisk) -> Segment {
    let bytes = disk.contents(&sample::path()).unwrap().len();
    try_reopen(disk, bytes as u64).unwrap()
}

fn try_reopen(disk: &FakeDisk, bytes: u64) -> Result<Segment, StoreError> {
    let blobs = open(disk)?.blobs;
    Segments::new(blobs, CACHE_BYTES).open(NAME, bytes)
}
