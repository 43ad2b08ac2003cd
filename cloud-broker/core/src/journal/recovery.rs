//! The journal as it was, from snapshots and the chunks' indexes (`cluster.md` 2.9).
//!
//! Order of calls: [`Recovery::load`] for each shard's snapshot, [`Recovery::lies_in_segments`] for
//! each partition that has some, then [`Recovery::handle_entry`]
//! and [`Recovery::handle_damage`] in the order of the log, [`Recovery::handle_record`] for the
//! records of the internal batches that it asked for, and [`Recovery::finish`].

mod adopt;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use headwater_wire::time::Millis;
use headwater_wire::uplink::{self, LANE_ID_BASE};

use crate::catalog::{self, CatalogRecord, internal_streams};
use crate::lanes::{Bindings, Holders};
use crate::state::{LaneEntry, ProducerBatch, ShardState};
use crate::tail_index::{Place, TailIndex};
use crate::{Catalog, Entry, StreamId};

use super::chunk::{Chunk, PlainWriter};
use super::part::{Kept, Part};
use super::{Journal, LaneMoved, Log, Settings, StatusKept};

/// Offsets that a partition skips if damage may have taken its newest batches.
pub(super) const OFFSETS_SKIPPED: i64 = 1 << 32;

/// Gathers what the log says.
#[derive(Debug, Default)]
pub struct Recovery {
    parts: BTreeMap<(StreamId, u32), Gathered>,
    /// By shard: something behind its snapshot is lost.
    damaged: Vec<bool>,
    /// Streams of which the catalog has told: one that is not there at the end was deleted.
    told: BTreeSet<StreamId>,
}

/// The journal, and what the shell keeps beside it.
#[derive(Debug)]
pub struct Recovered {
    /// State as of the last commit.
    pub journal: Journal,
    /// Where the batches lie, by partition.
    pub indexes: Vec<TailIndex>,
    /// All lanes, in their highest generation.
    pub lanes: Vec<LaneMoved>,
    /// All agents' newest status.
    pub statuses: Vec<StatusKept>,
    /// Names of streams of which there is data, and whose record may have been lost to damage.
    pub adopted: Vec<String>,
}

