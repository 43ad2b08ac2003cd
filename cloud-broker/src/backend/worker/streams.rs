//! Streams that come and go: declared in the settings, created and deleted by clients; and what
//! readers see of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_broker_core::catalog::PARTITIONS_OF_ALL_MAX;
use headwater_broker_core::{Catalog, PartitionId, StreamId, StreamSpec};

use super::Worker;
use super::tell::{CreateReply, DeleteReply, Told};
use crate::backend::table::Cell;
use crate::backend::{CreateError, DeleteError, Unavailable, random};

impl Worker {
    /// Creates the configured streams that are missing, and changes those that are declared
    /// otherwise now.
    pub(in crate::backend) fn declare(&mut self) -> Result<(), Unavailable> {
        self.journal.begin(self.shared.now());
        for spec in self.shared.options.streams.clone() {
            let known = self.journal.catalog().by_name(&spec.name);
            let id = known.map_or_else(random_id, |stream| stream.id);
            let as_known = known.is_some_and(|stream| {
                let partitions = stream.spec.partitions.max(spec.partitions);
                stream.spec
                    == StreamSpec {
                        partitions,
                        ..spec.clone()
                    }
            });
            if !as_known {
                self.journal.create_stream(id, spec);
            }
        }
        self.write_chunk()
    }

    pub(super) fn create_stream(&mut self, spec: StreamSpec, reply: CreateReply) -> Told {
        if self.journal.catalog().by_name(&spec.name).is_some() {
            return Told::NotCreated(reply, CreateError::Exists);
        }
        if !has_room(self.journal.catalog(), spec.partitions) {
            return Told::NotCreated(reply, CreateError::TooManyPartitions);
        }
        let id = random_id();
        self.journal.create_stream(id, spec);
        Told::Created(reply, id)
    }

    pub(super) fn delete_stream(&mut self, id: &StreamId, reply: DeleteReply) -> Told {
        let answer = match self.journal.catalog().by_id(id) {
            None => Err(DeleteError::NoStream),
            Some(stream) if stream.internal => Err(DeleteError::Internal),
            Some(_) => {
                self.journal.delete_stream(id);
                Ok(())
            }
        };
        Told::Deleted(reply, answer)
    }

    /// Shows readers the streams that there are now. Those who wait for one of `deleted` wake up.
    pub(super) fn publish_catalog(&self, deleted: &[String]) {
        let catalog = Arc::clone(self.journal.catalog());
        let before = self.shared.catalog.load_full();
        let mut table = Vec::clone(&self.shared.table.load());
        for at in table.len()..catalog.partitions() {
            let id = PartitionId(u32::try_from(at).unwrap_or(u32::MAX));
            let lives = catalog.owner(id).and_then(|(id, _)| catalog.by_id(&id));
            table.push(match lives {
                Some(_) => Arc::new(Cell::new(
                    Default::default(),
                    Default::default(),
                    self.journal.epoch(id),
                )),
                // Created and deleted within one commit.
                None => Arc::clone(&self.shared.gone),
            });
        }
        let mut closed = Vec::new();
        for id in partitions_of(deleted, &before) {
            let gone = Arc::clone(&self.shared.gone);
            closed.push(std::mem::replace(&mut table[id.index()], gone));
        }
        self.shared.table.store(Arc::new(table));
        self.shared.catalog.store(catalog);
        if !deleted.is_empty() {
            self.shared.coordinator.handle_streams();
        }
        closed.iter().for_each(|cell| cell.close());
    }
}

/// Partitions of those streams that were there, each once: a name may be deleted twice within one
/// commit.
fn partitions_of(deleted: &[String], before: &Catalog) -> BTreeSet<PartitionId> {
    let streams = deleted.iter().filter_map(|name| before.by_name(name));
    streams
        .flat_map(|stream| stream.partitions.iter().copied())
        .collect()
}

/// Whether so many partitions more are within bounds. Places in the table are not given again
/// before the next start, so they have a bound too.
fn has_room(catalog: &Catalog, partitions: u32) -> bool {
    let living = catalog.streams().map(|stream| stream.partitions.len());
    let more = usize::try_from(partitions).unwrap_or(usize::MAX);
    let living = living.sum::<usize>().saturating_add(more);
    let places = catalog.partitions().saturating_add(more);
    living <= PARTITIONS_OF_ALL_MAX && places <= PLACES_MAX
}

/// A UUID of version 4, never zero.
fn random_id() -> StreamId {
    let mut id: StreamId = random();
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// Partitions of one run, those of deleted streams included.
const PLACES_MAX: usize = 1 << 20;
