//! The bytes of the open chunk, and how plain publishes become batches in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_wire::batch::{self, BatchBuilder, Compressor, Header, Producer};
use headwater_wire::time::Millis;

use crate::submit::OpenBatch;
use crate::{Entry, PartitionId};

use super::internal::InternalBatch;
use super::part::Part;
use super::undo::Undo;
use super::{Changes, Draft, Journal};

#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) now: Millis,
    /// 0, 1, 2, …: tells partitions whether this chunk changed them already.
    pub(super) number: u64,
    pub(super) payload: Vec<u8>,
    pub(super) placed: Vec<(PartitionId, Entry)>,
    pub(super) internal: BTreeMap<PartitionId, InternalBatch>,
    pub(super) undo: Vec<Undo>,
    pub(super) changes: Changes,
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.payload.is_empty() && self.undo.is_empty() && self.internal.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        let internal = self
            .internal
            .values()
            .map(|batch| batch.records.uncompressed_bytes());
        self.payload.len() + internal.sum::<usize>()
    }

    /// Appends a batch's bytes and describes them. The batch keeps its CRC: base offset and
    /// leader epoch lie outside it.
    pub(super) fn place(
        &mut self,
        part: &Part,
        epoch: u32,
        topics: Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>, Millis),
    ) -> Entry {
        let pos = self.payload.len();
        write(&mut self.payload, part.arrival);
        let bytes = &mut self.payload[pos..];
        let header = Header::parse(bytes).expect("the caller checked or built the batch");
        batch::patch_base_offset(bytes, part.next_offset);
        batch::patch_leader_epoch(bytes, i32::try_from(epoch).unwrap_or(i32::MAX));
        let [pos, len] = [pos, bytes.len()].map(|n| u32::try_from(n).expect("chunks are small"));
        Entry {
            shard: part.shard,
            epoch,
            topic: part.topic,
            partition: part.number,
            base_offset: part.next_offset,
            count: u32::try_from(header.record_count).expect("batches have records"),
            pos,
            len,
            max_timestamp: header.max_timestamp,
            arrival_ms: part.arrival.0,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            attributes: header.attributes,
            batch_crc: header.crc,
            topics,
        }
    }

    pub(super) fn finish(&mut self) -> Option<Draft> {
        if self.placed.is_empty() {
            return None;
        }
        let place = |entry: &Entry| (entry.shard, entry.topic, entry.partition, entry.base_offset);
        self.placed.sort_unstable_by_key(|(_, entry)| place(entry));
        let (partitions, entries) = self.placed.drain(..).unzip();
        let mut payload = std::mem::take(&mut self.payload);
        if payload.capacity() > payload.len() + payload.len() / 4 {
            payload.shrink_to_fit();
        }
        Some(Draft {
            entries,
            partitions,
            payload: Bytes::from(payload),
        })
    }

    pub(super) fn begin_next(&mut self) {
        self.number += 1;
        self.payload.clear();
        self.placed.clear();
        self.internal.clear();
        self.undo.clear();
    }
}

/// Makes batches of plain publishes.
#[derive(Debug)]
pub(super) struct PlainWriter {
    compressor: Compressor,
}

impl Default for PlainWriter {
    fn default() -> Self {
        Self {
            compressor: Compressor::new(ZSTD_LEVEL),
        }
    }
}

impl PlainWriter {
    /// Writes the records as one batch, all at the time of arrival, compressed if that pays.
    pub(super) fn write(
        &mut self,
        records: &mut BatchBuilder,
        incompressible: &mut u8,
        arrival: Millis,
        out: &mut Vec<u8>,
    ) {
        records.rebase(arrival.0);
        let (before, plain_bytes) = (out.len(), records.uncompressed_bytes());
        if plain_bytes < COMPRESS_BYTES_MIN || *incompressible > 0 {
            *incompressible = incompressible.saturating_sub(1);
            return records.finish_into(Producer::NONE, out);
        }
        records.finish_zstd_into(Producer::NONE, &mut self.compressor, out);
        if out.len() - before > plain_bytes - plain_bytes / 8 {
            *incompressible = BATCHES_BETWEEN_TRIES;
        }
    }
}

impl Journal {
    /// Takes one open batch of plain publishes.
    pub(super) fn take_plain(&mut self, open: &mut OpenBatch) {
        let id = open.partition;
        let topics = open.topics.take();
        let usable = self
            .log
            .parts
            .get(id.index())
            .is_some_and(|part| part.is_open());
        if !usable || open.records.is_empty() {
            return open.records.clear();
        }
        let mut incompressible = self.log.parts[id.index()].incompressible;
        self.log.place(id, topics, |out, arrival| {
            self.plain
                .write(&mut open.records, &mut incompressible, arrival, out);
        });
        self.log.parts[id.index()].incompressible = incompressible;
    }
}

const ZSTD_LEVEL: i32 = 1;
/// Smaller batches gain less than the compressor's start costs: with a few publishes in each commit
/// it was half of the journal thread's own work, for bytes that a page of the journal has anyway.
const COMPRESS_BYTES_MIN: usize = 1024;
/// After a batch that did not shrink by an eighth, so many go as they are.
const BATCHES_BETWEEN_TRIES: u8 = 15;
