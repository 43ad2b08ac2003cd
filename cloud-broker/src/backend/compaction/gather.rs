//! What the chunks' indexes say of the batches that go into segments.

use std::collections::{BTreeMap, btree_map};

use headwater_broker_core::Entry;
use headwater_broker_core::tail_index::Place;
use headwater_store::format::chunk::{HEADER_BYTES, Header};
use headwater_store::traits::Slot;
use headwater_store::{ErrorKind, StoreError, insist};

use super::publish::Part;
use crate::backend::shared::Shared;

/// Entries by slot, each sorted as the index has them: by stream, partition and offset.
pub(super) type Gathered = BTreeMap<(u32, u64), Vec<Entry>>;

/// Reads the indexes of all chunks that hold something of these parts. One that cannot be read is
/// left out.
pub(super) fn gather(shared: &Shared, shard: u32, parts: &[Part]) -> Result<Gathered, StoreError> {
    let mut gathered = Gathered::new();
    let batches = parts.iter().flat_map(|part| &part.batches);
    for Place { journal, seq, .. } in batches.map(|batch| batch.place) {
        let slot = (journal, seq);
        if let btree_map::Entry::Vacant(place) = gathered.entry(slot) {
            place.insert(read_index(shared, shard, journal, seq)?);
        }
    }
    Ok(gathered)
}

/// The entry of a batch.
pub(super) fn find<'a>(
    gathered: &'a Gathered,
    part: &Part,
    place: Place,
    offset: i64,
) -> Option<&'a Entry> {
    let entries = gathered.get(&(place.journal, place.seq))?;
    let key = |entry: &Entry| (entry.topic, entry.partition, entry.base_offset);
    let at = entries.binary_search_by_key(&(part.id.topic, part.id.partition, offset), key);
    entries.get(at.ok()?)
}

fn read_index(
    shared: &Shared,
    shard: u32,
    journal: u32,
    seq: u64,
) -> Result<Vec<Entry>, StoreError> {
    let Some(inc) = shared.incarnations.get(journal as usize) else {
        return Ok(Vec::new());
    };
    let slot = Slot { inc: *inc, seq };
    let read = || {
        let start = shared.store.slots.get(slot, 0..FIRST_BYTES)?;
        let fail = |error| StoreError::format("Cannot read", slot, error);
        let header = Header::decode(&start).map_err(fail)?;
        let end = header.payload_pos();
        let index = match usize::try_from(end)
            .ok()
            .and_then(|end| start.get(HEADER_BYTES..end))
        {
            Some(_) => start.slice(HEADER_BYTES..usize::try_from(end).unwrap_or(usize::MAX)),
            None => shared.store.slots.get(slot, HEADER_BYTES as u64..end)?,
        };
        header.decode_index(&index).map_err(fail)
    };
    match insist(read, || shared.store.slots.forget(slot)) {
        Ok(mut entries) => {
            entries.retain(|entry| entry.shard == shard);
            Ok(entries)
        }
        // Its batches may be whole all the same, but nothing says what they are.
        Err(error) if error.kind == ErrorKind::Damaged => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Mostly the index lies in them.
const FIRST_BYTES: u64 = 4096;
