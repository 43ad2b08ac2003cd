//! One record, read in place.

use super::{BatchError, Header, RecordError};
use crate::varint;

/// A record, borrowed from the uncompressed bytes of its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Milliseconds: the record's own time, or the time of append if the batch says so.
    pub timestamp: i64,
    /// What is added to the batch's base offset; in a batch as produced, the record's place.
    pub offset_delta: i32,
    /// The key; `None` is null, which is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null, a tombstone.
    pub value: Option<&'a [u8]>,
    /// Iterates over the headers, in their order, repeats kept.
    pub headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// The value of the first header called `name`; the inner `None` is a null value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.headers
            .into_iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

/// The records of a batch that was walked before, from its uncompressed bytes. Offset deltas may
/// have gaps, as compaction leaves them. What is malformed ends it with an error, so that records
/// of a stream with `validation = header` can be read too.
#[must_use]
pub fn records<'a>(header: &Header, uncompressed: &'a [u8]) -> RecordIter<'a> {
    RecordIter {
        rest: uncompressed,
        header: *header,
        index: 0,
    }
}

/// What [`records`] gives.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    header: Header,
    index: i32,
}

impl RecordIter<'_> {
    /// Bytes behind the last record that was read.
    #[must_use]
    pub fn trailing_bytes(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.header.record_count {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let record = read_record(&mut self.rest, &self.header);
        Some(record.map_err(|error| {
            self.index = self.header.record_count;
            BatchError::Record { index, error }
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.header.record_count.saturating_sub(self.index);
        (0, usize::try_from(left).ok())
    }
}

/// Headers of a record, whose bounds and names have been checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: i32,
}

impl Headers<'_> {
    /// How many are left to come.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.left).unwrap_or(0)
    }

    /// Whether none is left to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left <= 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_empty() {
            return None;
        }
        self.left -= 1;
        read_header(&mut self.rest).ok()
    }
}

#[inline]
fn read_record<'a>(batch: &mut &'a [u8], header: &Header) -> Result<Record<'a>, RecordError> {
    let len = length(batch)?;
    let mut fields = take(batch, len)?;
    // Attributes: no bit of them means anything yet, and Kafka ignores them.
    take(&mut fields, 1)?;
    let timestamp_delta = varint::read_i64(&mut fields).map_err(|_| RecordError::Truncated)?;
    let offset_delta = number(&mut fields)?;
    let key = nullable(&mut fields)?;
    let value = nullable(&mut fields)?;
    let headers = read_headers(fields)?;
    let timestamp = if header.is_log_append_time() {
        header.max_timestamp
    } else {
        header
            .base_timestamp
            .checked_add(timestamp_delta)
            .ok_or(RecordError::Timestamp)?
    };
    Ok(Record {
        timestamp,
        offset_delta,
        key,
        value,
        headers,
    })
}

#[inline]
fn read_headers(mut fields: &[u8]) -> Result<Headers<'_>, RecordError> {
    let left = number(&mut fields)?;
    if left < 0 {
        return Err(RecordError::Negative);
    }
    let headers = Headers { rest: fields, left };
    for _ in 0..left {
        read_header(&mut fields)?;
    }
    if fields.is_empty() {
        Ok(headers)
    } else {
        Err(RecordError::Trailing)
    }
}

fn read_header<'a>(fields: &mut &'a [u8]) -> Result<(&'a str, Option<&'a [u8]>), RecordError> {
    let len = length(fields)?;
    let name = take(fields, len)?;
    let name = core::str::from_utf8(name).map_err(|_| RecordError::HeaderName)?;
    Ok((name, nullable(fields)?))
}

#[inline]
fn nullable<'a>(fields: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    match number(fields)? {
        -1 => Ok(None),
        len => {
            let len = usize::try_from(len).map_err(|_| RecordError::Negative)?;
            take(fields, len).map(Some)
        }
    }
}

#[inline]
fn length(fields: &mut &[u8]) -> Result<usize, RecordError> {
    usize::try_from(number(fields)?).map_err(|_| RecordError::Negative)
}

#[inline]
fn number(fields: &mut &[u8]) -> Result<i32, RecordError> {
    varint::read_i32(fields).map_err(|_| RecordError::Truncated)
}

#[inline]
fn take<'a>(fields: &mut &'a [u8], len: usize) -> Result<&'a [u8], RecordError> {
    let (taken, rest) = fields.split_at_checked(len).ok_or(RecordError::Truncated)?;
    *fields = rest;
    Ok(taken)
}
