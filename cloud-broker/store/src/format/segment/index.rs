//! The sparse index of one partition of a segment: one entry a block.

use bytes::Bytes;
use headwater_broker_core::bloom;
use headwater_wire::crc;

use super::{Footer, FormatError, HEADER_BYTES, Run, SEGMENT_BYTES_MAX};
use crate::format::chunk::FRAME_BYTES_MAX;
use crate::format::coding::{Reader, put_delta, put_varint};

/// Fewest bytes of one block: 9 varints.
const BLOCK_BYTES_MIN: usize = 9;
/// Longest block, head and table included: one batch of the largest size.
const LEN_MAX: u64 = 2 * FRAME_BYTES_MAX;
/// What errors call it.
const WHAT: &str = "segment index";

/// Where the blocks of one partition lie, in order of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunIndex {
    /// At least one.
    pub blocks: Vec<Block>,
}

/// What the index says of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// First byte in the object: the block's head.
    pub pos: u64,
    /// Bytes of the block, head and table included.
    pub len: u32,
    /// Offset of its first record.
    pub from: i64,
    /// Offset behind its last.
    pub to: i64,
    /// Number of batches.
    pub batches: u32,
    /// Largest record timestamp in this and all earlier blocks of the run, ms.
    pub timestamp_so_far: i64,
    /// Smallest arrival time, ms.
    pub arrival_ms_min: i64,
    /// Largest arrival time, ms.
    pub arrival_ms_max: i64,
    /// The different topic filters of its batches ([`bloom`]), in order of first use. The block's
    /// table refers to them by number, from 1.
    pub filters: Vec<Bytes>,
    /// Every batch has a filter. Else the block must be read by whoever looks for a topic.
    pub filtered: bool,
}

impl Block {
    /// Whether the block may hold the topic, or a topic below the prefix, of this
    /// [`bloom::hash`].
    pub fn may_contain(&self, hash: u64) -> bool {
        let found = |filter: &Bytes| bloom::may_contain(filter, hash);
        !self.filtered || self.filters.iter().any(found)
    }

    /// First byte behind the block.
    pub fn end(&self) -> u64 {
        self.pos.saturating_add(self.len.into())
    }
}

impl RunIndex {
    /// The block that holds `offset`, or else the next one, and all that follow.
    pub fn from_offset(&self, offset: i64) -> &[Block] {
        let at = self.blocks.partition_point(|block| block.to <= offset);
        &self.blocks[at..]
    }

    /// The block that holds the first record with at least this timestamp, ms, and all that
    /// follow.
    pub fn from_time(&self, timestamp: i64) -> &[Block] {
        let before = |block: &Block| block.timestamp_so_far < timestamp;
        &self.blocks[self.blocks.partition_point(before)..]
    }

    /// Bytes in memory, about.
    pub fn memory_bytes(&self) -> usize {
        let filters = |block: &Block| {
            let bytes = block.filters.iter().map(Bytes::len).sum::<usize>();
            bytes + block.filters.capacity() * size_of::<Bytes>()
        };
        self.blocks.capacity() * size_of::<Block>() + self.blocks.iter().map(filters).sum::<usize>()
    }

    /// Reads and checks the index of `run`, in a segment that ends with `footer`.
    pub fn decode(bytes: &Bytes, run: &Run, footer: &Footer) -> Result<Self, FormatError> {
        if bytes.len() as u64 != u64::from(run.index_len) || crc::crc32c(bytes) != run.index_crc {
            return Err(FormatError::Checksum { what: WHAT });
        }
        let mut reader = Reader::new(bytes, WHAT);
        let announced = run.blocks as usize;
        let mut blocks: Vec<Block> =
            Vec::with_capacity(announced.min(reader.remaining() / BLOCK_BYTES_MIN));
        for _ in 0..announced {
            let block = read_block(&mut reader, bytes, blocks.last())?;
            check(block.end() <= footer.blocks_end && u64::from(block.len) <= LEN_MAX)?;
            blocks.push(block);
        }
        reader.finish()?;
        let ends =
            [blocks.first(), blocks.last()].map(|end| end.map(|block| (block.from, block.to)));
        check(
            matches!(ends, [Some((from, _)), Some((_, to))] if from == run.from && to == run.to),
        )?;
        Ok(Self { blocks })
    }
}

