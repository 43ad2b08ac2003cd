//! The newest offset of each key, within a bound of memory.

use std::collections::BTreeMap;

use headwater_wire::batch::{BatchError, Header, records};

/// Bytes that a key costs beside its own: the map's node, and the offset.
const KEY_BYTES: usize = 64;
/// Bytes that a producer costs.
const PRODUCER_BYTES: usize = 48;
/// Producers whose last batch is known take at most this share of the memory.
const PRODUCERS_SHARE: usize = 4;

/// What the first pass learns. Keys are held whole, since two that share a hash would cost a
/// record; where they no longer fit, the pass ends, and the next one begins there.
#[derive(Clone, Debug)]
pub struct Newest {
    offsets: BTreeMap<Box<[u8]>, i64>,
    /// Base offset of each producer's last batch, by id.
    producers: BTreeMap<i64, i64>,
    bytes: usize,
    bytes_max: usize,
    covered_to: i64,
    full: bool,
}

impl Newest {
    /// Holds about `bytes_max` bytes: some 100 for each key of 36, and 48 for each producer. The
    /// first batch is taken even if its keys alone are more.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            offsets: BTreeMap::new(),
            producers: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            covered_to: 0,
            full: false,
        }
    }

    /// Takes a batch that an earlier compaction covered: of its keys there is none but itself
    /// before it.
    pub fn note_clean(&mut self, header: &Header) {
        self.covered_to = header.last_offset().saturating_add(1);
        self.note_producer(header);
    }

    /// Takes the next batch, whose uncompressed records are `uncompressed`. False: there was no
    /// room for it; it and what follows is not covered, and nothing more is taken.
    ///
    /// # Errors
    /// The records are not what the header says. Its keys up to the fault count, the batch is
    /// covered, and the pass may go on: [`super::decide`] leaves such a batch as it is.
    pub fn note(&mut self, header: &Header, uncompressed: &[u8]) -> Result<bool, BatchError> {
        self.full |= self.bytes >= self.bytes_max && !self.offsets.is_empty();
        if self.full {
            return Ok(false);
        }
        self.covered_to = header.last_offset().saturating_add(1);
        self.note_producer(header);
        for record in records(header, uncompressed) {
            let record = record?;
            let offset = header
                .base_offset
                .saturating_add(record.offset_delta.into());
            if let Some(key) = record.key {
                self.put(key, offset);
            }
        }
        Ok(true)
    }

    /// Offsets below this one are covered.
    #[must_use]
    pub fn covered_to(&self) -> i64 {
        self.covered_to
    }

    /// Whether there was no room for everything.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes that it holds, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no covered record of this key comes after `offset`.
    #[must_use]
    pub fn is_newest(&self, key: &[u8], offset: i64) -> bool {
        self.offsets.get(key).is_none_or(|newest| *newest <= offset)
    }

    /// Whether no covered batch of the same producer is known to come after the batch of `header`.
    #[must_use]
    pub fn is_last_of_producer(&self, header: &Header) -> bool {
        let last = self.producers.get(&header.producer_id);
        header.producer_id >= 0 && last.is_none_or(|last| *last <= header.base_offset)
    }

    fn note_producer(&mut self, header: &Header) {
        let (id, offset) = (header.producer_id, header.base_offset);
        if let Some(last) = self.producers.get_mut(&id) {
            *last = offset;
        } else if id >= 0
            && self.producers.len() < self.bytes_max / PRODUCERS_SHARE / PRODUCER_BYTES
        {
            self.bytes += PRODUCER_BYTES;
            self.producers.insert(id, offset);
        }
    }

    fn put(&mut self, key: &[u8], offset: i64) {
        match self.offsets.get_mut(key) {
            Some(newest) => *newest = offset,
            None => {
                self.bytes += KEY_BYTES + key.len();
                self.offsets.insert(key.into(), offset);
            }
        }
    }
}
