//! The sample of a segment: two partitions, one of two blocks.

use bytes::Bytes;
use headwater_broker_core::{Entry, bloom};
use headwater_store::faulty::FakeDisk;
use headwater_store::format::segment::BLOCK_FILTER_BYTES_MAX;
use headwater_store::segment::{RunId, SegmentWriter, Segments};
use headwater_wire::batch::{
    BatchBuilder, Header, Producer, patch_base_offset, patch_leader_epoch,
};

use super::{INC, TOPIC};
use crate::support::open;

/// The object, as it is written now.
pub(super) fn bytes() -> Vec<u8> {
    let disk = FakeDisk::new(0);
    let store = open(&disk).unwrap();
    let name = headwater_store::names::segment(3, 2, INC, 1);
    let mut writer = SegmentWriter::create(&*store.blobs, &name, 3, 2).unwrap();
    for (entry, batch) in batches() {
        writer.push(&entry, &batch).unwrap();
    }
    writer.finish().unwrap();
    disk.contents(&format!("blobs/{name}")).unwrap()
}

/// Everything that was written is found in the sample.
pub(super) fn check(bytes: &[u8]) {
    let store = open(&FakeDisk::new(0)).unwrap();
    store.blobs.put_new("sample", bytes).unwrap();
    let segments = Segments::new(store.blobs, 1 << 20);
    let segment = segments.open("sample", bytes.len() as u64).unwrap();
    assert!(!segment.is_repaired());
    let mut found: Vec<(Entry, Bytes)> = Vec::new();
    for run in &segment.directory().runs {
        let read = segment.read(run.id, 0, usize::MAX).unwrap();
        assert_eq!(read.lost, []);
        let batches = read.batches.into_iter();
        found.extend(batches.map(|batch| (batch.entry(3, run.id), batch.bytes)));
    }
    assert_eq!(found, batches());
    let id = RunId {
        topic: TOPIC,
        partition: 6,
    };
    assert_eq!(segment.index(id).unwrap().unwrap().blocks.len(), 2);
    let at = segment.first_at(id, 1_760_000_000_003).unwrap().unwrap();
    assert_eq!(at.base_offset(), (1 << 40) + 6);
    let run = segment.run(id).unwrap();
    assert_eq!(
        [1 << 40, (1 << 40) + 6].map(|offset| run.epoch_at(offset)),
        [Some(1), Some(2)]
    );
}

fn batches() -> Vec<(Entry, Bytes)> {
    let lane = Producer {
        id: (1 << 52) + 12_345,
        epoch: 1,
        base_sequence: 7,
    };
    vec![
        batch(5, 1000, 1, Producer::NONE, Vec::new()),
        // So large a filter ends the block.
        batch(6, 1 << 40, 1, lane, vec![0x55; BLOCK_FILTER_BYTES_MAX + 1]),
        // A gap: records were lost before.
        batch(6, (1 << 40) + 6, 2, Producer::NONE, filter()),
    ]
}

fn filter() -> Vec<u8> {
    let mut topics = bloom::Topics::default();
    topics.add(b"site/1/t");
    topics.take()
}

fn batch(
    partition: u32,
    base_offset: i64,
    epoch: u32,
    producer: Producer,
    topics: Vec<u8>,
) -> (Entry, Bytes) {
    let mut builder = BatchBuilder::new();
    for at in 0..2 {
        let time = 1_760_000_000_000 + 2 * i64::from(epoch) + at - 1;
        builder
            .push(time, Some(b"site/1/t"), Some(b"21.5"), [])
            .unwrap();
    }
    let mut bytes = Vec::new();
    builder.finish_into(producer, &mut bytes);
    patch_base_offset(&mut bytes, base_offset);
    patch_leader_epoch(&mut bytes, epoch.cast_signed());
    let mut entry = Entry {
        partition,
        base_offset,
        epoch,
        count: 2,
        len: u32::try_from(bytes.len()).unwrap(),
        arrival_ms: 1_760_000_000_100 + i64::from(epoch),
        topics,
        ..super::plain_entry()
    };
    entry.describe(&Header::parse_exact(&bytes).unwrap());
    (entry, bytes.into())
}
