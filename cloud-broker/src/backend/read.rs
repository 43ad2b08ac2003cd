//! Reading what is committed.

mod cold;
mod journal;

use bytes::Bytes;
use headwater_broker_core::PartitionId;
use headwater_wire::batch::{self, Header};

use super::Backend;
use super::error::ReadError;
use super::table::{Cell, Found};
use crate::validate::Validator;

pub(super) use journal::{JournalBatch, read_again, read_together};

/// What can be read of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// First offset.
    pub start: i64,
    /// Offset after the last committed record: the high watermark.
    pub end: i64,
    /// Leader epoch.
    pub epoch: i32,
    /// Bytes of all batches.
    pub bytes: u64,
}

/// A committed batch.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// When it came, ms.
    pub arrival_ms: i64,
    /// Largest timestamp, ms.
    pub max_timestamp: i64,
    /// As stored: base offset and leader epoch are in it.
    pub bytes: Bytes,
    /// Bloom filter of its topics; empty = not known, it must be opened.
    pub topics: Bytes,
}

impl Backend {
    /// What can be read of a partition. One that is unknown, or whose stream was deleted, is empty.
    pub fn bounds(&self, partition: PartitionId) -> Bounds {
        self.try_bounds(partition).unwrap_or_default()
    }

    /// What can be read of a partition: for whoever waits there, and must hear of its end.
    ///
    /// # Errors
    /// [`ReadError::NoPartition`]: it is unknown, or its stream was deleted.
    pub fn try_bounds(&self, partition: PartitionId) -> Result<Bounds, ReadError> {
        self.with_cell(partition, Cell::bounds)?
    }

    /// The greatest leader epoch that is not above `epoch`, and the offset behind its last record;
    /// `None` if there is no such epoch, or if `epoch` is above the partition's own.
    ///
    /// # Errors
    /// [`ReadError::NoPartition`].
    pub fn end_of_epoch(
        &self,
        partition: PartitionId,
        epoch: i32,
    ) -> Result<Option<(i32, i64)>, ReadError> {
        self.with_cell(partition, |cell| cell.end_of_epoch(epoch))?
    }

    /// Committed batches from the one that contains `offset` on: at least one if there is any,
    /// then as long as all together are at most `max_bytes`. Empty at the end. What is damaged is
    /// passed over, so the first batch may lie further on; the loss is logged and counted. Blocks
    /// on the disk if they are not recent: on a runtime use [`Backend::read_recent`] first, and
    /// `spawn_blocking` for the rest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &self,
        partition: PartitionId,
        offset: i64,
        max_bytes: usize,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        cold::read(self, partition, offset, max_bytes)
    }

    /// As [`Backend::read`], from memory alone and never blocking: `None` if the disk is needed.
    /// An offset out of range, or the end, is answered here.
    pub fn read_recent(
        &self,
        partition: PartitionId,
        offset: i64,
        max_bytes: usize,
    ) -> Option<Result<Vec<StoredBatch>, ReadError>> {
        match self.with_cell(partition, |cell| cell.find(offset, max_bytes)) {
            Ok(Ok(Found::Recent(batches))) => Some(Ok(batches)),
            Ok(Ok(Found::Journal(_) | Found::Segment(_))) => None,
            Ok(Err(error)) | Err(error) => Some(Err(error)),
        }
    }

    /// Offset and timestamp of the first record with at least this timestamp, ms. Blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_for_time(
        &self,
        partition: PartitionId,
        timestamp: i64,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        let mut next = self.with_cell(partition, Cell::bounds)??.start;
        loop {
            let found = self.with_cell(partition, |cell| cell.first_at(timestamp, next))??;
            let Some(found) = found else { return Ok(None) };
            let (batch, end) = cold::first_at(self, partition, &found, timestamp, next)?;
            if let Some(record) = batch.and_then(|batch| first_record_at(&batch, timestamp, next)) {
                return Ok(Some(record));
            }
            next = end;
        }
    }

    /// Offset and timestamp of the first record with the greatest timestamp. Blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn latest_by_time(&self, partition: PartitionId) -> Result<Option<(i64, i64)>, ReadError> {
        match self.with_cell(partition, Cell::greatest_timestamp)?? {
            Some(timestamp) => self.offset_for_time(partition, timestamp),
            None => Ok(None),
        }
    }

    fn with_cell<T>(
        &self,
        partition: PartitionId,
        look: impl FnOnce(&Cell) -> T,
    ) -> Result<T, ReadError> {
        let table = self.shared.table.load();
        table
            .get(partition.index())
            .map(|cell| look(cell))
            .ok_or(ReadError::NoPartition)
    }
}

/// The first record of a batch, from `offset` on, with at least this timestamp.
fn first_record_at(stored: &StoredBatch, timestamp: i64, offset: i64) -> Option<(i64, i64)> {
    let header = Header::parse_exact(&stored.bytes).ok()?;
    let mut validator = Validator::default();
    let records = validator.records(&header, &stored.bytes).ok()?;
    let records = batch::records(&header, records).map_while(Result::ok);
    let mut records = records.map(|record| {
        let offset = stored.base_offset + i64::from(record.offset_delta);
        (offset, record.timestamp)
    });
    records.find(|(at, found)| *at >= offset && *found >= timestamp)
}
