//! Records that the broker writes for itself: catalog, bindings of lanes, devices' status, groups.

use headwater_wire::batch::BatchBuilder;

use crate::groups::Record;
use crate::{PartitionId, catalog};

use super::Journal;
use super::part::Kept;
use super::undo::Undo;

/// Internal records of one partition in the open chunk.
#[derive(Debug, Default)]
pub(super) struct InternalBatch {
    pub(super) records: BatchBuilder,
    kept: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Journal {
    /// Writes a record of an internal stream with the rest of the chunk; without a value it
    /// deletes the key.
    pub(super) fn keep(&mut self, stream: &str, key: &[u8], value: Option<Vec<u8>>) {
        let id = self.internal_partition(stream, key);
        self.keep_in(id, key.to_vec(), value);
    }

    /// Writes records of one consumer group with the rest of the chunk, in their order.
    pub fn keep_group(&mut self, group: &str, records: Vec<Record>) {
        let id = self.internal_partition(catalog::GROUPS, group.as_bytes());
        for Record { key, value } in records {
            self.keep_in(id, key, value);
        }
    }

    fn internal_partition(&self, stream: &str, key: &[u8]) -> PartitionId {
        let stream = self.catalog.by_name(stream);
        let stream = stream.expect("internal streams are always there");
        stream.partition_for_key(key)
    }

    fn keep_in(&mut self, id: PartitionId, key: Vec<u8>, value: Option<Vec<u8>>) {
        let batch = self.log.chunk.internal.entry(id).or_default();
        batch
            .records
            .push(0, Some(&key), value.as_deref(), std::iter::empty())
            .expect("internal records are small, and chunks are written when they are full");
        batch.kept.push((key, value));
    }

    /// Puts the internal records of the chunk into their places.
    pub(super) fn place_internal(&mut self) {
        while let Some((id, mut batch)) = self.log.chunk.internal.pop_first() {
            let base_offset = self.log.place(id, Vec::new(), |out, arrival| {
                self.plain.write(&mut batch.records, &mut 0, arrival, out);
            });
            self.remember(id, base_offset, batch.kept);
        }
    }

    fn remember(
        &mut self,
        id: PartitionId,
        base_offset: i64,
        kept: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ) {
        let part = &mut self.log.parts[id.index()];
        let timestamp = part.arrival.0;
        for ((key, value), offset) in kept.into_iter().zip(base_offset..) {
            let kept = value.map(|value| Kept {
                value,
                offset,
                timestamp,
            });
            let before = match kept {
                Some(kept) => part.records.insert(key.clone(), kept),
                None => part.records.remove(&key),
            };
            self.log.chunk.undo.push(Undo::Record { id, key, before });
        }
    }
}
