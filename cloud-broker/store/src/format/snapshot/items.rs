//! The items of a snapshot and their way to and from [`ShardState`].

use headwater_broker_core::state::{
    KeyedRecord, LaneEntry, LaneState, PartitionState, ProducerBatch, ProducerState, ShardState,
};
use prost::Message;

use super::{FormatError, Snapshot};
use crate::ids::Incarnation;

const BAD: FormatError = FormatError::Value { what: "snapshot" };

/// Head first, then the partitions in order.
pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |what: What| {
        let item = Item { what: Some(what) };
        item.encode_length_delimited(&mut out)
            .expect("a Vec takes any number of bytes");
    };
    put(What::Head(Head {
        shard: snapshot.state.shard,
        inc: snapshot.inc.0.to_vec(),
        next_seq: snapshot.next_seq,
        epoch: snapshot.epoch,
    }));
    for partition in &snapshot.state.partitions {
        put(What::Partition(Partition::of(partition)));
        partition
            .producers
            .iter()
            .for_each(|producer| put(What::Producer(Producer::of(producer))));
        partition
            .lanes
            .iter()
            .for_each(|lane| put(What::Lane(Lane::of(lane))));
        partition
            .records
            .iter()
            .for_each(|record| put(What::Record(Record::of(record))));
    }
    out
}

/// Takes items until `raw` ends; an item of a kind that is not known is passed over.
pub(super) fn decode(mut raw: &[u8]) -> Result<Snapshot, FormatError> {
    let Some(What::Head(head)) = next(&mut raw)? else {
        return Err(BAD);
    };
    let mut state = ShardState {
        shard: head.shard,
        partitions: Vec::new(),
    };
    while !raw.is_empty() {
        let Some(what) = next(&mut raw)? else {
            continue;
        };
        if let What::Partition(partition) = what {
            state.partitions.push(partition.into_state()?);
            continue;
        }
        let partition = state.partitions.last_mut().ok_or(BAD)?;
        match what {
            What::Head(_) | What::Partition(_) => return Err(BAD),
            What::Producer(producer) => partition.producers.push(producer.into_state()?),
            What::Lane(lane) => partition.lanes.push(lane.into_state()),
            What::Record(record) => partition.records.push(record.into_state()),
        }
    }
    let inc = Incarnation::from_bytes(&head.inc).ok_or(BAD)?;
    Ok(Snapshot {
        inc,
        next_seq: head.next_seq,
        epoch: head.epoch,
        state,
    })
}

fn next(raw: &mut &[u8]) -> Result<Option<What>, FormatError> {
    Item::decode_length_delimited(raw)
        .map(|item| item.what)
        .map_err(|_| BAD)
}

#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(oneof = "What", tags = "1, 2, 3, 4, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(message, tag = "1")]
    Head(Head),
    #[prost(message, tag = "2")]
    Partition(Partition),
    #[prost(message, tag = "3")]
    Producer(Producer),
    #[prost(message, tag = "4")]
    Lane(Lane),
    #[prost(message, tag = "5")]
    Record(Record),
}

