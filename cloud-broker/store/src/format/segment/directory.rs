//! The directory of a segment: what it holds of each partition, and where the index lies.

use headwater_broker_core::StreamId;

use super::{Footer, FormatError, INDEX_BYTES_MAX, RunId};
use crate::format::coding::{Reader, put_delta, put_varint};

/// Fewest bytes of one run: 14 varints and a checksum, and one epoch.
const RUN_BYTES_MIN: usize = 19;
/// What errors call it.
const WHAT: &str = "segment directory";

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// One for each partition, sorted by [`Run::id`].
    pub runs: Vec<Run>,
}

/// What a segment holds of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The partition.
    pub id: RunId,
    /// First offset.
    pub from: i64,
    /// Offset behind the last.
    pub to: i64,
    /// Number of batches.
    pub batches: u64,
    /// Number of records.
    pub records: u64,
    /// Bytes of all batches.
    pub bytes: u64,
    /// Largest record timestamp, ms.
    pub max_timestamp: i64,
    /// Smallest arrival time, ms.
    pub arrival_ms_min: i64,
    /// Largest arrival time, ms.
    pub arrival_ms_max: i64,
    /// Leader epochs, each with the offset of its first record; both rise, the first begins at
    /// `from`.
    pub epochs: Vec<Epoch>,
    /// Number of blocks.
    pub blocks: u32,
    /// First byte of the index in the object.
    pub index_pos: u64,
    /// Bytes of the index.
    pub index_len: u32,
    /// CRC-32C of the index.
    pub index_crc: u32,
}

/// A leader epoch within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its number.
    pub epoch: u32,
    /// Offset of its first record.
    pub from: i64,
}

impl Directory {
    /// Finds a partition.
    pub fn find(&self, id: RunId) -> Option<usize> {
        self.runs.binary_search_by_key(&id, |run| run.id).ok()
    }

    /// The bytes of the directory.
    pub fn encode(&self) -> Vec<u8> {
        let mut topics: Vec<StreamId> = self.runs.iter().map(|run| run.id.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        let mut out = Vec::new();
        put_varint(&mut out, topics.len() as u64);
        topics.iter().for_each(|topic| out.extend_from_slice(topic));
        let mut before = Before::default();
        for run in &self.runs {
            let topic = topics.partition_point(|topic| *topic < run.id.topic) as u64;
            before = put_run(&mut out, &before, run, topic.cast_signed());
        }
        out
    }

    /// Reads and checks the directory that `footer` names.
    pub fn decode(bytes: &[u8], footer: &Footer) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes, WHAT);
        let announced: usize = reader.varint_as()?;
        let topics = reader.take(announced.saturating_mul(size_of::<StreamId>()))?;
        let (topics, _) = topics.as_chunks::<16>();
        let announced = footer.runs as usize;
        let mut runs: Vec<Run> =
            Vec::with_capacity(announced.min(reader.remaining() / RUN_BYTES_MIN));
        let mut before = Before {
            index_end: footer.blocks_end,
            ..Before::default()
        };
        for _ in 0..announced {
            let (run, next) = read_run(&mut reader, &before, topics)?;
            let rises = runs.last().is_none_or(|last| last.id < run.id);
            let within = next.index_end <= footer.directory_pos;
            check(rises && within && run.index_len <= INDEX_BYTES_MAX)?;
            runs.push(run);
            before = next;
        }
        reader.finish()?;
        let blocks: u64 = runs.iter().map(|run| u64::from(run.blocks)).sum();
        check(blocks == u64::from(footer.blocks))?;
        Ok(Self { runs })
    }
}

impl Run {
    /// The leader epoch of the batch that begins at `offset`.
    pub fn epoch_at(&self, offset: i64) -> Option<u32> {
        let at = self.epochs.partition_point(|epoch| epoch.from <= offset);
        Some(self.epochs.get(at.checked_sub(1)?)?.epoch)
    }
}

/// What the next run is written relative to.
#[derive(Default)]
struct Before {
    topic: i64,
    partition: i64,
    max_timestamp: i64,
    arrival_ms: i64,
    index_end: u64,
}

