//! The few changes that an encoded batch ever sees.

use super::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BatchError, CRC, HEADER_BYTES, Header, LEADER_EPOCH,
    PRODUCER_EPOCH, PRODUCER_ID, Producer,
};
use crate::crc::crc32c;

/// Writes the base offset; the CRC does not cover it.
///
/// # Panics
/// If `batch` is shorter than a header, so only for what [`Header::parse`] took.
pub fn patch_base_offset(batch: &mut [u8], base_offset: i64) {
    batch[BASE_OFFSET..BASE_OFFSET + 8].copy_from_slice(&base_offset.to_be_bytes());
}

/// Writes the partition's leader epoch; the CRC does not cover it.
///
/// # Panics
/// If `batch` is shorter than a header, so only for what [`Header::parse`] took.
pub fn patch_leader_epoch(batch: &mut [u8], epoch: i32) {
    batch[LEADER_EPOCH..LEADER_EPOCH + 4].copy_from_slice(&epoch.to_be_bytes());
}

/// Gives the batch at the front of `batch` another producer, and the CRC that belongs to it. The
/// records stay as they are, compressed or not.
///
/// # Errors
/// As [`Header::parse`]; the old CRC is not checked. Nothing is changed then.
pub fn restamp(batch: &mut [u8], producer: Producer) -> Result<(), BatchError> {
    let end = Header::parse(batch)?.total_bytes();
    debug_assert!(end >= HEADER_BYTES);
    batch[PRODUCER_ID..PRODUCER_EPOCH].copy_from_slice(&producer.id.to_be_bytes());
    batch[PRODUCER_EPOCH..BASE_SEQUENCE].copy_from_slice(&producer.epoch.to_be_bytes());
    batch[BASE_SEQUENCE..BASE_SEQUENCE + 4].copy_from_slice(&producer.base_sequence.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..end]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}
