//! The index of a chunk: a table of topics, then the entries, each as differences from the one
//! before it.

use headwater_broker_core::Entry;

use super::FormatError;
use crate::format::coding::{Reader, put_delta, put_varint};

/// Fewest bytes of one entry: 14 varints and a checksum.
const ENTRY_BYTES_MIN: usize = 18;
/// Longest topic filter of a batch, bytes.
const TOPICS_BYTES_MAX: usize = u16::MAX as usize;

/// Appends the index of `entries`, sorted, to `out`.
pub(super) fn encode_into(
    entries: &[Entry],
    payload_len: u32,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (entry.shard, entry.topic, entry.partition, entry.base_offset));
    let mut topics: Vec<[u8; 16]> = sorted.iter().map(|entry| entry.topic).collect();
    topics.sort_unstable();
    topics.dedup();
    put_varint(out, topics.len() as u64);
    topics.iter().for_each(|topic| out.extend_from_slice(topic));
    let mut before = Before::default();
    for entry in sorted {
        check(entry, payload_len)?;
        // Every topic is in the table, so this is its place there.
        let topic = topics.partition_point(|topic| *topic < entry.topic);
        before = put_entry(out, &before, entry, topic as u64);
    }
    Ok(())
}

/// Reads `batches` entries and nothing else.
pub(super) fn decode(
    index: &[u8],
    batches: u32,
    payload_len: u32,
) -> Result<Vec<Entry>, FormatError> {
    let mut reader = Reader::new(index, "Chunk index");
    let topics = decode_topics(&mut reader)?;
    let announced = batches as usize;
    let mut entries = Vec::with_capacity(announced.min(reader.remaining() / ENTRY_BYTES_MIN));
    let mut before = Before::default();
    for _ in 0..announced {
        let (entry, topic) = decode_entry(&mut reader, &before, topics)?;
        check(&entry, payload_len)?;
        before = Before::of(&entry, topic);
        entries.push(entry);
    }
    reader.finish()?;
    Ok(entries)
}

/// What the next entry is written relative to.
#[derive(Default)]
struct Before {
    shard: i64,
    epoch: i64,
    topic: i64,
    partition: i64,
    next_offset: i64,
    next_pos: i64,
    max_timestamp: i64,
    arrival_ms: i64,
    producer_id: i64,
    producer_epoch: i64,
    base_sequence: i64,
}

impl Before {
    /// `entry` has been checked, so these sums cannot overflow; wrapping says so to the compiler.
    fn of(entry: &Entry, topic: i64) -> Self {
        Self {
            shard: entry.shard.into(),
            epoch: entry.epoch.into(),
            topic,
            partition: entry.partition.into(),
            next_offset: entry.base_offset.wrapping_add(entry.count.into()),
            next_pos: i64::from(entry.pos) + i64::from(entry.len),
            max_timestamp: entry.max_timestamp,
            arrival_ms: entry.arrival_ms,
            producer_id: entry.producer_id,
            producer_epoch: entry.producer_epoch.into(),
            base_sequence: entry.base_sequence.into(),
        }
    }
}

fn put_entry(out: &mut Vec<u8>, before: &Before, entry: &Entry, topic: u64) -> Before {
    let topic = topic.cast_signed();
    put_delta(out, before.shard, entry.shard.into());
    put_delta(out, before.epoch, entry.epoch.into());
    put_delta(out, before.topic, topic);
    put_delta(out, before.partition, entry.partition.into());
    put_delta(out, before.next_offset, entry.base_offset);
    put_varint(out, entry.count.into());
    put_delta(out, before.next_pos, entry.pos.into());
    put_varint(out, entry.len.into());
    put_delta(out, before.max_timestamp, entry.max_timestamp);
    put_delta(out, before.arrival_ms, entry.arrival_ms);
    put_delta(out, before.producer_id, entry.producer_id);
    put_delta(out, before.producer_epoch, entry.producer_epoch.into());
    put_delta(out, before.base_sequence, entry.base_sequence.into());
    put_varint(out, entry.attributes.into());
    out.extend_from_slice(&entry.batch_crc.to_le_bytes());
    put_varint(out, entry.topics.len() as u64);
    out.extend_from_slice(&entry.topics);
    Before::of(entry, topic)
}

fn decode_entry(
    reader: &mut Reader<'_>,
    before: &Before,
    topics: &[[u8; 16]],
) -> Result<(Entry, i64), FormatError> {
    let shard = reader.delta_as(before.shard)?;
    let epoch = reader.delta_as(before.epoch)?;
    let topic: usize = reader.delta_as(before.topic)?;
    let entry = Entry {
        shard,
        epoch,
        topic: *topics.get(topic).ok_or(FormatError::Value {
            what: "Topic of a batch",
        })?,
        partition: reader.delta_as(before.partition)?,
        base_offset: reader.delta(before.next_offset)?,
        count: reader.varint_as()?,
        pos: reader.delta_as(before.next_pos)?,
        len: reader.varint_as()?,
        max_timestamp: reader.delta(before.max_timestamp)?,
        arrival_ms: reader.delta(before.arrival_ms)?,
        producer_id: reader.delta(before.producer_id)?,
        producer_epoch: reader.delta_as(before.producer_epoch)?,
        base_sequence: reader.delta_as(before.base_sequence)?,
        attributes: reader.varint_as()?,
        batch_crc: reader.u32()?,
        topics: decode_filter(reader)?,
    };
    Ok((entry, topic as i64))
}

fn decode_topics<'a>(reader: &mut Reader<'a>) -> Result<&'a [[u8; 16]], FormatError> {
    let count: usize = reader.varint_as()?;
    let bytes = count.checked_mul(16).ok_or(FormatError::Value {
        what: "Topics of a chunk",
    })?;
    Ok(reader.take(bytes)?.as_chunks().0)
}

fn decode_filter(reader: &mut Reader<'_>) -> Result<Vec<u8>, FormatError> {
    let bytes: u16 = reader.varint_as()?;
    Ok(reader.take(bytes.into())?.to_vec())
}

/// What holds for every batch, written or read.
fn check(entry: &Entry, payload_len: u32) -> Result<(), FormatError> {
    let end = u64::from(entry.pos) + u64::from(entry.len);
    let next = entry.base_offset.checked_add(entry.count.into());
    let what = if end > payload_len.into() {
        "Place of a batch in its chunk"
    } else if entry.count == 0 {
        "A batch without records"
    } else if entry.base_offset < 0 || next.is_none() {
        "Offset of a batch"
    } else if entry.topics.len() > TOPICS_BYTES_MAX {
        "Topic filter of a batch"
    } else {
        return Ok(());
    };
    Err(FormatError::Value { what })
}
