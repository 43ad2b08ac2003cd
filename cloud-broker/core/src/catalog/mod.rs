//! Streams: what they are called, what they hold, which topic belongs to which, and which of their
//! partitions a client's or a key's records go to.

mod internal;
mod record;
mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_wire::{crc, murmur2, topic};

use crate::{PartitionId, StreamId};

pub use internal::{CATALOG, DEVICES, GROUPS, INTERNAL_PREFIX, LANES, internal_streams};
pub use record::{CatalogRecord, RecordError};
pub use spec::{
    Cleanup, FILTER_BYTES_MAX, FILTERS_MAX, NAME_BYTES_MAX, PARTITIONS_MAX, PARTITIONS_OF_ALL_MAX,
    PartitionBy, SpecError, StreamSpec, Validation,
};

/// Shards of a new cluster; the register `cluster` holds the number that counts.
pub const SHARDS: u32 = 16;

/// A named, partitioned log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Identity; also the topic id that Kafka clients see.
    pub id: StreamId,
    /// As declared.
    pub spec: StreamSpec,
    /// One for each partition, in order.
    pub partitions: Vec<PartitionId>,
    /// Name begins with `__`: hidden, and never routed to.
    pub internal: bool,
    /// Number in the order of creation.
    pub created: u64,
}

impl Stream {
    /// Where the records of an MQTT client, or of a device, go: murmur2 of its id.
    #[must_use]
    pub fn partition_for_client(&self, client_id: &str) -> PartitionId {
        self.partition_for_key(client_id.as_bytes())
    }

    /// Where records with this key go: as Kafka's default partitioner does it.
    #[must_use]
    pub fn partition_for_key(&self, key: &[u8]) -> PartitionId {
        let count = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        self.partitions[murmur2::partition(key, count) as usize]
    }

    /// Where a plain publish of `client_id` to `topic` goes, by the stream's `partition_by`.
    #[must_use]
    pub fn partition_for_publish(&self, client_id: &str, topic: &str) -> PartitionId {
        match self.spec.partition_by {
            PartitionBy::Client => self.partition_for_client(client_id),
            PartitionBy::Topic => self.partition_for_key(topic.as_bytes()),
        }
    }

    /// Whether agents' batches, which are not taken apart, can have a place here.
    #[must_use]
    pub fn takes_whole_batches(&self) -> bool {
        self.spec.partition_by == PartitionBy::Client || self.partitions.len() == 1
    }
}

/// The shard of a partition: 0 for `__catalog`, otherwise (CRC-32C of the stream's id + partition)
/// modulo the number of shards, so that a stream's partitions spread evenly and no table is needed.
#[must_use]
pub fn shard(id: &StreamId, partition: u32, shards: u32) -> u32 {
    if *id == internal::CATALOG_ID {
        return 0;
    }
    crc::crc32c(id)
        .wrapping_add(partition)
        .checked_rem(shards)
        .unwrap_or(0)
}

/// All streams, in matching order. Cheap to clone; a change makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    streams: Vec<Arc<Stream>>,
    by_name: BTreeMap<String, usize>,
    by_id: BTreeMap<StreamId, usize>,
    owners: Vec<(StreamId, u32)>,
    declared: Vec<String>,
}

impl Catalog {
    /// The internal streams alone. `declared` are the names of the configured streams in file
    /// order; they are asked before all others.
    #[must_use]
    pub fn new(declared: Vec<String>) -> Self {
        let mut catalog = Self {
            declared,
            ..Self::default()
        };
        for (id, spec) in internal_streams() {
            catalog.insert(id, spec, 0);
        }
        catalog
    }

    /// Every stream, internal ones included, in matching order.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.iter()
    }

    /// The stream of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Stream>> {
        self.by_name.get(name).map(|at| &self.streams[*at])
    }

    /// The stream with this identity.
    #[must_use]
    pub fn by_id(&self, id: &StreamId) -> Option<&Arc<Stream>> {
        self.by_id.get(id).map(|at| &self.streams[*at])
    }

    /// The stream that a topic belongs to: the first, in matching order, one of whose filters
    /// matches (`interfaces.md` 2).
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&Arc<Stream>> {
        self.streams.iter().find(|stream| {
            stream
                .spec
                .filters
                .iter()
                .any(|filter| topic::matches(filter, name))
        })
    }

    /// Number of partitions of all streams: the length of a table indexed by [`PartitionId`].
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.owners.len()
    }

    /// Stream and number of a partition.
    #[must_use]
    pub fn owner(&self, partition: PartitionId) -> Option<(StreamId, u32)> {
        self.owners.get(partition.index()).copied()
    }

    /// The partition of a stream by number.
    #[must_use]
    pub fn partition(&self, id: &StreamId, number: u32) -> Option<PartitionId> {
        self.by_id(id)?.partitions.get(number as usize).copied()
    }

    /// Number for the next stream in the order of creation.
    #[must_use]
    pub fn next_created(&self) -> u64 {
        self.streams
            .iter()
            .map(|stream| stream.created + 1)
            .max()
            .unwrap_or(0)
    }

    /// Adds a stream, or changes the one with this identity. Partitions are only ever added.
    pub fn insert(&mut self, id: StreamId, mut spec: StreamSpec, created: u64) {
        let mut partitions = match self.by_id(&id) {
            Some(stream) => stream.partitions.clone(),
            None => Vec::new(),
        };
        let known = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        spec.partitions = spec.partitions.max(known);
        for number in known..spec.partitions {
            partitions.push(PartitionId(
                u32::try_from(self.owners.len()).unwrap_or(u32::MAX),
            ));
            self.owners.push((id, number));
        }
        let internal = spec.name.starts_with(INTERNAL_PREFIX);
        let stream = Arc::new(Stream {
            id,
            spec,
            partitions,
            internal,
            created,
        });
        self.streams
            .retain(|other| other.id != id && other.spec.name != stream.spec.name);
        self.streams.push(stream);
        self.sort();
    }

    /// Takes a stream away; its partitions stay in the table.
    pub fn remove(&mut self, name: &str) {
        self.streams.retain(|stream| stream.spec.name != name);
        self.sort();
    }

    fn sort(&mut self) {
        let declared = &self.declared;
        self.streams.sort_by_key(|stream| {
            let place = declared.iter().position(|name| *name == stream.spec.name);
            let catch_all = stream.spec.filters.iter().all(|filter| filter == "#");
            (
                catch_all,
                place.unwrap_or(usize::MAX),
                stream.created,
                stream.id,
            )
        });
        let places = || self.streams.iter().enumerate();
        self.by_name = places()
            .map(|(at, stream)| (stream.spec.name.clone(), at))
            .collect();
        self.by_id = places().map(|(at, stream)| (stream.id, at)).collect();
    }
}

#[cfg(test)]
mod tests;
