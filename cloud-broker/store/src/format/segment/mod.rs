//! Segment (`HWS1`): a compacted run of batches, partition by partition, with what finds them.
//!
//! Blocks of batches, each with its own head and table, then a sparse index for each partition,
//! then the directory of partitions, then the footer. `FORMAT.md` "Segment" has every byte.
//!
//! A flipped bit costs one batch at most: a block whose checksum is wrong is taken apart batch by
//! batch ([`block::open`]), and blocks are found again without index, directory and footer
//! ([`block::Head::decode`]). [`crate::segment`] writes and reads whole objects.

pub mod block;
mod directory;
mod index;

use headwater_broker_core::StreamId;
use headwater_wire::crc;

use super::coding::{Kind, Reader, put_prefix};

pub use super::FormatError;
pub use directory::{Directory, Epoch, Run};
pub use index::{Block, RunIndex, encode_block};

/// First bytes of every segment, and of its footer.
pub const MAGIC: [u8; 4] = *b"HWS1";
/// Bytes in front of the first block.
pub const HEADER_BYTES: usize = 24;
/// Bytes at the end of the object.
pub const FOOTER_BYTES: usize = 64;
/// A block is closed when its batches have this many bytes.
pub const BLOCK_BYTES_MIN: usize = 64 << 10;
/// A block of more than one batch has at most this many bytes of batches.
pub const BLOCK_BYTES_MAX: usize = 256 << 10;
/// Topic filters of one block: when their bytes pass this, the block is closed.
pub const BLOCK_FILTER_BYTES_MAX: usize = 4096;
/// Largest segment.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;
/// Largest directory, and largest index of one partition, that is written or read.
pub const INDEX_BYTES_MAX: u32 = 64 << 20;

const _: () = assert!(BLOCK_BYTES_MIN < BLOCK_BYTES_MAX);
const _: () = assert!((BLOCK_BYTES_MAX as u64) < super::chunk::FRAME_BYTES_MAX);

/// A partition, as a segment names it. Runs are sorted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// Stream.
    pub topic: StreamId,
    /// Partition of the stream.
    pub partition: u32,
}

/// Whose segment it is: the first 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Shard of all its partitions.
    pub shard: u32,
    /// The shard's epoch when it was written, as in the object's name.
    pub epoch: u32,
}

impl Header {
    /// The bytes in front of the first block.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        put_prefix(&mut out, MAGIC, Kind::Segment);
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let checksum = crc::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads and verifies the first 24 of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = checked(bytes, HEADER_BYTES, "segment header")?;
        check_kind(reader.prefix(MAGIC)?.0)?;
        Ok(Self {
            shard: reader.u32()?,
            epoch: reader.u32()?,
        })
    }
}

/// Where the directory lies: the last 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// As at the front.
    pub header: Header,
    /// First byte of the directory; it ends where the footer begins.
    pub directory_pos: u64,
    /// CRC-32C of the directory.
    pub directory_crc: u32,
    /// Bytes of the directory.
    pub directory_len: u32,
    /// First byte behind the last block: the first index begins here.
    pub blocks_end: u64,
    /// Number of blocks.
    pub blocks: u32,
    /// Number of partitions.
    pub runs: u32,
}

impl Footer {
    /// The last bytes of the object.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        put_prefix(&mut out, MAGIC, Kind::Segment);
        out.extend_from_slice(&self.header.shard.to_le_bytes());
        out.extend_from_slice(&self.header.epoch.to_le_bytes());
        out.extend_from_slice(&self.directory_pos.to_le_bytes());
        out.extend_from_slice(&self.directory_len.to_le_bytes());
        out.extend_from_slice(&self.directory_crc.to_le_bytes());
        out.extend_from_slice(&self.blocks_end.to_le_bytes());
        out.extend_from_slice(&self.blocks.to_le_bytes());
        out.extend_from_slice(&self.runs.to_le_bytes());
        out.resize(FOOTER_BYTES - 4, 0);
        let checksum = crc::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads and verifies the 64 `bytes` that end an object of `object_bytes`.
    pub fn decode(bytes: &[u8], object_bytes: u64) -> Result<Self, FormatError> {
        let mut reader = checked(bytes, FOOTER_BYTES, "segment footer")?;
        check_kind(reader.prefix(MAGIC)?.0)?;
        let header = Header {
            shard: reader.u32()?,
            epoch: reader.u32()?,
        };
        let directory_pos = reader.u64()?;
        let directory_len = reader.u32()?;
        let footer = Self {
            header,
            directory_pos,
            directory_len,
            directory_crc: reader.u32()?,
            blocks_end: reader.u64()?,
            blocks: reader.u32()?,
            runs: reader.u32()?,
        };
        let end = directory_pos
            .checked_add(u64::from(directory_len) + FOOTER_BYTES as u64)
            .filter(|end| *end == object_bytes);
        let in_order = HEADER_BYTES as u64 <= footer.blocks_end
            && footer.blocks_end <= directory_pos
            && directory_len <= INDEX_BYTES_MAX;
        match end.is_some() && in_order {
            true => Ok(footer),
            false => Err(FormatError::Value {
                what: "segment footer",
            }),
        }
    }
}

/// A reader of the first `len` of `bytes`, whose last 4 are the checksum of those before. They
/// are compared first: an unknown format is told from a damaged one.
fn checked<'a>(bytes: &'a [u8], len: usize, what: &'static str) -> Result<Reader<'a>, FormatError> {
    let mut reader = Reader::new(bytes, what);
    let body = reader.take(len - 4)?;
    match reader.u32()? == crc::crc32c(body) {
        true => Ok(Reader::new(body, what)),
        false => Err(FormatError::Checksum { what }),
    }
}

fn check_kind(kind: u8) -> Result<(), FormatError> {
    match kind == Kind::Segment as u8 {
        true => Ok(()),
        false => Err(FormatError::Value {
            what: "Kind of a segment",
        }),
    }
}
