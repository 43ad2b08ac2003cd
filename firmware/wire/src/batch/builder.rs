//! Builds batches, one record after the other, in memory that is used again.

use alloc::vec::Vec;

use super::header::{HEADER_BYTES, LOG_OVERHEAD_BYTES};
use super::{ATTRIBUTES, CRC, Codec, Header, Producer, RecordError};
use crate::crc::crc32c;
use crate::varint;

/// Collects records; [`BatchBuilder::finish_into`] makes a batch of them and begins anew.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    records: Vec<u8>,
    /// Encoded headers of the record that is being pushed.
    headers: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// A builder without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a record with a time in milliseconds. `None` is null.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] if the batch would pass 2^31-1 bytes or records, and
    /// [`RecordError::Timestamp`] if the time is more than 2^63-1 ms away from the first record's.
    /// The builder is as before then.
    pub fn push<'h>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) -> Result<(), RecordError> {
        let base = if self.count == 0 {
            timestamp
        } else {
            self.base_timestamp
        };
        let delta = timestamp.checked_sub(base).ok_or(RecordError::Timestamp)?;
        let delta = varint::encode(delta);
        let place = varint::encode(i64::from(self.count));
        let header_count = self.encode_headers(headers)?;

        let body_bytes = (1 + delta.len() + place.len() + header_count.len())
            .saturating_add(nullable_bytes(key))
            .saturating_add(nullable_bytes(value))
            .saturating_add(self.headers.len());
        self.check_room(body_bytes)?;

        self.records.reserve(varint::I32_BYTES_MAX + body_bytes);
        put_length(&mut self.records, body_bytes);
        self.records.push(0);
        self.records.extend_from_slice(&delta);
        self.records.extend_from_slice(&place);
        put_nullable(&mut self.records, key);
        put_nullable(&mut self.records, value);
        self.records.extend_from_slice(&header_count);
        self.records.extend_from_slice(&self.headers);

        self.max_timestamp = if self.count == 0 {
            timestamp
        } else {
            self.max_timestamp.max(timestamp)
        };
        self.base_timestamp = base;
        self.count += 1;
        Ok(())
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the records so far, without the header.
    #[must_use]
    pub fn uncompressed_bytes(&self) -> usize {
        self.records.len()
    }

    /// The first record's time in milliseconds, `None` without records.
    #[must_use]
    pub fn base_timestamp(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.base_timestamp)
    }

    /// The records' greatest time in milliseconds, `None` without records.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.max_timestamp)
    }

    /// Moves all records in time so that the first has `base_timestamp`: for records whose time is
    /// known only when the batch is closed. The greatest saturates.
    pub fn rebase(&mut self, base_timestamp: i64) {
        let span = self.max_timestamp.saturating_sub(self.base_timestamp);
        self.base_timestamp = base_timestamp;
        self.max_timestamp = base_timestamp.saturating_add(span);
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.count = 0;
        self.base_timestamp = 0;
        self.max_timestamp = 0;
    }

    /// Appends the batch to `out`, uncompressed, and forgets the records. Base offset is 0, leader
    /// epoch -1. Without records nothing is appended.
    pub fn finish_into(&mut self, producer: Producer, out: &mut Vec<u8>) {
        self.encode_into(producer, out);
        self.clear();
    }

    /// As [`BatchBuilder::finish_into`], but the records stay.
    pub fn encode_into(&self, producer: Producer, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        let start = out.len();
        out.reserve(HEADER_BYTES + self.records.len());
        out.extend_from_slice(&[0; HEADER_BYTES]);
        out.extend_from_slice(&self.records);
        self.seal(producer, Codec::None, &mut out[start..]);
    }

    /// Appends the batch to `out`, compressed with zstd, and forgets the records.
    #[cfg(feature = "zstd")]
    pub fn finish_zstd_into(
        &mut self,
        producer: Producer,
        compressor: &mut super::Compressor,
        out: &mut Vec<u8>,
    ) {
        self.encode_zstd_into(producer, compressor, out);
        self.clear();
    }

    /// As [`BatchBuilder::finish_zstd_into`], but the records stay, for instance to be tried again
    /// in two batches. What compression would make larger is left uncompressed.
    #[cfg(feature = "zstd")]
    pub fn encode_zstd_into(
        &self,
        producer: Producer,
        compressor: &mut super::Compressor,
        out: &mut Vec<u8>,
    ) {
        if self.is_empty() {
            return;
        }
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        compressor.compress_into(&self.records, out);
        if out.len() - start - HEADER_BYTES >= self.records.len() {
            out.truncate(start);
            return self.encode_into(producer, out);
        }
        self.seal(producer, Codec::Zstd, &mut out[start..]);
    }

    fn encode_headers<'h>(
        &mut self,
        headers: impl IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) -> Result<varint::Encoded, RecordError> {
        self.headers.clear();
        let mut count = 0;
        for (name, value) in headers {
            let bytes = nullable_bytes(Some(name.as_bytes())).saturating_add(nullable_bytes(value));
            self.check_room(self.headers.len().saturating_add(bytes))?;
            put_nullable(&mut self.headers, Some(name.as_bytes()));
            put_nullable(&mut self.headers, value);
            count += 1;
        }
        Ok(varint::encode(count))
    }

    /// Every length in a batch is an i32, and the batch's counts all but 12 bytes of it.
    fn check_room(&self, more_bytes: usize) -> Result<(), RecordError> {
        let total_bytes = (HEADER_BYTES + varint::I32_BYTES_MAX)
            .saturating_add(self.records.len())
            .saturating_add(more_bytes);
        match i32::try_from(total_bytes) {
            Ok(_) if self.count < i32::MAX => Ok(()),
            _ => Err(RecordError::TooLong),
        }
    }

    fn seal(&self, producer: Producer, codec: Codec, batch: &mut [u8]) {
        let header = Header {
            base_offset: 0,
            batch_length: i32::try_from(batch.len() - LOG_OVERHEAD_BYTES)
                .expect("push keeps batches below 2 GiB, compression only makes them smaller"),
            leader_epoch: -1,
            crc: 0,
            attributes: codec as u16,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: producer.base_sequence,
            record_count: self.count,
        };
        batch[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        let crc = crc32c(&batch[ATTRIBUTES..]);
        batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    }
}

fn nullable_bytes(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| {
        bytes.len().saturating_add(length(bytes.len()).len())
    })
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => out.extend_from_slice(&varint::encode(-1)),
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn put_length(out: &mut Vec<u8>, bytes: usize) {
    out.extend_from_slice(&length(bytes));
}

/// Lengths beyond 2^31-1 never get as far as the output; see [`BatchBuilder::check_room`].
fn length(bytes: usize) -> varint::Encoded {
    varint::encode(i64::try_from(bytes).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