/// What the log says contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A batch begins before the end of the one before it. It is left out.
    #[error("Batch at offset {offset} of partition {partition} overlaps the one before it")]
    Overlap {
        /// Partition of the stream.
        partition: u32,
        /// The batch's first offset.
        offset: i64,
    },
    /// A record of `__catalog`.
    #[error(transparent)]
    Catalog(#[from] catalog::RecordError),
    /// A record of `__lanes`.
    #[error(transparent)]
    Binding(#[from] crate::lanes::BindError),
}

#[derive(Debug, Default)]
struct Gathered {
    part: Part,
    index: TailIndex,
    /// Damage may have taken batches behind the newest that is known.
    doubtful: bool,
}

impl Recovery {
    /// Takes in a shard's snapshot.
    pub fn load(&mut self, state: ShardState) {
        for mut partition in state.partitions {
            let key = (partition.topic, partition.partition);
            let epochs = std::mem::take(&mut partition.epochs);
            let part = Part::from_state(partition, state.shard);
            let index = TailIndex::behind(0, epochs);
            if part.topic == partitions_of(catalog::CATALOG).start().0 {
                let values = part.records.values();
                self.told
                    .extend(values.filter_map(|kept| stream_of(&kept.value)));
            }
            self.parts.insert(
                key,
                Gathered {
                    part,
                    index,
                    doubtful: false,
                },
            );
        }
    }

    /// Everything below `end` of a partition lies in segments, or is gone.
    pub fn lies_in_segments(&mut self, topic: StreamId, partition: u32, end: i64) {
        let gathered = self.parts.entry((topic, partition)).or_default();
        gathered.index.skip_to(end);
    }

    /// A stream had something before the catalog's snapshot, which says whether it is still there.
    pub fn is_told(&mut self, topic: StreamId) {
        self.told.insert(topic);
    }

    /// Takes in one entry of the index. `covered`: the shard's snapshot reaches beyond it, so it
    /// says only where the batch lies. Gives whether the batch's records are wanted.
    ///
    /// # Errors
    /// [`RecoveryError::Overlap`]; the entry is left out, and recovery can go on.
    pub fn handle_entry(
        &mut self,
        entry: &Entry,
        place: Place,
        covered: bool,
    ) -> Result<bool, RecoveryError> {
        let gathered = self
            .parts
            .entry((entry.topic, entry.partition))
            .or_default();
        if entry.base_offset < gathered.index.end() {
            let (partition, offset) = (entry.partition, entry.base_offset);
            return Err(RecoveryError::Overlap { partition, offset });
        }
        gathered.index.push(entry, place);
        gathered.doubtful = false;
        if covered {
            return Ok(false);
        }
        let part = &mut gathered.part;
        part.next_offset = entry.end_offset();
        part.arrival = Millis(entry.arrival_ms);
        replay(part, entry);
        Ok(internal_streams().iter().any(|(id, _)| *id == entry.topic))
    }

    /// Chunks cannot be read. What lay in them is lost, and its offsets are never given again, in
    /// the shards (by number) whose snapshot does not reach beyond them.
    pub fn handle_damage(&mut self, shards: Vec<bool>) {
        let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
        for ((topic, partition), gathered) in &mut self.parts {
            // Most of them have no snapshot that says which shard is theirs.
            let shard = catalog::shard(topic, *partition, count);
            gathered.doubtful |= shards.get(shard as usize).copied().unwrap_or(false);
        }
        self.damaged
            .resize(self.damaged.len().max(shards.len()), false);
        self.damaged
            .iter_mut()
            .zip(shards)
            .for_each(|(damaged, hit)| *damaged |= hit);
    }

    /// Takes in a record of an internal batch; without a value it is a deletion.
    pub fn handle_record(
        &mut self,
        entry: &Entry,
        offset: i64,
        timestamp: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) {
        let part = &mut self
            .parts
            .entry((entry.topic, entry.partition))
            .or_default()
            .part;
        match value {
            Some(value) => {
                if entry.topic == partitions_of(catalog::CATALOG).start().0 {
                    self.told.extend(stream_of(value));
                }
                let kept = Kept {
                    value: value.to_vec(),
                    offset,
                    timestamp,
                };
                part.records.insert(key.to_vec(), kept);
            }
            None => {
                part.records.remove(key);
            }
        }
    }

    /// The journal. `declared` are the names of the configured streams in file order.
    ///
    /// # Errors
    /// [`RecoveryError`], if a record of the catalog or of a binding cannot be understood.
    pub fn finish(
        mut self,
        declared: Vec<String>,
        settings: Settings,
    ) -> Result<Recovered, RecoveryError> {
        let adopted = self.adopt()?;
        let catalog = Arc::new(self.catalog(declared)?);
        let bindings = self.bindings(&catalog)?;
        let chunk = Chunk {
            number: 1,
            ..Chunk::default()
        };
        let mut journal = Journal {
            lanes_per_device: settings.lanes_per_device,
            catalog,
            bindings,
            holders: Holders::default(),
            log: Log {
                epochs: settings.epochs,
                parts: Vec::new(),
                chunk,
            },
            plain: PlainWriter::default(),
        };
        journal.add_parts();
        let indexes = journal
            .log
            .parts
            .iter_mut()
            .map(|part| self.settle(part))
            .collect();
        let (lanes, statuses) = (journal.lanes(), journal.statuses());
        Ok(Recovered {
            journal,
            indexes,
            lanes,
            statuses,
            adopted,
        })
    }

    fn catalog(&self, declared: Vec<String>) -> Result<Catalog, RecoveryError> {
        let mut catalog = Catalog::new(declared);
        let mut records: Vec<_> = self
            .records_of(catalog::CATALOG)
            .map(|(_, kept)| CatalogRecord::decode(&kept.value))
            .collect::<Result<_, _>>()?;
        records.sort_by_key(|(_, record)| record.created);
        for (id, record) in records {
            catalog.insert(id, record.spec, record.created);
        }
        Ok(catalog)
    }

    /// Those of streams that were deleted are forgotten, and with the next snapshot their records.
    fn bindings(&mut self, catalog: &Catalog) -> Result<Bindings, RecoveryError> {
        let mut bindings = Bindings::default();
        let lives = |id: &StreamId| catalog.by_id(id).is_some();
        let mut wrong = Ok(());
        for (_, found) in self.parts.range_mut(partitions_of(catalog::LANES)) {
            found.part.records.retain(|key, kept| {
                let handled = bindings.handle_record(key, &kept.value, lives);
                handled.unwrap_or_else(|error| {
                    wrong = Err(error);
                    true
                })
            });
        }
        wrong?;
        Ok(bindings)
    }

    fn records_of(&self, stream: &str) -> impl Iterator<Item = (&Vec<u8>, &Kept)> {
        self.parts
            .range(partitions_of(stream))
            .flat_map(|(_, found)| &found.part.records)
    }

    /// Gives a new part what is known of it, and takes its index.
    fn settle(&mut self, part: &mut Part) -> TailIndex {
        let damaged = self
            .damaged
            .get(part.shard as usize)
            .copied()
            .unwrap_or(false);
        let nothing = Gathered {
            doubtful: damaged,
            ..Gathered::default()
        };
        let gathered = self
            .parts
            .remove(&(part.topic, part.number))
            .unwrap_or(nothing);
        let (topic, number, shard, internal) = (part.topic, part.number, part.shard, part.internal);
        *part = Part {
            topic,
            number,
            shard,
            internal,
            ..gathered.part
        };
        part.next_offset = part.next_offset.max(gathered.index.end());
        if gathered.doubtful {
            part.next_offset = part.next_offset.saturating_add(OFFSETS_SKIPPED);
        }
        if cfg!(hw_fault = "forget_producers") {
            (part.producers, part.lanes) = Default::default();
        }
        let mut index = gathered.index;
        index.skip_to(part.next_offset);
        index
    }
}

/// The stream that a record of the catalog speaks of.
fn stream_of(value: &[u8]) -> Option<StreamId> {
    let (id, _) = CatalogRecord::decode(value).ok()?;
    Some(id)
}

/// The partitions of an internal stream.
fn partitions_of(stream: &str) -> RangeInclusive<(StreamId, u32)> {
    let id = internal_streams()
        .into_iter()
        .find(|(_, spec)| spec.name == stream);
    let id = id.map(|(id, _)| id).unwrap_or_default();
    (id, 0)..=(id, u32::MAX)
}

/// What an entry says about its producer or lane.
fn replay(part: &mut Part, entry: &Entry) {
    let (id, arrival) = (entry.producer_id, part.arrival);
    let count = i32::try_from(entry.count).unwrap_or(i32::MAX);
    let base_offset = entry.base_offset;
    if id >= LANE_ID_BASE {
        let first = uplink::Position::from_parts(entry.producer_epoch, entry.base_sequence);
        let Some(first) = first.map(|first| first.0) else {
            return;
        };
        let last = first + u64::from(entry.count) - 1;
        let crc = entry.batch_crc;
        part.lanes.replay(
            id,
            LaneEntry {
                first,
                last,
                base_offset,
                crc,
            },
            arrival,
        );
    } else if id >= 0 {
        let batch = ProducerBatch {
            first_sequence: entry.base_sequence,
            last_sequence: entry.base_sequence.wrapping_add(count - 1) & i32::MAX,
            base_offset,
            timestamp: entry.max_timestamp,
        };
        part.producers
            .advance(id, entry.producer_epoch, batch, arrival);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_casts_doubt_on_the_shards_that_it_hit() {
        let mut recovery = Recovery::default();
        for partition in 0..16 {
            recovery.lies_in_segments([7; 16], partition, 5);
        }
        let is_hit = |shard: u32| shard % 2 == 1;
        recovery.handle_damage((0..16).map(is_hit).collect());
        for ((topic, partition), gathered) in &recovery.parts {
            let shard = catalog::shard(topic, *partition, 16);
            assert_eq!(gathered.doubtful, is_hit(shard), "{partition}");
        }
    }
}
