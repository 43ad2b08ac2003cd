//! The open chunk of the journal, and the state of all partitions behind it.
//!
//! Order of calls: [`Journal::begin`], then any number of [`Journal::append`], [`Journal::take`],
//! [`Journal::create_stream`] and [`Journal::delete_stream`] (each decides at once, on everything
//! before it, also on what is in the same chunk), [`Journal::finish`], and when the shell knows how
//! the write went, [`Journal::commit`] or [`Journal::fail`]. No answer may leave before that.

mod chunk;
mod deletion;
mod internal;
mod listing;
mod outcome;
mod part;
mod recovery;
mod requests;
mod undo;

use std::sync::Arc;

use headwater_wire::batch::{self, Header};
use headwater_wire::time::Millis;
use headwater_wire::uplink::LANE_ID_BASE;

use crate::catalog::{self, CatalogRecord};
use crate::lanes::{Bindings, Holders};
use crate::producers::ProducerDecision;
use crate::state::{ProducerBatch, ShardState};
use crate::submit::{Answer, Buffer};
use crate::{Catalog, PartitionId, Stream, StreamId, StreamSpec};

use chunk::{Chunk, PlainWriter};
use part::Part;
use undo::Undo;

pub use outcome::{AppendRefusal, Changes, Draft, LaneMoved, Placed, Settings, StatusKept};
pub use recovery::{Recovered, Recovery, RecoveryError};

/// A chunk takes nothing more once its payload has this many bytes.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;
/// The largest batch that is taken, bytes.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// The largest status that is kept, bytes.
pub const STATUS_BYTES_MAX: usize = 64 << 10;

/// State of all partitions, and the open chunk.
#[derive(Debug)]
pub struct Journal {
    lanes_per_device: usize,
    catalog: Arc<Catalog>,
    bindings: Bindings,
    holders: Holders,
    log: Log,
    plain: PlainWriter,
}

/// The partitions and what is being appended to them.
#[derive(Debug)]
struct Log {
    epochs: Vec<u32>,
    parts: Vec<Part>,
    chunk: Chunk,
}

impl Journal {
    /// All streams, with those of the open chunk.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Epoch of the shard that a partition lies in.
    ///
    /// # Panics
    /// If there is no such partition.
    #[must_use]
    pub fn epoch(&self, id: PartitionId) -> u32 {
        self.log.epochs[self.log.parts[id.index()].shard as usize]
    }

    /// Opens a chunk. `now` is the arrival time of all that it takes, except where a partition
    /// has seen one that is a little later. [`crate::segments::ClockGuard::time`] gives it.
    pub fn begin(&mut self, now: Millis) {
        debug_assert!(
            self.log.chunk.is_empty(),
            "the last chunk was committed or failed"
        );
        self.log.chunk.now = now;
    }

