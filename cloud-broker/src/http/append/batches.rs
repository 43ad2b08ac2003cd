//! One batch for each partition that a request writes to.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use axum::body::Bytes;
use headwater_broker_core::Stream;
use headwater_broker_core::bloom::Topics;
use headwater_broker_core::catalog::Cleanup;
use headwater_wire::batch::{BatchBuilder, Compressor, Producer};
use headwater_wire::murmur2;

use super::RECORDS_MAX;
use super::json::Fields;
use crate::http::error::{ApiError, hold};
use crate::limits::Reserved;

/// Most bytes of one partition's records, uncompressed: consumers fetch 1 MiB by default.
pub(super) const PARTITION_BYTES_MAX: usize = 1_000_000;
/// Smaller batches gain nothing by compression.
const COMPRESS_BYTES_MIN: usize = 256;
const ZSTD_LEVEL: i32 = 1;
/// What a partition takes beside its records.
const BATCH_BYTES: usize = 4 << 10;
/// What a record takes beside its content: in its batch, and as a place in the answer.
const RECORD_BYTES: usize = 64;

/// The records of one request, gathered by partition.
#[derive(Debug)]
pub(super) struct Batches<'m> {
    stream: &'m Stream,
    keyless: u32,
    now_ms: i64,
    by_partition: BTreeMap<u32, Batch>,
    places: Vec<Place>,
    memory: &'m mut Reserved,
    bytes: usize,
    refusal: Option<ApiError>,
}

#[derive(Debug, Default)]
struct Batch {
    records: BatchBuilder,
    topics: Topics,
}

/// Where a record will lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Place {
    pub(super) partition: u32,
    /// Among the request's records for this partition.
    pub(super) index: u32,
}

/// What is to be appended, and where each record is in it.
#[derive(Debug)]
pub(in crate::http) struct Made {
    pub(in crate::http) batches: BTreeMap<u32, Sealed>,
    pub(super) places: Vec<Place>,
}

/// One partition's batch.
#[derive(Debug)]
pub(in crate::http) struct Sealed {
    pub(super) records: u64,
    pub(in crate::http) bytes: Bytes,
    /// Bloom filter of its keys, for streams that MQTT subscribers read.
    pub(super) topics: Vec<u8>,
}

impl<'m> Batches<'m> {
    /// `keyless` is the partition of records without key and partition, `held` what `memory` holds
    /// already, bytes.
    pub(super) fn new(
        stream: &'m Stream,
        keyless: u32,
        now_ms: i64,
        held: usize,
        memory: &'m mut Reserved,
    ) -> Self {
        Self {
            stream,
            keyless,
            now_ms,
            by_partition: BTreeMap::new(),
            places: Vec::new(),
            memory,
            bytes: held,
            refusal: None,
        }
    }

    /// Records so far.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a record.
    ///
    /// # Errors
    /// What the client is told: the stream does not take it, there is too much of it, or there is
    /// no memory.
    pub(super) fn push(&mut self, fields: &Fields<'_>) -> Result<(), ApiError> {
        if self.len() == RECORDS_MAX {
            let message = format!("A request has at most {RECORDS_MAX} records");
            return Err(ApiError::too_large(message));
        }
        let partition = self.partition(fields)?;
        self.reserve(partition, fields)?;
        let batch = self.by_partition.entry(partition).or_default();
        let index = u32::try_from(batch.records.records()).unwrap_or(u32::MAX);
        let timestamp = fields.timestamp.unwrap_or(self.now_ms);
        let headers = fields.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_ref(), value.as_deref()));
        let (key, value) = (fields.key.as_deref(), fields.value.as_deref());
        let pushed = batch.records.push(timestamp, key, value, headers);
        pushed.map_err(|error| ApiError::bad_request("bad-record", error.to_string()))?;
        if batch.records.uncompressed_bytes() > PARTITION_BYTES_MAX {
            return Err(ApiError::too_large(format!(
                "The records of partition {partition} are above {PARTITION_BYTES_MAX} bytes"
            )));
        }
        if let Some(key) = key
            && !self.stream.spec.filters.is_empty()
        {
            batch.topics.add(key);
        }
        self.places.push(Place { partition, index });
        Ok(())
    }

    /// Keeps what was refused, under the record's number; gives its text.
    pub(super) fn keep_refusal(&mut self, refusal: ApiError) -> String {
        let refusal = refusal.at(format!("Record {}", self.len()));
        let text = refusal.message().to_owned();
        self.refusal = Some(refusal);
        text
    }

    /// What was kept.
    pub(super) fn take_refusal(&mut self) -> Option<ApiError> {
        self.refusal.take()
    }

    /// Seals the batches, compressed if that pays.
    pub(super) fn finish(self) -> Made {
        let sealed = |(partition, batch): (u32, Batch)| (partition, batch.seal());
        Made {
            batches: self.by_partition.into_iter().map(sealed).collect(),
            places: self.places,
        }
    }

    fn partition(&self, fields: &Fields<'_>) -> Result<u32, ApiError> {
        let count = u32::try_from(self.stream.partitions.len()).unwrap_or(u32::MAX);
        if fields.key.is_none() && self.stream.spec.cleanup != Cleanup::Delete {
            let message = "key: a compacted stream takes no record without one";
            return Err(ApiError::bad_request("bad-record", message));
        }
        match (fields.partition, &fields.key) {
            (Some(partition), _) if partition >= count => {
                let message = format!("partition: the stream has {count}, from 0 on");
                Err(ApiError::bad_request("bad-record", message))
            }
            (Some(partition), _) => Ok(partition),
            (None, Some(key)) => Ok(murmur2::partition(key, count)),
            (None, None) => Ok(self.keyless),
        }
    }

    fn reserve(&mut self, partition: u32, fields: &Fields<'_>) -> Result<(), ApiError> {
        let length = |bytes: &Option<Cow<'_, [u8]>>| bytes.as_ref().map_or(0, |b| b.len());
        let headers = fields.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + length(value) + RECORD_BYTES);
        let content = length(&fields.key) + length(&fields.value) + headers.sum::<usize>();
        let batch = match self.by_partition.contains_key(&partition) {
            true => 0,
            false => BATCH_BYTES,
        };
        // Twice: as it is, and as it is sealed, or as it grows.
        self.bytes += 2 * (content + RECORD_BYTES) + batch;
        hold(self.memory, self.bytes)
    }
}

impl Batch {
    fn seal(mut self) -> Sealed {
        thread_local! {
            static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor::new(ZSTD_LEVEL));
        }
        let records = self.records.records() as u64;
        let mut bytes = Vec::new();
        if self.records.uncompressed_bytes() < COMPRESS_BYTES_MIN {
            self.records.finish_into(Producer::NONE, &mut bytes);
        } else {
            COMPRESSOR.with_borrow_mut(|compressor| {
                let records = &mut self.records;
                records.finish_zstd_into(Producer::NONE, compressor, &mut bytes);
            });
        }
        // Compression makes room for the worst case.
        bytes.shrink_to_fit();
        Sealed {
            records,
            bytes: bytes.into(),
            topics: self.topics.take(),
        }
    }
}
