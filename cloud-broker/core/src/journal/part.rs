//! What the journal knows of one partition.

use std::collections::BTreeMap;

use headwater_wire::time::Millis;

use crate::lanes::Lanes;
use crate::producers::Producers;
use crate::segments::JUMP_MS;
use crate::state::{KeyedRecord, PartitionState};
use crate::{StreamId, catalog};

#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) topic: StreamId,
    pub(super) number: u32,
    pub(super) shard: u32,
    /// Only the broker itself writes here.
    pub(super) internal: bool,
    /// Its stream was deleted; its place in the table is never given again.
    pub(super) gone: bool,
    pub(super) start_offset: i64,
    pub(super) next_offset: i64,
    pub(super) arrival: Millis,
    pub(super) producers: Producers,
    pub(super) lanes: Lanes,
    /// Internal streams: the newest record of each key.
    pub(super) records: BTreeMap<Vec<u8>, Kept>,
    /// Number of the chunk that changed it last.
    pub(super) touched: u64,
    /// Plain batches that go uncompressed before it is tried again.
    pub(super) incompressible: u8,
}

/// A record of an internal stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) value: Vec<u8>,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
}

impl Part {
    pub(super) fn new(topic: StreamId, number: u32, shards: u32, internal: bool) -> Self {
        let shard = catalog::shard(&topic, number, shards);
        Self {
            topic,
            number,
            shard,
            internal,
            ..Self::default()
        }
    }

    /// What is left in the place of a partition whose stream was deleted.
    pub(super) fn gone() -> Self {
        Self {
            gone: true,
            ..Self::default()
        }
    }

    /// Whether clients' records are taken.
    pub(super) fn is_open(&self) -> bool {
        !self.internal && !self.gone
    }

    /// Arrival times do not go back within a partition, unless a clock was taken for right that was
    /// wrong: what it said is not kept for ever.
    pub(super) fn arrival_at(&self, now: Millis) -> Millis {
        match self.arrival.0.saturating_sub(now.0) > JUMP_MS {
            true => now,
            false => self.arrival.max(now),
        }
    }

    pub(super) fn state(&self) -> PartitionState {
        let record = |(key, kept): (&Vec<u8>, &Kept)| KeyedRecord {
            key: key.clone(),
            value: kept.value.clone(),
            offset: kept.offset,
            timestamp: kept.timestamp,
        };
        PartitionState {
            topic: self.topic,
            partition: self.number,
            start_offset: self.start_offset,
            next_offset: self.next_offset,
            arrival_ms: self.arrival.0,
            epochs: Vec::new(),
            producers: self.producers.state(),
            lanes: self.lanes.state(),
            records: self.records.iter().map(record).collect(),
        }
    }

    pub(super) fn from_state(state: PartitionState, shard: u32) -> Self {
        let record = |record: KeyedRecord| {
            let KeyedRecord {
                key,
                value,
                offset,
                timestamp,
            } = record;
            (
                key,
                Kept {
                    value,
                    offset,
                    timestamp,
                },
            )
        };
        Self {
            topic: state.topic,
            number: state.partition,
            shard,
            start_offset: state.start_offset,
            next_offset: state.next_offset,
            arrival: Millis(state.arrival_ms),
            producers: Producers::from_state(&state.producers),
            lanes: Lanes::from_state(&state.lanes),
            records: state.records.into_iter().map(record).collect(),
            ..Self::default()
        }
    }
}
