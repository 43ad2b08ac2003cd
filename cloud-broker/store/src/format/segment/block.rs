//! A block of a segment: batches of one partition, and a table of what their headers do not say.

mod salvage;

use std::ops::Range;

use bytes::Bytes;
use headwater_broker_core::Entry;
use headwater_wire::batch::Header as BatchHeader;
use headwater_wire::crc;

use super::{Block, FormatError, Run, RunId, checked};
use crate::format::coding::{Reader, put_delta, put_varint};

/// First bytes of every block.
pub const MAGIC: [u8; 4] = *b"HWSB";
/// Bytes of a block's head.
pub const HEAD_BYTES: usize = 56;
/// Fewest bytes of one row of the table: 5 varints.
const ROW_BYTES_MIN: usize = 5;

/// The first 56 bytes of a block, verified: enough to find it without any index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Partition of all its batches.
    pub id: RunId,
    /// Offset of its first record.
    pub from: i64,
    /// Number of batches.
    pub batches: u32,
    /// Bytes of the table, which follows the head.
    pub table_len: u32,
    /// CRC-32C of the table.
    pub table_crc: u32,
    /// Bytes of the batches, which follow the table.
    pub data_len: u32,
    /// CRC-32C of the batches.
    pub data_crc: u32,
}

/// What the table says of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Number of offsets that it takes.
    pub count: u32,
    /// Bytes.
    pub len: u32,
    /// When it came, ms.
    pub arrival_ms: i64,
    /// Which filter of the block tells its topics, from 1; 0 if they are not known.
    pub filter: u32,
}

/// A batch of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentBatch {
    /// As parsed from `bytes`.
    pub header: BatchHeader,
    /// When it came, ms.
    pub arrival_ms: i64,
    /// Bloom filter of its topics; empty = not known.
    pub topics: Bytes,
    /// As stored: base offset and leader epoch are in it.
    pub bytes: Bytes,
}

/// What could be read of a block, in order of offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Whole batches.
    pub batches: Vec<SegmentBatch>,
    /// Offsets of those that are damaged.
    pub lost: Vec<Range<i64>>,
}

impl SegmentBatch {
    /// Offset of the first record.
    pub fn base_offset(&self) -> i64 {
        self.header.base_offset
    }

    /// The offset that follows the last record.
    pub fn end_offset(&self) -> i64 {
        self.header.last_offset().saturating_add(1)
    }

    /// All that an index says of the batch, for writing it into another segment; `pos` is 0.
    pub fn entry(&self, shard: u32, id: RunId) -> Entry {
        let mut entry = Entry {
            shard,
            epoch: self.header.leader_epoch.cast_unsigned(),
            topic: id.topic,
            partition: id.partition,
            base_offset: self.header.base_offset,
            count: self
                .header
                .last_offset_delta
                .cast_unsigned()
                .saturating_add(1),
            pos: 0,
            len: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
            max_timestamp: 0,
            arrival_ms: self.arrival_ms,
            producer_id: 0,
            producer_epoch: 0,
            base_sequence: 0,
            attributes: 0,
            batch_crc: 0,
            topics: self.topics.to_vec(),
        };
        entry.describe(&self.header);
        entry
    }
}

