//! Takes a damaged block apart: every batch is verified by itself.

use std::ops::Range;

use bytes::Bytes;
use headwater_wire::batch::{self, HEADER_BYTES, Header as BatchHeader};

use super::{Block, HEAD_BYTES, Head, Opened, Row, Run, SegmentBatch, table};

/// What is whole in a block where something is not.
pub(super) fn open(bytes: &Bytes, run: &Run, block: &Block) -> Opened {
    match table(bytes, run.id, block) {
        Ok((head, rows)) => by_table(bytes, run, block, data_pos(&head), &rows),
        Err(_) => by_walking(bytes, run, block),
    }
}

/// The table tells where each batch lies.
fn by_table(bytes: &Bytes, run: &Run, block: &Block, data_pos: usize, rows: &[Row]) -> Opened {
    let mut opened = Opened::default();
    let mut pos = data_pos;
    for row in rows {
        let end = pos.saturating_add(row.len as usize);
        let found = (end <= bytes.len()).then(|| bytes.slice(pos..end));
        let verified = found.and_then(|bytes| {
            let header = row
                .header(&bytes)
                .filter(|header| verify(&bytes, header, run))?;
            Some(row.batch(header, bytes, block))
        });
        match verified {
            Some(batch) => opened.batches.push(batch),
            None => {
                lose(
                    &mut opened.lost,
                    row.base_offset..row.end_offset().min(block.to),
                );
            }
        }
        pos = end;
    }
    opened
}

/// Without a table batches are read one after the other until one is damaged. When each came is
/// not known, but not before the block's first.
fn by_walking(bytes: &Bytes, run: &Run, block: &Block) -> Opened {
    let mut opened = Opened::default();
    let mut next_offset = block.from;
    let mut rest = match first_batch(bytes, run, block) {
        Some(pos) => bytes.slice(pos..),
        None => Bytes::new(),
    };
    while let Some(header) = whole_at(&rest, run, next_offset..block.to) {
        let bytes = rest.split_to(header.total_bytes());
        next_offset = header.last_offset().saturating_add(1);
        opened.batches.push(SegmentBatch {
            header,
            arrival_ms: block.arrival_ms_min,
            topics: Bytes::new(),
            bytes,
        });
    }
    if next_offset < block.to {
        lose(&mut opened.lost, next_offset..block.to);
    }
    opened
}

/// Where the batches begin: behind the table, whose length only the head tells. Where that is
/// damaged the first batch is looked for.
fn first_batch(bytes: &[u8], run: &Run, block: &Block) -> Option<usize> {
    if let Ok(head) = Head::decode(bytes) {
        return Some(data_pos(&head)).filter(|pos| *pos <= bytes.len());
    }
    let offset = block.from.to_be_bytes();
    let last = bytes.len().checked_sub(HEADER_BYTES)?;
    let begins = |pos: &usize| bytes[*pos..].starts_with(&offset);
    (HEAD_BYTES..=last)
        .filter(begins)
        .find(|pos| whole_at(&bytes[*pos..], run, block.from..block.to).is_some())
}

/// The header of a verified batch at the front of `bytes` that takes no offset but these.
fn whole_at(bytes: &[u8], run: &Run, offsets: Range<i64>) -> Option<BatchHeader> {
    let header = BatchHeader::parse(bytes).ok()?;
    let within = header.base_offset >= offsets.start
        && header.last_offset_delta >= 0
        && header.last_offset() < offsets.end;
    (within && verify(bytes, &header, run)).then_some(header)
}

/// The batch's own checksum covers all but base offset, length and leader epoch: the first two
/// were compared by the caller, the directory knows the last.
fn verify(bytes: &[u8], header: &BatchHeader, run: &Run) -> bool {
    let epoch = run.epoch_at(header.base_offset);
    epoch == Some(header.leader_epoch.cast_unsigned()) && batch::check_crc(bytes, header).is_ok()
}

fn data_pos(head: &Head) -> usize {
    HEAD_BYTES.saturating_add(head.table_len as usize)
}

/// Ranges that touch become one.
fn lose(lost: &mut Vec<Range<i64>>, offsets: Range<i64>) {
    match lost.last_mut() {
        Some(last) if last.end == offsets.start => last.end = offsets.end,
        _ => lost.push(offsets),
    }
}
