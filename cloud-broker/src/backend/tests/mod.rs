//! The whole log in one process, on a disk that can lose power.

mod basics;
mod compaction;
mod cycles;
mod damage;
mod deletion;
mod groups;
mod keyed;
mod power;
mod restart;
mod retention;
mod scenarios;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use headwater_broker_core::catalog;
use headwater_broker_core::segments::Thresholds;
use headwater_broker_core::submit::{LaneBatch, Repair, RepairReason, Resume};
use headwater_broker_core::{
    Answer, LaneName, LaneOutcome, PartitionId, PlainRecord, Refusal, StreamSpec,
};
use headwater_store::faulty::{FakeDisk, FaultPlan};
use headwater_store::{local, memory};
use headwater_wire::batch::{self, BatchBuilder, Header, Producer};
use headwater_wire::time::Millis;
use headwater_wire::uplink::{self, Position};

use super::*;
use crate::validate::Validator;

/// Offset, key, value.
type Record = (i64, String, String);

/// A disk, and the log on it.
struct Site {
    disk: FakeDisk,
    /// The wall clock.
    now: Arc<AtomicI64>,
    /// The clock that nobody sets.
    since_boot: Arc<AtomicI64>,
    options: Options,
    backend: Option<Arc<Backend>>,
}

impl Site {
    /// An empty disk.
    fn new(seed: u64) -> Self {
        let now = Arc::new(AtomicI64::new(1_000));
        let clock = Arc::clone(&now);
        let events = StreamSpec {
            filters: vec!["#".to_owned()],
            ..StreamSpec::new("events")
        };
        let mut options = Options::new("unused", vec![events]);
        options.clock = Arc::new(move || Millis(clock.load(Ordering::Relaxed)));
        options.space = Arc::new(|| None);
        options.retry_ms = 1;
        let since_boot = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&since_boot);
        options.monotonic = Arc::new(move || Millis(clock.load(Ordering::Relaxed)));
        options.compaction_thread = false;
        Self {
            disk: FakeDisk::new(seed),
            now,
            since_boot,
            options,
            backend: None,
        }
    }

    /// An empty disk with an open log.
    fn open(seed: u64) -> Self {
        let mut site = Self::new(seed);
        site.start().unwrap();
        site
    }

    fn start(&mut self) -> Result<(), OpenError> {
        let store = local::open_on(self.disk.shared(), memory::options())?;
        self.backend = Some(Backend::open_on(store, self.options.clone())?);
        Ok(())
    }

    /// From the next start on a shard goes into segments once it has so many batches in the
    /// journal, and what may be deleted is deleted at the next look.
    fn compact_after(&mut self, batches: u64) {
        self.options.thresholds = Thresholds {
            batches,
            journal_bytes: 100_000,
            own_bytes: 2_000,
            ..Thresholds::default()
        };
        self.options.tidy_ms = 0;
    }

    fn append(&self, partition: PartitionId, value: &str) -> i64 {
        let appended = wait(
            self.backend()
                .append(partition, batch(Producer::NONE, &[value])),
        );
        appended.unwrap().base_offset
    }

    /// Partitions of a stream that share no shard with the catalog, whose batches count there too.
    fn apart(stream: &Stream) -> Vec<PartitionId> {
        let is_apart = |number: &u32| catalog::shard(&stream.id, *number, catalog::SHARDS) != 0;
        let numbers = (0..stream.spec.partitions).filter(is_apart);
        numbers
            .map(|number| stream.partitions[number as usize])
            .collect()
    }

    /// Lets the journal's thread look for work until `done`.
    fn until(&self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.backend().shared.gate.ring();
            std::thread::yield_now();
        }
    }

    /// Files of segments.
    fn segments(&self) -> Vec<String> {
        let mut files = self.disk.files();
        files.retain(|file| file.contains("/g/"));
        files
    }

    /// Ends in order and starts again.
    fn restart(&mut self) {
        self.backend().stop();
        self.kill();
    }

    /// Dies and starts again.
    fn kill(&mut self) {
        self.backend = None;
        self.disk.kill();
        self.start().unwrap();
    }

    /// Loses its power and starts again.
    fn lose_power(&mut self) {
        self.backend = None;
        self.disk.crash();
        self.start().unwrap();
    }

    /// From now on the power fails at the `change`-th change of the disk.
    fn power_off_at(&self, change: u64) {
        self.disk.plan(FaultPlan {
            power_off_at_change: Some(change),
            ..FaultPlan::default()
        });
    }

    /// Loses its power and starts again; at the `change`-th change it fails during the start too.
    fn fall(&mut self, change: u64) {
        self.backend = None;
        self.disk.crash();
        self.power_off_at(change);
        if self.start().is_err() || !self.disk.is_powered() {
            self.lose_power();
        }
        self.disk.plan(FaultPlan::default());
    }

    fn backend(&self) -> &Arc<Backend> {
        self.backend.as_ref().expect("it was started")
    }

    fn events(&self) -> Arc<Stream> {
        Arc::clone(
            self.backend()
                .catalog()
                .by_name("events")
                .expect("it is configured"),
        )
    }

    /// All records of a partition: offset, key, value.
    fn records(&self, partition: PartitionId) -> Vec<Record> {
        self.try_records(partition).unwrap()
    }

    fn try_records(&self, partition: PartitionId) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        let mut offset = 0;
        loop {
            let batches = self.backend().read(partition, offset, 1000)?;
            let Some(last) = batches.last() else {
                return Ok(records);
            };
            offset = last.last_offset + 1;
            batches.iter().for_each(|batch| decode(batch, &mut records));
        }
    }
}