impl Head {
    /// Bytes of the whole block.
    pub fn block_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.table_len) + u64::from(self.data_len)
    }

    /// Reads and verifies the first 56 of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let what = "block head";
        let mut reader = checked(bytes, HEAD_BYTES, what)?;
        if reader.array::<4>()? != MAGIC {
            return Err(FormatError::Magic { what });
        }
        let head = Self {
            id: RunId {
                topic: reader.array()?,
                partition: reader.u32()?,
            },
            from: reader.u64()?.cast_signed(),
            batches: reader.u32()?,
            table_len: reader.u32()?,
            table_crc: reader.u32()?,
            data_len: reader.u32()?,
            data_crc: reader.u32()?,
        };
        match head.from >= 0 && head.batches > 0 {
            true => Ok(head),
            false => Err(FormatError::Value { what }),
        }
    }

    /// The rows of `table`, the `table_len` bytes behind the head: in order of offsets, and as long
    /// together as the batches.
    pub fn decode_table(&self, table: &[u8]) -> Result<Vec<Row>, FormatError> {
        let what = "block table";
        if table.len() as u64 != u64::from(self.table_len) || crc::crc32c(table) != self.table_crc {
            return Err(FormatError::Checksum { what });
        }
        let mut reader = Reader::new(table, what);
        let announced = self.batches as usize;
        let mut rows: Vec<Row> =
            Vec::with_capacity(announced.min(reader.remaining() / ROW_BYTES_MIN));
        let [mut next_offset, mut arrival_ms] = [self.from, 0];
        let mut bytes = 0_u64;
        for _ in 0..announced {
            let row = read_row(&mut reader, next_offset, arrival_ms)?;
            bytes += u64::from(row.len);
            next_offset = row.end_offset();
            arrival_ms = row.arrival_ms;
            rows.push(row);
        }
        reader.finish()?;
        let begins = rows.first().is_some_and(|row| row.base_offset == self.from);
        match begins && bytes == u64::from(self.data_len) {
            true => Ok(rows),
            false => Err(FormatError::Value { what }),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.table_len as usize);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.id.topic);
        out.extend_from_slice(&self.id.partition.to_le_bytes());
        out.extend_from_slice(&self.from.to_le_bytes());
        let numbers = [self.batches, self.table_len, self.table_crc];
        for number in numbers.into_iter().chain([self.data_len, self.data_crc]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// Head and table of a block whose batches are `data`, end to end, as `rows` say.
pub fn encode(id: RunId, rows: &[Row], data: &[u8]) -> Result<Vec<u8>, FormatError> {
    let mut table = Vec::with_capacity(rows.len() * 8);
    let from = rows.first().map_or(0, |row| row.base_offset);
    let [mut next_offset, mut arrival_ms] = [from, 0];
    for row in rows {
        put_delta(&mut table, next_offset, row.base_offset);
        put_varint(&mut table, row.count.into());
        put_varint(&mut table, row.len.into());
        put_delta(&mut table, arrival_ms, row.arrival_ms);
        put_varint(&mut table, row.filter.into());
        next_offset = row.end_offset();
        arrival_ms = row.arrival_ms;
    }
    let head = Head {
        id,
        from,
        batches: length(rows.len())?,
        table_len: length(table.len())?,
        table_crc: crc::crc32c(&table),
        data_len: length(data.len())?,
        data_crc: crc::crc32c(data),
    };
    let mut out = head.encode();
    out.extend_from_slice(&table);
    Ok(out)
}

/// Reads the block that `block` of `run` tells of, from `bytes`, which may be cut or damaged. A
/// damaged batch costs itself alone, as long as there is but one damage in the block; what is
/// given was verified.
pub fn open(bytes: &Bytes, run: &Run, block: &Block) -> Opened {
    match intact(bytes, run.id, block) {
        Ok(batches) => Opened {
            batches,
            lost: Vec::new(),
        },
        Err(_) => salvage::open(bytes, run, block),
    }
}

/// Reads a block of which no index tells, at `pos` in its object: what an index would say, without
/// topics, and its batches. All of it must be right.
pub fn alone(bytes: &Bytes, pos: u64) -> Result<(Block, Vec<SegmentBatch>), FormatError> {
    let head = Head::decode(bytes)?;
    let table_end = HEAD_BYTES.saturating_add(head.table_len as usize);
    let rows = head.decode_table(bytes.get(HEAD_BYTES..table_end).unwrap_or_default())?;
    let arrivals = || rows.iter().map(|row| row.arrival_ms);
    let mut block = Block {
        pos,
        len: length(bytes.len())?,
        from: head.from,
        to: rows.last().map_or(head.from, Row::end_offset),
        batches: head.batches,
        timestamp_so_far: 0,
        arrival_ms_min: arrivals().min().unwrap_or_default(),
        arrival_ms_max: arrivals().max().unwrap_or_default(),
        filters: Vec::new(),
        filtered: false,
    };
    let batches = intact(bytes, head.id, &block)?;
    let timestamps = batches.iter().map(|batch| batch.header.max_timestamp);
    block.timestamp_so_far = timestamps.max().unwrap_or_default();
    Ok((block, batches))
}

/// All batches of a block whose checksums are right.
fn intact(bytes: &Bytes, id: RunId, block: &Block) -> Result<Vec<SegmentBatch>, FormatError> {
    let (rows, data) = parts(bytes, id, block)?;
    let mut rest = data;
    let mut batches = Vec::with_capacity(rows.len());
    for row in &rows {
        let bytes = rest.split_to((row.len as usize).min(rest.len()));
        let header = row
            .header(&bytes)
            .ok_or(FormatError::Value { what: "block" })?;
        batches.push(row.batch(header, bytes, block));
    }
    match batches
        .last()
        .is_some_and(|last| last.end_offset() == block.to)
    {
        true => Ok(batches),
        false => Err(FormatError::Value { what: "block" }),
    }
}

/// Table and batches, their checksums compared.
fn parts(bytes: &Bytes, id: RunId, block: &Block) -> Result<(Vec<Row>, Bytes), FormatError> {
    let what = "block";
    let (head, rows) = table(bytes, id, block)?;
    let data_pos = HEAD_BYTES + head.table_len as usize;
    let data = bytes.slice(data_pos.min(bytes.len())..);
    match data.len() as u64 == u64::from(head.data_len) && crc::crc32c(&data) == head.data_crc {
        true => Ok((rows, data)),
        false => Err(FormatError::Checksum { what }),
    }
}

/// Head and table, verified, of the block that the index means.
fn table(bytes: &[u8], id: RunId, block: &Block) -> Result<(Head, Vec<Row>), FormatError> {
    let head = Head::decode(bytes)?;
    let table_end = HEAD_BYTES.saturating_add(head.table_len as usize);
    let meant = head.id == id
        && (head.from, head.batches) == (block.from, block.batches)
        && head.block_bytes() == u64::from(block.len);
    let table = bytes.get(HEAD_BYTES..table_end);
    let (true, Some(table)) = (meant, table) else {
        return Err(FormatError::Value { what: "block" });
    };
    Ok((head, head.decode_table(table)?))
}

impl Row {
    /// The offset that follows.
    pub fn end_offset(&self) -> i64 {
        self.base_offset.saturating_add(self.count.into())
    }

    /// The header of `bytes` if it is what the row says.
    fn header(&self, bytes: &[u8]) -> Option<BatchHeader> {
        let header = BatchHeader::parse_exact(bytes).ok()?;
        let count = i64::from(header.last_offset_delta) + 1;
        let fits = header.base_offset == self.base_offset && count == i64::from(self.count);
        fits.then_some(header)
    }

    fn batch(&self, header: BatchHeader, bytes: Bytes, block: &Block) -> SegmentBatch {
        let filter = (self.filter as usize).checked_sub(1);
        let topics = filter.and_then(|at| block.filters.get(at));
        SegmentBatch {
            header,
            arrival_ms: self.arrival_ms,
            topics: topics.cloned().unwrap_or_default(),
            bytes,
        }
    }
}

fn read_row(reader: &mut Reader<'_>, next_offset: i64, arrival: i64) -> Result<Row, FormatError> {
    let row = Row {
        base_offset: reader.delta(next_offset)?,
        count: reader.varint_as()?,
        len: reader.varint_as()?,
        arrival_ms: reader.delta(arrival)?,
        filter: reader.varint_as()?,
    };
    let end = row.base_offset.checked_add(row.count.into());
    match row.base_offset >= next_offset && row.count > 0 && end.is_some() {
        true => Ok(row),
        false => Err(FormatError::Value {
            what: "block table",
        }),
    }
}

fn length(bytes: usize) -> Result<u32, FormatError> {
    u32::try_from(bytes).map_err(|_| FormatError::TooLarge {
        what: "block",
        found: bytes as u64,
        max: u32::MAX.into(),
    })
}