/// Appends what the index says of `block`, which follows `before`.
pub fn encode_block(out: &mut Vec<u8>, before: Option<&Block>, block: &Block) {
    let last = before.map(Before::of).unwrap_or_default();
    put_varint(out, block.pos.wrapping_sub(last.end));
    put_varint(out, block.len.into());
    put_varint(out, block.from.wrapping_sub(last.to).cast_unsigned());
    put_varint(out, block.to.wrapping_sub(block.from).cast_unsigned());
    put_varint(out, block.batches.into());
    put_delta(out, last.timestamp_so_far, block.timestamp_so_far);
    put_delta(out, last.arrival_ms, block.arrival_ms_min);
    put_delta(out, block.arrival_ms_min, block.arrival_ms_max);
    put_varint(
        out,
        2 * block.filters.len() as u64 + u64::from(block.filtered),
    );
    for filter in &block.filters {
        put_varint(out, filter.len() as u64);
        out.extend_from_slice(filter);
    }
}

/// What the next block is written relative to.
#[derive(Default)]
struct Before {
    end: u64,
    to: i64,
    timestamp_so_far: i64,
    arrival_ms: i64,
}

impl Before {
    fn of(block: &Block) -> Self {
        Self {
            end: block.end(),
            to: block.to,
            timestamp_so_far: block.timestamp_so_far,
            arrival_ms: block.arrival_ms_min,
        }
    }
}

fn read_block(
    reader: &mut Reader<'_>,
    bytes: &Bytes,
    before: Option<&Block>,
) -> Result<Block, FormatError> {
    let last = before.map(Before::of).unwrap_or_default();
    let pos = last.end.checked_add(reader.varint()?);
    let pos = pos.filter(|pos| (HEADER_BYTES as u64..SEGMENT_BYTES_MAX).contains(pos));
    let len = reader.varint_as()?;
    let from = add(last.to, reader.varint_as()?)?;
    let to = add(from, reader.varint_as()?)?;
    let batches = reader.varint_as()?;
    let timestamp_so_far = reader.delta(last.timestamp_so_far)?;
    let arrival_ms_min = reader.delta(last.arrival_ms)?;
    let arrival_ms_max = reader.delta(arrival_ms_min)?;
    let announced = reader.varint()?;
    let block = Block {
        pos: pos.ok_or(FormatError::Value { what: WHAT })?,
        len,
        from,
        to,
        batches,
        timestamp_so_far,
        arrival_ms_min,
        arrival_ms_max,
        filters: read_filters(reader, bytes, announced / 2)?,
        filtered: announced % 2 == 1,
    };
    let rises = before.is_none_or(|before| before.timestamp_so_far <= timestamp_so_far);
    check(rises && to > from && arrival_ms_min <= arrival_ms_max)?;
    Ok(block)
}

fn read_filters(
    reader: &mut Reader<'_>,
    bytes: &Bytes,
    announced: u64,
) -> Result<Vec<Bytes>, FormatError> {
    let mut filters = Vec::new();
    for _ in 0..announced {
        let len: usize = reader.varint_as()?;
        check((1..=usize::from(u16::MAX)).contains(&len))?;
        filters.push(bytes.slice_ref(reader.take(len)?));
    }
    Ok(filters)
}

fn add(number: i64, more: i64) -> Result<i64, FormatError> {
    number
        .checked_add(more)
        .ok_or(FormatError::Value { what: WHAT })
}

fn check(holds: bool) -> Result<(), FormatError> {
    match holds {
        true => Ok(()),
        false => Err(FormatError::Value { what: WHAT }),
    }
}
