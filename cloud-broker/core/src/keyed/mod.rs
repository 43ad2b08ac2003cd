//! Keyed compaction: which records of a partition survive, and what becomes of their batches.
//!
//! A compaction reads a partition twice, from its first batch on:
//!
//! 1. [`Newest::note_clean`] for what an earlier compaction has covered ([`Marks`] tell how far it
//!    came), then [`Newest::note`] for what follows, until it answers false: from there on nothing
//!    is covered, and the next compaction begins there;
//! 2. [`decide`] for each batch that was covered. A batch that changes keeps its base offset, its
//!    last offset and its producer's numbers; [`Changed::seal`] makes its bytes.
//!
//! So memory holds the keys of what has come since, not those of the whole partition. Batches that
//! are not covered stay as they are.

mod due;
mod marks;
mod newest;

use headwater_wire::batch::{ATTRIBUTES, CRC};
use headwater_wire::batch::{BatchError, Codec, HEADER_BYTES, Header, LOG_OVERHEAD_BYTES, records};
use headwater_wire::crc;

pub use due::is_due;
pub use marks::{Mark, Marks};
pub use newest::Newest;

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is, bytes and all.
    Whole,
    /// Some of its records stay, or its header alone.
    Changed(Changed),
    /// Nothing of it stays.
    Gone,
}

/// A batch with fewer records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// As it was, with the number and the greatest timestamp of the records that stay. Length,
    /// checksum and codec are [`Changed::seal`]'s.
    pub header: Header,
    /// The records that stay, uncompressed, each byte for byte as it was.
    pub records: Vec<u8>,
}

/// Decides about a batch, whose uncompressed records are `uncompressed`.
///
/// Of the records that `newest` covers, those without a key go, as Kafka's cleaner has it, and
/// those with a newer one of their key; below the offset `tombstones_to` also those without a
/// value. A batch of which nothing stays keeps its header if it is its producer's last, since that
/// says where the producer stands, or if it ends what is covered, so that the end can be seen.
///
/// # Errors
/// The records are not what the header says: then the batch is left as it is.
pub fn decide(
    header: &Header,
    uncompressed: &[u8],
    newest: &Newest,
    tombstones_to: i64,
) -> Result<Fate, BatchError> {
    if header.is_control() || header.last_offset() >= newest.covered_to() {
        return Ok(Fate::Whole);
    }
    let is_end = header.last_offset().saturating_add(1) == newest.covered_to();
    let mut kept = Vec::new();
    let mut count = 0;
    let mut max_timestamp = i64::MIN;
    let mut rest = records(header, uncompressed);
    let mut before = uncompressed.len();
    while let Some(record) = rest.next() {
        let record = record?;
        let after = rest.trailing_bytes();
        let bytes = &uncompressed[uncompressed.len() - before..uncompressed.len() - after];
        before = after;
        let offset = header
            .base_offset
            .saturating_add(record.offset_delta.into());
        let is_newest = record.key.is_some_and(|key| newest.is_newest(key, offset));
        if is_newest && (record.value.is_some() || offset >= tombstones_to) {
            kept.extend_from_slice(bytes);
            count += 1;
            max_timestamp = max_timestamp.max(record.timestamp);
        }
    }
    if count == 0 && !is_end && !newest.is_last_of_producer(header) {
        return Ok(Fate::Gone);
    }
    if count == header.record_count {
        return Ok(Fate::Whole);
    }
    let header = Header {
        record_count: count,
        // None, so that nobody looks for the newest record here.
        max_timestamp: if count > 0 { max_timestamp } else { -1 },
        ..*header
    };
    Ok(Fate::Changed(Changed {
        header,
        records: kept,
    }))
}

impl Changed {
    /// The batch's bytes. `payload` is [`Changed::records`], compressed as `codec` says; a batch
    /// without records has none and is not compressed.
    #[must_use]
    pub fn seal(&self, codec: Codec, payload: &[u8]) -> Vec<u8> {
        const CODEC_BITS: u16 = 0b111;
        let bytes = HEADER_BYTES + payload.len();
        let length = i32::try_from(bytes - LOG_OVERHEAD_BYTES);
        let header = Header {
            batch_length: length.expect("fewer records than a batch below 2 GiB had"),
            attributes: self.header.attributes & !CODEC_BITS | codec as u16,
            ..self.header
        };
        let mut batch = Vec::with_capacity(bytes);
        batch.extend_from_slice(&header.to_bytes());
        batch.extend_from_slice(payload);
        let checksum = crc::crc32c(&batch[ATTRIBUTES..]);
        batch[CRC..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
        batch
    }
}

#[cfg(test)]
mod tests;
