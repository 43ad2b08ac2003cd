//! Record batches, version 2: Kafka's unit of storage and transfer, and ours (FORMAT.md, section 1).
//!
//! Reading one that came from outside takes these steps, in this order:
//!
//! 1. [`Header::parse`] — is it a batch, and does it end within the bytes;
//! 2. [`check_crc`];
//! 3. [`check_produced`] — what the header of a client's batch must say;
//! 4. decompress the [`payload`] as [`Header::codec`] says ([`Decompressor`] for zstd; the caller's
//!    libraries for the others) and [`walk`] the records.
//!
//! Of an accepted batch only [`patch_base_offset`] and [`patch_leader_epoch`] change bytes, outside
//! the CRC. [`restamp`] moves a batch to another producer id.

#[cfg(feature = "alloc")]
mod builder;
mod check;
mod error;
mod header;
mod patch;
mod record;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "alloc")]
pub use builder::BatchBuilder;
pub use check::{Limits, check_crc, check_produced, walk};
pub use error::{BatchError, DecompressError, RecordError};
pub use header::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BASE_TIMESTAMP, BATCH_LENGTH, BATCH_LENGTH_MIN, CRC,
    Codec, HEADER_BYTES, Header, LAST_OFFSET_DELTA, LEADER_EPOCH, LOG_OVERHEAD_BYTES, MAGIC,
    MAX_TIMESTAMP, PRODUCER_EPOCH, PRODUCER_ID, Producer, RECORD_COUNT, payload,
};
pub use patch::{patch_base_offset, patch_leader_epoch, restamp};
pub use record::{Headers, Record, RecordIter, records};
#[cfg(feature = "zstd")]
pub use zstd::{Compressor, Decompressor, WINDOW_BYTES_MAX};