#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(uint32, tag = "1")]
    shard: u32,
    #[prost(bytes = "vec", tag = "2")]
    inc: Vec<u8>,
    #[prost(uint64, tag = "3")]
    next_seq: u64,
    #[prost(uint32, tag = "4")]
    epoch: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Partition {
    #[prost(bytes = "vec", tag = "1")]
    topic: Vec<u8>,
    #[prost(uint32, tag = "2")]
    partition: u32,
    #[prost(int64, tag = "3")]
    start_offset: i64,
    #[prost(int64, tag = "4")]
    next_offset: i64,
    #[prost(sint64, tag = "5")]
    arrival_ms: i64,
    #[prost(message, repeated, tag = "6")]
    epochs: Vec<Epoch>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Epoch {
    #[prost(uint32, tag = "1")]
    epoch: u32,
    #[prost(int64, tag = "2")]
    first_offset: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Producer {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(sint32, tag = "2")]
    epoch: i32,
    #[prost(sint64, tag = "3")]
    arrival_ms: i64,
    #[prost(message, repeated, tag = "4")]
    batches: Vec<Batch>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Batch {
    #[prost(sint32, tag = "1")]
    first_sequence: i32,
    #[prost(sint32, tag = "2")]
    last_sequence: i32,
    #[prost(int64, tag = "3")]
    base_offset: i64,
    #[prost(sint64, tag = "4")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Lane {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(uint64, tag = "2")]
    next: u64,
    #[prost(sint64, tag = "3")]
    arrival_ms: i64,
    #[prost(message, repeated, tag = "4")]
    entries: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Part {
    #[prost(uint64, tag = "1")]
    first: u64,
    #[prost(uint64, tag = "2")]
    last: u64,
    #[prost(int64, tag = "3")]
    base_offset: i64,
    #[prost(fixed32, tag = "4")]
    crc: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
    #[prost(int64, tag = "3")]
    offset: i64,
    #[prost(sint64, tag = "4")]
    timestamp: i64,
}

impl Partition {
    fn of(state: &PartitionState) -> Self {
        Self {
            topic: state.topic.to_vec(),
            partition: state.partition,
            start_offset: state.start_offset,
            next_offset: state.next_offset,
            arrival_ms: state.arrival_ms,
            epochs: { state.epochs.iter() }
                .map(|(epoch, first_offset)| Epoch {
                    epoch: *epoch,
                    first_offset: *first_offset,
                })
                .collect(),
        }
    }

    fn into_state(self) -> Result<PartitionState, FormatError> {
        let rise = |two: &[Epoch]| {
            two[0].epoch < two[1].epoch && two[0].first_offset <= two[1].first_offset
        };
        if !self.epochs.windows(2).all(rise) {
            return Err(BAD);
        }
        if self.start_offset < 0 || self.next_offset < self.start_offset {
            return Err(BAD);
        }
        Ok(PartitionState {
            topic: self.topic.try_into().map_err(|_| BAD)?,
            partition: self.partition,
            start_offset: self.start_offset,
            next_offset: self.next_offset,
            arrival_ms: self.arrival_ms,
            epochs: { self.epochs.iter() }
                .map(|epoch| (epoch.epoch, epoch.first_offset))
                .collect(),
            producers: Vec::new(),
            lanes: Vec::new(),
            records: Vec::new(),
        })
    }
}

impl Producer {
    fn of(state: &ProducerState) -> Self {
        let batches = state.batches.iter().map(|batch| Batch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset: batch.base_offset,
            timestamp: batch.timestamp,
        });
        Self {
            id: state.id,
            epoch: state.epoch.into(),
            arrival_ms: state.arrival_ms,
            batches: batches.collect(),
        }
    }

    fn into_state(self) -> Result<ProducerState, FormatError> {
        let batches = self.batches.iter().map(|batch| ProducerBatch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset: batch.base_offset,
            timestamp: batch.timestamp,
        });
        Ok(ProducerState {
            id: self.id,
            epoch: self.epoch.try_into().map_err(|_| BAD)?,
            arrival_ms: self.arrival_ms,
            batches: batches.collect(),
        })
    }
}

impl Lane {
    fn of(state: &LaneState) -> Self {
        let entries = state.entries.iter().map(|entry| Part {
            first: entry.first,
            last: entry.last,
            base_offset: entry.base_offset,
            crc: entry.crc,
        });
        Self {
            id: state.id,
            next: state.next,
            arrival_ms: state.arrival_ms,
            entries: entries.collect(),
        }
    }

    fn into_state(self) -> LaneState {
        let entries = self.entries.iter().map(|part| LaneEntry {
            first: part.first,
            last: part.last,
            base_offset: part.base_offset,
            crc: part.crc,
        });
        LaneState {
            id: self.id,
            next: self.next,
            arrival_ms: self.arrival_ms,
            entries: entries.collect(),
        }
    }
}

impl Record {
    fn of(state: &KeyedRecord) -> Self {
        Self {
            key: state.key.clone(),
            value: state.value.clone(),
            offset: state.offset,
            timestamp: state.timestamp,
        }
    }

    fn into_state(self) -> KeyedRecord {
        KeyedRecord {
            key: self.key,
            value: self.value,
            offset: self.offset,
            timestamp: self.timestamp,
        }
    }
}