impl Before {
    fn of(run: &Run, topic: i64) -> Self {
        Self {
            topic,
            partition: run.id.partition.into(),
            max_timestamp: run.max_timestamp,
            arrival_ms: run.arrival_ms_min,
            index_end: run.index_pos.saturating_add(run.index_len.into()),
        }
    }
}

fn put_run(out: &mut Vec<u8>, before: &Before, run: &Run, topic: i64) -> Before {
    put_delta(out, before.topic, topic);
    put_delta(out, before.partition, run.id.partition.into());
    put_varint(out, run.from.cast_unsigned());
    put_varint(out, run.to.wrapping_sub(run.from).cast_unsigned());
    put_varint(out, run.batches);
    put_varint(out, run.records);
    put_varint(out, run.bytes);
    put_delta(out, before.max_timestamp, run.max_timestamp);
    put_delta(out, before.arrival_ms, run.arrival_ms_min);
    put_delta(out, run.arrival_ms_min, run.arrival_ms_max);
    put_varint(out, run.blocks.into());
    put_varint(out, run.index_len.into());
    out.extend_from_slice(&run.index_crc.to_le_bytes());
    put_varint(out, run.epochs.len() as u64);
    let mut last = Epoch {
        epoch: 0,
        from: run.from,
    };
    for epoch in &run.epochs {
        put_varint(out, epoch.epoch.wrapping_sub(last.epoch).into());
        put_varint(out, epoch.from.wrapping_sub(last.from).cast_unsigned());
        last = *epoch;
    }
    Before::of(run, topic)
}

fn read_run(
    reader: &mut Reader<'_>,
    before: &Before,
    topics: &[StreamId],
) -> Result<(Run, Before), FormatError> {
    let topic: usize = reader.delta_as(before.topic)?;
    let id = RunId {
        topic: *topics.get(topic).ok_or(FormatError::Value { what: WHAT })?,
        partition: reader.delta_as(before.partition)?,
    };
    let from: i64 = reader.varint_as()?;
    let to = add(from, reader.varint_as()?)?;
    let [batches, records, bytes] = [reader.varint()?, reader.varint()?, reader.varint()?];
    let max_timestamp = reader.delta(before.max_timestamp)?;
    let arrival_ms_min = reader.delta(before.arrival_ms)?;
    let run = Run {
        id,
        from,
        to,
        batches,
        records,
        bytes,
        max_timestamp,
        arrival_ms_min,
        arrival_ms_max: reader.delta(arrival_ms_min)?,
        blocks: reader.varint_as()?,
        index_pos: before.index_end,
        index_len: reader.varint_as()?,
        index_crc: reader.u32()?,
        epochs: read_epochs(reader, from)?,
    };
    check(run.to > run.from && run.arrival_ms_min <= run.arrival_ms_max && run.blocks > 0)?;
    let topic = i64::try_from(topic).map_err(|_| FormatError::Value { what: WHAT })?;
    let next = Before::of(&run, topic);
    Ok((run, next))
}

fn read_epochs(reader: &mut Reader<'_>, from: i64) -> Result<Vec<Epoch>, FormatError> {
    let announced: usize = reader.varint_as()?;
    let mut epochs: Vec<Epoch> = Vec::with_capacity(announced.min(reader.remaining() / 2));
    let mut last = Epoch { epoch: 0, from };
    for at in 0..announced {
        let epoch = u64::from(last.epoch).checked_add(reader.varint()?);
        let epoch = epoch.and_then(|epoch| u32::try_from(epoch).ok());
        let next = Epoch {
            epoch: epoch.ok_or(FormatError::Value { what: WHAT })?,
            from: add(last.from, reader.varint_as()?)?,
        };
        check(match at {
            0 => next.from == from,
            _ => next.epoch > last.epoch && next.from > last.from,
        })?;
        epochs.push(next);
        last = next;
    }
    check(!epochs.is_empty())?;
    Ok(epochs)
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
