//! Batches of a few partitions from a seed.

use headwater_broker_core::{Entry, bloom};
use headwater_store::faulty::FakeDisk;
use headwater_store::segment::{RunId, Segment, SegmentBatch, SegmentWriter, Written};
use headwater_store::{Store, StoreError};
use headwater_wire::batch::{
    BatchBuilder, Header, Producer, patch_base_offset, patch_leader_epoch,
};

use crate::support::{Random, open};

/// The segment's name.
pub(super) const NAME: &str = "s/00003/g/00000002-696e6361-00000001";

/// Where the fake disk has it.
pub(super) fn path() -> String {
    format!("blobs/{NAME}")
}

/// Batches in order of partition and offset.
pub(super) struct Sample {
    batches: Vec<Batch>,
}

#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) entry: Entry,
    pub(super) bytes: Vec<u8>,
}

impl Sample {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut batches = Vec::new();
        for partition in 0..1 + random.below(4) {
            let mut offset = random.below(1000);
            let mut epoch = 1;
            for arrival in 0..1 + random.below(30) {
                let largest = [200, 3000, 100_000][usize::try_from(random.below(3)).unwrap()];
                let count = 1 + random.below(5);
                let batch = random_batch(partition, offset, count, epoch, largest, &mut random);
                offset += count + [0, 0, 0, 7][usize::try_from(random.below(4)).unwrap()];
                epoch += u32::from(random.below(10) == 0);
                batches.push(batch.at(i64::try_from(1_000 + arrival).unwrap()));
            }
        }
        Self { batches }
    }

    pub(super) fn write(&self, disk: &FakeDisk) -> Written {
        self.try_write(&open(disk).unwrap()).unwrap()
    }

    pub(super) fn try_write(&self, store: &Store) -> Result<Written, StoreError> {
        let mut writer = SegmentWriter::create(&*store.blobs, NAME, 3, 2)?;
        for batch in &self.batches {
            writer.push(&batch.entry, &batch.bytes)?;
        }
        writer.finish()
    }

    pub(super) fn runs(&self) -> Vec<(RunId, Vec<Batch>)> {
        let runs = self.batches.chunk_by(|a, b| a.id() == b.id());
        runs.map(|run| (run[0].id(), run.to_vec())).collect()
    }

    /// Batches that cannot be read; all others are as they were, and these were told.
    pub(super) fn count_lost(&self, segment: &Segment) -> usize {
        self.check_honest(segment);
        let mut lost = 0;
        for (id, batches) in self.runs() {
            let (found, told) = read_all(segment, id);
            let missing = batches.iter().filter(|batch| {
                !found
                    .iter()
                    .any(|found| found.base_offset() == batch.from())
            });
            for batch in missing {
                assert!(
                    told.iter()
                        .any(|(from, to)| *from <= batch.from() && batch.to() <= *to)
                );
                lost += 1;
            }
        }
        lost
    }

    /// Whatever is read is what was written.
    pub(super) fn check_honest(&self, segment: &Segment) {
        for (id, batches) in self.runs() {
            for found in read_all(segment, id).0 {
                let batch = batches
                    .iter()
                    .find(|batch| batch.from() == found.base_offset());
                assert_eq!(batch.unwrap().bytes, found.bytes);
            }
        }
    }
}

/// As a reader goes: on behind what it got, and behind what is lost.
fn read_all(segment: &Segment, id: RunId) -> (Vec<SegmentBatch>, Vec<(i64, i64)>) {
    let mut batches: Vec<SegmentBatch> = Vec::new();
    let mut told = Vec::new();
    let mut offset = 0;
    loop {
        let found = segment.read(id, offset, 100_000).unwrap();
        let ends = found.batches.iter().map(SegmentBatch::end_offset);
        let Some(next) = ends.chain(found.lost.iter().map(|lost| lost.to)).max() else {
            return (batches, told);
        };
        assert!(next > offset, "a reader gets on");
        offset = next;
        told.extend(found.lost.iter().map(|lost| (lost.from, lost.to)));
        batches.extend(found.batches);
    }
}

impl Batch {
    pub(super) fn id(&self) -> RunId {
        RunId {
            topic: self.entry.topic,
            partition: self.entry.partition,
        }
    }

    pub(super) fn from(&self) -> i64 {
        self.entry.base_offset
    }

    pub(super) fn to(&self) -> i64 {
        self.entry.end_offset()
    }

    fn at(mut self, arrival_ms: i64) -> Self {
        self.entry.arrival_ms = arrival_ms;
        self
    }
}

impl PartialEq<(&SegmentBatch, RunId)> for &Batch {
    fn eq(&self, (found, id): &(&SegmentBatch, RunId)) -> bool {
        found.bytes == self.bytes && found.entry(3, *id) == self.entry
    }
}

/// Two partitions of each of two streams.
pub(super) fn id(number: u64) -> RunId {
    let number = u8::try_from(number).unwrap();
    RunId {
        topic: [number / 2; 16],
        partition: (number % 2).into(),
    }
}

/// The topic of the batch at an offset.
pub(super) fn topic(offset: i64) -> String {
    format!("site/{}/t", offset % 7)
}

/// A small batch.
pub(super) fn batch(number: u64, offset: u64, count: u64) -> Batch {
    random_batch(number, offset, count, 1, 200, &mut Random::new(offset))
}

fn random_batch(
    number: u64,
    offset: u64,
    count: u64,
    epoch: u32,
    largest: u64,
    random: &mut Random,
) -> Batch {
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        let value = random.below(largest / count + 1);
        let value = random.bytes(value);
        let time = i64::try_from(1_760_000_000_000 + random.below(1000)).unwrap();
        builder.push(time, Some(b"key"), Some(&value), []).unwrap();
    }
    let mut bytes = Vec::new();
    builder.finish_into(Producer::NONE, &mut bytes);
    let base_offset = i64::try_from(offset).unwrap();
    patch_base_offset(&mut bytes, base_offset);
    patch_leader_epoch(&mut bytes, epoch.cast_signed());
    let mut topics = bloom::Topics::default();
    topics.add(topic(base_offset).as_bytes());
    let mut entry = Entry {
        shard: 3,
        epoch,
        topic: id(number).topic,
        partition: id(number).partition,
        base_offset,
        count: u32::try_from(count).unwrap(),
        pos: 0,
        len: u32::try_from(bytes.len()).unwrap(),
        max_timestamp: 0,
        arrival_ms: 0,
        producer_id: 0,
        producer_epoch: 0,
        base_sequence: 0,
        attributes: 0,
        batch_crc: 0,
        topics: if random.below(20) == 0 {
            Vec::new()
        } else {
            topics.take()
        },
    };
    entry.describe(&Header::parse_exact(&bytes).unwrap());
    Batch { entry, bytes }
}
