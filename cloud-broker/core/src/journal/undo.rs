//! What brings the state back to the last commit.

use std::sync::Arc;

use headwater_wire::time::Millis;

use crate::lanes::{Binding, Lane};
use crate::producers::Producer;
use crate::{Catalog, PartitionId};

use super::Journal;
use super::part::{Kept, Part};

/// One change, as it was before. Undone in the reverse order.
#[derive(Debug)]
pub(super) enum Undo {
    Part {
        id: PartitionId,
        next_offset: i64,
        arrival: Millis,
    },
    Producer {
        id: PartitionId,
        producer: i64,
        before: Option<Producer>,
    },
    Lane {
        id: PartitionId,
        lane: i64,
        before: Option<Lane>,
    },
    Binding {
        device: String,
        stream: String,
        before: Option<Binding>,
    },
    Record {
        id: PartitionId,
        key: Vec<u8>,
        before: Option<Kept>,
    },
    Catalog(Arc<Catalog>),
    Gone {
        id: PartitionId,
        before: Box<Part>,
    },
}

impl Journal {
    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Part {
                id,
                next_offset,
                arrival,
            } => {
                let part = &mut self.log.parts[id.index()];
                (part.next_offset, part.arrival) = (next_offset, arrival);
            }
            Undo::Producer {
                id,
                producer,
                before,
            } => {
                self.log.parts[id.index()]
                    .producers
                    .restore(producer, before);
            }
            Undo::Lane { id, lane, before } => {
                self.log.parts[id.index()].lanes.restore(lane, before)
            }
            Undo::Binding {
                device,
                stream,
                before,
            } => {
                self.bindings.put(&device, &stream, before);
            }
            Undo::Record { id, key, before } => {
                let records = &mut self.log.parts[id.index()].records;
                match before {
                    Some(before) => records.insert(key, before),
                    None => records.remove(&key),
                };
            }
            Undo::Catalog(before) => {
                self.log.parts.truncate(before.partitions());
                self.catalog = before;
            }
            Undo::Gone { id, before } => self.log.parts[id.index()] = *before,
        }
    }
}
