//! Records that follow one another, with their positions.

use bytes::Bytes;
use headwater_wire::batch::{
    BatchBuilder, Codec, Compressor, Decompressor, HEADER_BYTES, Header, Producer, Record,
    RecordError, payload, records,
};
use headwater_wire::uplink::{BATCH_UNCOMPRESSED_BYTES_MAX, BatchRange, EVENT_BYTES_MAX, Position};

/// What is kept of the memory of records that are gone: a lane that rests holds little.
const BYTES_KEPT: usize = 64 << 10;
/// What compression is tried on at all: below, it saves no page.
const COMPRESS_BYTES_MIN: usize = 512;

#[derive(Debug)]
pub(super) struct Run {
    producer_id: i64,
    first: Position,
    records: BatchBuilder,
}

impl Run {
    pub(super) fn new(producer_id: i64, first: Position) -> Self {
        Self {
            producer_id,
            first,
            records: BatchBuilder::new(),
        }
    }

    pub(super) fn first(&self) -> Position {
        self.first
    }

    pub(super) fn next(&self) -> Position {
        Position(self.first.0 + self.records.records() as u64)
    }

    pub(super) fn len(&self) -> usize {
        self.records.records()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.records.uncompressed_bytes()
    }

    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.records.base_timestamp()
    }

    pub(super) fn push<'r>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'r str, Option<&'r [u8]>)>,
    ) -> Result<(), RecordError> {
        if self.next() >= Position::END {
            return Err(RecordError::TooLong);
        }
        self.records.push(timestamp, key, value, headers)
    }

    /// Forgets all records; the next stands at `first`.
    pub(super) fn clear(&mut self, first: Position) {
        if self.bytes() > BYTES_KEPT {
            self.records = BatchBuilder::new();
        } else {
            self.records.clear();
        }
        self.first = first;
    }

    /// Appends the records as one batch, compressed if that helps; nothing if there are none.
    pub(super) fn encode_into(&self, compressor: &mut Compressor, out: &mut Vec<u8>) {
        if self.bytes() < COMPRESS_BYTES_MIN {
            self.records.encode_into(self.producer(), out);
        } else {
            self.records
                .encode_zstd_into(self.producer(), compressor, out);
        }
    }

    /// Appends the records as one batch, as they are; nothing if there are none.
    pub(super) fn encode_plain_into(&self, out: &mut Vec<u8>) {
        self.records.encode_into(self.producer(), out);
    }

    /// Forgets the first `count` records.
    pub(super) fn cut(&mut self, count: usize, scratch: &mut Vec<u8>) {
        let count = count.min(self.len());
        let first = Position(self.first.0 + count as u64);
        if count == self.len() {
            self.clear(first);
        } else if count > 0 {
            self.records = self.part(count..self.len(), scratch);
            self.first = first;
        }
    }

    /// Keeps the first `count` records.
    pub(super) fn truncate(&mut self, count: usize, scratch: &mut Vec<u8>) {
        if count < self.len() {
            self.records = self.part(0..count, scratch);
        }
    }

    /// The first `count` records, once more.
    pub(super) fn front(&self, count: usize, scratch: &mut Vec<u8>) -> Self {
        let records = self.part(0..count, scratch);
        Self {
            producer_id: self.producer_id,
            first: self.first,
            records,
        }
    }

    /// Takes the records of a batch of ours that lie from [`Self::next`] to below `end`.
    pub(super) fn take_from(&mut self, batch: &Bytes, end: Position) {
        let Ok(header) = Header::parse_exact(batch) else {
            return;
        };
        let Some(range) = BatchRange::of(&header).filter(|range| range.first <= self.next()) else {
            return;
        };
        let known = usize::try_from(self.next().since(range.first)).unwrap_or(usize::MAX);
        let mut plain = Vec::new();
        let bytes = payload(&header, batch);
        let bytes = match header.codec() {
            Ok(Codec::Zstd) => {
                let max = BATCH_UNCOMPRESSED_BYTES_MAX + EVENT_BYTES_MAX;
                if Decompressor::new()
                    .decompress_into(bytes, &mut plain, max)
                    .is_err()
                {
                    return;
                }
                plain.as_slice()
            }
            _ => bytes,
        };
        for record in records(&header, bytes).map_while(Result::ok).skip(known) {
            if self.next() >= end
                || self
                    .push(record.timestamp, record.key, record.value, record.headers)
                    .is_err()
            {
                return;
            }
        }
    }

    fn part(&self, range: std::ops::Range<usize>, scratch: &mut Vec<u8>) -> BatchBuilder {
        let mut part = BatchBuilder::new();
        scratch.clear();
        self.records.encode_into(Producer::NONE, scratch);
        let Ok(header) = Header::parse_exact(scratch) else {
            return part;
        };
        let all = records(&header, &scratch[HEADER_BYTES..]).map_while(Result::ok);
        for record in all.skip(range.start).take(range.len()) {
            let Record {
                timestamp,
                key,
                value,
                headers,
                ..
            } = record;
            // The same records went in before, nearer to their base or as near.
            let pushed = part.push(timestamp, key, value, headers);
            debug_assert!(pushed.is_ok(), "a part of a batch fits where the batch did");
        }
        part
    }

    fn producer(&self) -> Producer {
        self.first
            .producer(self.producer_id)
            .unwrap_or(Producer::NONE)
    }
}
