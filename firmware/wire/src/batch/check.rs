//! What must be true of a batch before it is appended.

use super::header::{CODEC_BITS, CONTROL_BIT, LOG_APPEND_TIME_BIT, TRANSACTIONAL_BIT};
use super::{ATTRIBUTES, BatchError, Header, Record, RecordError, records};
use crate::crc::crc32c;

/// How much a batch may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all records, uncompressed.
    pub uncompressed_bytes_max: usize,
    /// Number of records.
    pub records_max: usize,
}

/// Compares the CRC of `batch`, which begins with `header`, with the stored one.
///
/// # Errors
/// [`BatchError::Crc`] if they differ, [`BatchError::Truncated`] if `batch` ends too early.
pub fn check_crc(batch: &[u8], header: &Header) -> Result<(), BatchError> {
    let covered = batch
        .get(ATTRIBUTES..header.total_bytes())
        .ok_or(BatchError::Truncated)?;
    match crc32c(covered) {
        computed if computed == header.crc => Ok(()),
        computed => Err(BatchError::Crc {
            stored: header.crc,
            computed,
        }),
    }
}

/// Checks what the header of any batch from a client must say: base offset 0, at least one record
/// and none left out, data outside transactions, the client's own timestamps, a known codec, and
/// a sequence number if there is a producer id.
///
/// # Errors
/// The first of these that does not hold.
pub fn check_produced(header: &Header) -> Result<(), BatchError> {
    header.codec()?;
    check_attributes(header)?;
    if header.base_offset != 0 {
        return Err(BatchError::BaseOffset(header.base_offset));
    }
    let records = header.record_count;
    let last_offset_delta = header.last_offset_delta;
    if records < 1 || last_offset_delta != records - 1 {
        return Err(BatchError::Count {
            records,
            last_offset_delta,
        });
    }
    // Without an id, epoch and sequence mean nothing: some clients write 0 there, some -1.
    let numbered = header.producer_epoch >= 0 && header.base_sequence >= 0;
    match header.producer_id {
        -1 => Ok(()),
        0.. if numbered => Ok(()),
        _ => Err(BatchError::Producer),
    }
}

fn check_attributes(header: &Header) -> Result<(), BatchError> {
    if header.is_control() {
        return Err(BatchError::Control);
    }
    if header.is_transactional() {
        return Err(BatchError::Transactional);
    }
    if header.is_log_append_time() {
        return Err(BatchError::LogAppendTime);
    }
    const KNOWN: u16 = CODEC_BITS | LOG_APPEND_TIME_BIT | TRANSACTIONAL_BIT | CONTROL_BIT;
    match header.attributes & !KNOWN {
        0 => Ok(()),
        _ => Err(BatchError::Attributes(header.attributes)),
    }
}

/// Reads every record of a batch as it was produced, from its uncompressed bytes, and gives each
/// to `each`. Checked are the limits, every length, the offset deltas 0, 1, 2…, names of headers,
/// that the bytes end with the last record, and that the greatest timestamp is the header's:
/// readers look records up by it. Records before a fault have been given to `each` by then.
///
/// # Errors
/// The first fault, or the first error that `each` returns.
pub fn walk<'a, E: From<BatchError>>(
    header: &Header,
    uncompressed: &'a [u8],
    limits: &Limits,
    mut each: impl FnMut(Record<'a>) -> Result<(), E>,
) -> Result<(), E> {
    check_limits(header, uncompressed, limits)?;
    let mut max_timestamp = i64::MIN;
    let mut rest = records(header, uncompressed);
    for index in 0..header.record_count {
        let Some(record) = rest.next() else { break };
        let record = record?;
        if record.offset_delta != index {
            let error = RecordError::OffsetDelta(record.offset_delta);
            return Err(BatchError::Record { index, error }.into());
        }
        max_timestamp = max_timestamp.max(record.timestamp);
        each(record)?;
    }
    if rest.trailing_bytes() != 0 {
        return Err(BatchError::Trailing(rest.trailing_bytes()).into());
    }
    if max_timestamp != header.max_timestamp {
        let error = BatchError::MaxTimestamp {
            header: header.max_timestamp,
            records: max_timestamp,
        };
        return Err(error.into());
    }
    Ok(())
}

fn check_limits(header: &Header, uncompressed: &[u8], limits: &Limits) -> Result<(), BatchError> {
    let count = header.record_count;
    let last_offset_delta = header.last_offset_delta;
    if count < 1 || last_offset_delta != count - 1 {
        return Err(BatchError::Count {
            records: count,
            last_offset_delta,
        });
    }
    if usize::try_from(count).is_ok_and(|count| count > limits.records_max) {
        return Err(BatchError::TooManyRecords(count));
    }
    if uncompressed.len() > limits.uncompressed_bytes_max {
        return Err(BatchError::TooLarge);
    }
    Ok(())
}

#[cfg(all(test, feature = "alloc"))]
mod tests;