    /// Whether the chunk should be written before more is put in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.log.chunk.bytes() >= CHUNK_BYTES_MAX
    }

    /// Appends a Kafka or HTTP producer's batch, unless it is a duplicate (`kafka.md` 3.3). The
    /// door has validated it; `topics` is the Bloom filter of its keys, empty = not known.
    ///
    /// # Errors
    /// [`AppendRefusal`]; nothing was done.
    pub fn append(
        &mut self,
        id: PartitionId,
        bytes: &[u8],
        topics: Vec<u8>,
    ) -> Result<Placed, AppendRefusal> {
        let header = Header::parse_exact(bytes).map_err(|_| AppendRefusal::Invalid)?;
        if batch::check_produced(&header).is_err() || header.producer_id >= LANE_ID_BASE {
            return Err(AppendRefusal::Invalid);
        }
        if bytes.len() > BATCH_BYTES_MAX {
            return Err(AppendRefusal::TooLarge);
        }
        let part = self.log.parts.get(id.index()).filter(|part| part.is_open());
        let part = part.ok_or(AppendRefusal::NoPartition)?;
        let log_start = part.start_offset;
        match part
            .producers
            .decide(&header, part.arrival_at(self.log.chunk.now))
        {
            ProducerDecision::Append => {}
            ProducerDecision::OutOfOrder => return Err(AppendRefusal::OutOfOrder),
            ProducerDecision::OldEpoch => return Err(AppendRefusal::OldEpoch),
            ProducerDecision::Duplicate { base_offset } => {
                return Ok(Placed {
                    base_offset,
                    log_start,
                    duplicate: true,
                });
            }
        }
        let base_offset = self
            .log
            .place(id, topics, |out, _| out.extend_from_slice(bytes));
        if header.producer_id >= 0 {
            self.advance_producer(id, &header, base_offset);
        }
        Ok(Placed {
            base_offset,
            log_start,
            duplicate: false,
        })
    }

    /// Takes what a door put into its buffer, in order, and adds the answers, which may leave
    /// once the chunk is committed. Gives false if the chunk is full before the buffer is empty:
    /// then write the chunk and come again with the same buffer.
    pub fn take(&mut self, buffer: &mut Buffer, answers: &mut Vec<Answer>) -> bool {
        while !self.is_full() {
            if let Some(open) = buffer.next_batch() {
                self.take_plain(open);
                continue;
            }
            let Some((token, request)) = buffer.next_request() else {
                break;
            };
            if let Some(outcome) = self.handle_request(request) {
                answers.push(Answer { token, outcome });
            }
        }
        buffer.is_drained()
    }

    /// Adds a stream, or changes the one of this identity; it must have passed
    /// [`StreamSpec::check`], and its name must be free.
    pub fn create_stream(&mut self, id: StreamId, spec: StreamSpec) -> Arc<Stream> {
        let known = self.catalog.by_id(&id).map(|stream| stream.created);
        let created = known.unwrap_or_else(|| self.catalog.next_created());
        self.log
            .chunk
            .undo
            .push(Undo::Catalog(Arc::clone(&self.catalog)));
        self.log.chunk.changes.catalog = true;
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.insert(id, spec, created);
        self.catalog = Arc::new(catalog);
        self.add_parts();
        let stream = Arc::clone(self.catalog.by_id(&id).expect("it was inserted"));
        let record = CatalogRecord::new(&stream).encode();
        self.keep(catalog::CATALOG, stream.spec.name.as_bytes(), Some(record));
        stream
    }

    /// Completes the chunk. `None` if there is nothing to write; [`Journal::commit`] comes all
    /// the same, since answers may be there.
    pub fn finish(&mut self) -> Option<Draft> {
        self.place_internal();
        self.log.chunk.finish()
    }

    /// The chunk is durable: everything in it counts.
    pub fn commit(&mut self) -> Changes {
        self.log.chunk.begin_next();
        std::mem::take(&mut self.log.chunk.changes)
    }

    /// The chunk is not durable and nobody was told of it: everything is as after the last
    /// commit. All lanes are closed until they are resumed.
    pub fn fail(&mut self) {
        while let Some(undo) = self.log.chunk.undo.pop() {
            self.undo(undo);
        }
        self.log.chunk.begin_next();
        self.log.chunk.changes = Changes::default();
        self.holders.clear();
    }

    /// What a snapshot of a shard holds, at the last commit.
    #[must_use]
    pub fn snapshot(&self, shard: u32) -> ShardState {
        debug_assert!(
            self.log.chunk.is_empty(),
            "a snapshot lies between two chunks"
        );
        let alive = self.log.parts.iter().filter(|part| !part.gone);
        let parts = alive.filter(|part| part.shard == shard);
        let mut partitions: Vec<_> = parts.map(Part::state).collect();
        partitions.sort_by_key(|state| (state.topic, state.partition));
        ShardState { shard, partitions }
    }

    /// Forgets producers that were silent for too long; `now` as in [`Journal::begin`].
    pub fn expire(&mut self, now: Millis) {
        self.log
            .parts
            .iter_mut()
            .for_each(|part| part.producers.expire(now));
    }

    fn advance_producer(&mut self, id: PartitionId, header: &Header, base_offset: i64) {
        let part = &mut self.log.parts[id.index()];
        let batch = ProducerBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset,
            timestamp: header.max_timestamp,
        };
        let (producer, epoch) = (header.producer_id, header.producer_epoch);
        let before = part.producers.advance(producer, epoch, batch, part.arrival);
        self.log.chunk.undo.push(Undo::Producer {
            id,
            producer,
            before,
        });
    }

    fn add_parts(&mut self) {
        for at in self.log.parts.len()..self.catalog.partitions() {
            let id = PartitionId(u32::try_from(at).unwrap_or(u32::MAX));
            let (topic, number) = self
                .catalog
                .owner(id)
                .expect("below the number of partitions");
            let shards = u32::try_from(self.log.epochs.len()).unwrap_or(u32::MAX);
            let internal = self
                .catalog
                .by_id(&topic)
                .is_some_and(|stream| stream.internal);
            self.log
                .parts
                .push(Part::new(topic, number, shards, internal));
        }
    }
}

impl Log {
    /// Puts one batch into the chunk: `write` appends its bytes and is given the arrival time.
    /// Gives its base offset.
    fn place(
        &mut self,
        id: PartitionId,
        topics: Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>, Millis),
    ) -> i64 {
        let part = &mut self.parts[id.index()];
        if part.touched != self.chunk.number {
            part.touched = self.chunk.number;
            let (next_offset, arrival) = (part.next_offset, part.arrival);
            self.chunk.undo.push(Undo::Part {
                id,
                next_offset,
                arrival,
            });
        }
        part.arrival = part.arrival_at(self.chunk.now);
        let epoch = self.epochs[part.shard as usize];
        let base_offset = part.next_offset;
        let entry = self.chunk.place(part, epoch, topics, write);
        part.next_offset = entry.end_offset();
        self.chunk.placed.push((id, entry));
        base_offset
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