/// Numbers that a seed decides.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn decode(stored: &StoredBatch, records: &mut Vec<Record>) {
    let header = Header::parse_exact(&stored.bytes).unwrap();
    batch::check_crc(&stored.bytes, &header).unwrap();
    assert_eq!(header.base_offset, stored.base_offset);
    let mut validator = Validator::default();
    let uncompressed = validator.records(&header, &stored.bytes).unwrap();
    let text =
        |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
    for record in batch::records(&header, uncompressed) {
        let record = record.unwrap();
        let offset = stored.base_offset + i64::from(record.offset_delta);
        records.push((offset, text(record.key), text(record.value)));
    }
}

/// A batch of records with these values.
fn batch(producer: Producer, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder
            .push(7, Some(b"k"), Some(value.as_bytes()), [])
            .unwrap();
    }
    let mut bytes = Vec::new();
    builder.finish_into(producer, &mut bytes);
    bytes.into()
}

fn lane(name: &str) -> LaneName {
    LaneName {
        device: name.to_owned(),
        stream: "events".to_owned(),
        lane: "main".to_owned(),
        generation: 0,
    }
}

/// A batch of a lane, at a position.
fn lane_batch(name: &LaneName, connection: u64, position: u64, values: &[&str]) -> LaneBatch {
    let LaneName {
        device,
        stream,
        lane,
        generation,
    } = name;
    let id = uplink::producer_id(device, stream, lane, *generation);
    let bytes = batch(Position(position).producer(id).unwrap(), values);
    let header = Header::parse_exact(&bytes).unwrap();
    LaneBatch {
        name: name.clone(),
        connection,
        bytes,
        header,
        topics: Vec::new(),
    }
}

fn resume(name: &LaneName, connection: u64) -> Resume {
    Resume {
        name: name.clone(),
        connection,
        oldest: 0,
        next: 0,
        predecessor: None,
    }
}

/// Waits for a ticket; gives whether it became durable, and the answers that came with it.
async fn settle(inbox: &Inbox, ticket: u64) -> (bool, Vec<LaneOutcome>) {
    loop {
        let progress = inbox.progress();
        if let Some(durable) = progress.of(ticket) {
            let mut answers: Vec<Answer> = Vec::new();
            inbox.take_answers(&mut answers);
            return (
                durable,
                answers.into_iter().map(|answer| answer.outcome).collect(),
            );
        }
        inbox.woken().await;
    }
}

/// Submits one thing and waits for its answers.
fn ask(inbox: &Inbox, put: impl FnOnce(&mut Submit<'_>)) -> (bool, Vec<LaneOutcome>) {
    let mut submit = inbox.lock();
    put(&mut submit);
    let ticket = submit.ticket();
    drop(submit);
    wait(settle(inbox, ticket))
}

fn publish(submit: &mut Submit<'_>, partition: PartitionId, topic: &str, value: &str) {
    let record = PlainRecord {
        topic,
        value: value.as_bytes(),
        headers: [],
    };
    submit.publish(partition, record).unwrap();
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn values(records: &[Record]) -> Vec<&str> {
    records.iter().map(|(_, _, value)| value.as_str()).collect()
}
