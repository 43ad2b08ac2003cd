//! Reading what is not in memory: from a segment, or behind the segments from a journal.
//!
//! A batch may move from its journal into a segment, or from one segment into another, while it is
//! being read. Then it is not where it was looked for, and is looked for again. What is there and
//! cannot be read is passed over; the loss shows in the offsets, in the log and in the metrics.

use bytes::Bytes;
use headwater_broker_core::PartitionId;
use headwater_broker_core::segments::Run;
use headwater_broker_core::tail_index::Indexed;
use headwater_store::ErrorKind;
use headwater_store::segment::{Found as InSegment, RunId, SegmentBatch};

use super::{JournalBatch, StoredBatch, read_together};
use crate::backend::Backend;
use crate::backend::error::ReadError;
use crate::backend::table::Found;

/// See [`Backend::read`].
pub(super) fn read(
    backend: &Backend,
    partition: PartitionId,
    offset: i64,
    bytes_max: usize,
) -> Result<Vec<StoredBatch>, ReadError> {
    let mut next = offset;
    let mut moved_from: Option<Found> = None;
    loop {
        let found = backend.with_cell(partition, |cell| cell.find(next, bytes_max))??;
        let part = match &found {
            Found::Recent(batches) => return Ok(batches.clone()),
            Found::Journal(batches) => from_journal(backend, partition, batches)?,
            Found::Segment(run) => from_segment(backend, partition, run, next, bytes_max)?,
        };
        match part {
            Part::Batches(batches) => {
                let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
                let counter = &backend.shared.options.metrics.store_read_bytes;
                counter.add(bytes as u64);
                return Ok(batches);
            }
            Part::Lost(end) => next = end.max(next),
            // It has not moved, it is missing.
            Part::Moved if moved_from.is_some_and(|before| before.is_same(&found)) => {
                let end = found.end().max(next);
                backend.shared.lose(partition, next..end, &"its place");
                next = end;
                moved_from = None;
            }
            Part::Moved => moved_from = Some(found),
        }
    }
}

/// The batch where `found` says that a record of at least this timestamp may be, and the offset
/// behind what was looked at.
pub(super) fn first_at(
    backend: &Backend,
    partition: PartitionId,
    found: &Found,
    timestamp: i64,
    offset: i64,
) -> Result<(Option<StoredBatch>, i64), ReadError> {
    let run = match found {
        Found::Recent(_) => return Ok((None, offset)),
        Found::Journal(batches) => {
            let Some(batch) = batches.first() else {
                return Ok((None, offset));
            };
            let read = read(backend, partition, batch.base_offset.max(offset), 0)?;
            let first = read.into_iter().next();
            let end = match &first {
                Some(first) => first.last_offset.saturating_add(1),
                None => batch.end_offset(),
            };
            return Ok((first, end));
        }
        Found::Segment(run) => run,
    };
    let Some(id) = run_id(backend, partition) else {
        return Err(ReadError::NoPartition);
    };
    let segment = backend
        .shared
        .segments
        .open(&run.segment.name, run.segment.bytes);
    let batch = match segment.and_then(|segment| segment.first_at(id, timestamp)) {
        Ok(batch) => batch,
        // It was merged away: look again from the same place.
        Err(error) if error.kind == ErrorKind::NotFound => {
            let now = backend.with_cell(partition, |cell| cell.first_at(timestamp, offset))??;
            let is_missing = now.is_some_and(|now| now.is_same(found));
            return Ok((None, if is_missing { run.end } else { offset }));
        }
        Err(error) if error.kind == ErrorKind::Damaged => None,
        Err(error) => return Err(error.into()),
    };
    match batch.filter(|batch| batch.end_offset() > offset) {
        Some(batch) => {
            let end = batch.end_offset();
            Ok((Some(stored(batch)), end))
        }
        None => Ok((None, run.end)),
    }
}

/// What one look has given.
enum Part {
    /// At least one.
    Batches(Vec<StoredBatch>),
    /// All that was looked at, up to this offset, cannot be read.
    Lost(i64),
    /// It is somewhere else now.
    Moved,
}

fn from_journal(
    backend: &Backend,
    partition: PartitionId,
    batches: &[Indexed],
) -> Result<Part, ReadError> {
    let shared = &backend.shared;
    let mut whole = Vec::with_capacity(batches.len());
    let mut lost = None;
    let mut moved = false;
    read_together(
        &*shared.store.slots,
        &shared.incarnations,
        batches,
        |batch, read| {
            match read {
                JournalBatch::Whole(header, bytes) if !moved => whole.push(StoredBatch {
                    base_offset: batch.base_offset,
                    last_offset: batch.end_offset() - 1,
                    arrival_ms: batch.arrival_ms,
                    max_timestamp: header.max_timestamp,
                    bytes,
                    topics: Bytes::new(),
                }),
                JournalBatch::Damaged if !moved => {
                    shared.lose(
                        partition,
                        batch.base_offset..batch.end_offset(),
                        &"a journal",
                    );
                    lost = Some(batch.end_offset());
                }
                // What comes before it can be given; the rest is read with the next call.
                JournalBatch::Whole(..) | JournalBatch::Damaged | JournalBatch::Moved => {
                    moved = true;
                }
            }
            Ok(())
        },
    )?;
    Ok(match (whole.is_empty(), lost, moved) {
        (false, _, _) => Part::Batches(whole),
        (true, Some(end), _) => Part::Lost(end),
        (true, None, _) => Part::Moved,
    })
}

fn from_segment(
    backend: &Backend,
    partition: PartitionId,
    run: &Run,
    offset: i64,
    bytes_max: usize,
) -> Result<Part, ReadError> {
    let id = run_id(backend, partition).ok_or(ReadError::NoPartition)?;
    let shared = &backend.shared;
    let segment = shared.segments.open(&run.segment.name, run.segment.bytes);
    let read = match segment.and_then(|segment| segment.read(id, offset, bytes_max)) {
        Ok(read) => read,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(Part::Moved),
        Err(error) if error.kind == ErrorKind::Damaged => {
            shared.lose(partition, offset.max(run.from)..run.end, &error);
            return Ok(Part::Lost(run.end));
        }
        Err(error) => return Err(error.into()),
    };
    let InSegment { batches, lost } = read;
    for lost in &lost {
        shared.lose(partition, lost.from..lost.to, &lost.place);
    }
    if batches.is_empty() {
        return Ok(Part::Lost(lost.last().map_or(run.end, |lost| lost.to)));
    }
    Ok(Part::Batches(batches.into_iter().map(stored).collect()))
}

fn stored(batch: SegmentBatch) -> StoredBatch {
    StoredBatch {
        base_offset: batch.base_offset(),
        last_offset: batch.end_offset() - 1,
        arrival_ms: batch.arrival_ms,
        max_timestamp: batch.header.max_timestamp,
        bytes: batch.bytes,
        topics: batch.topics,
    }
}

/// How a segment names the partition.
fn run_id(backend: &Backend, partition: PartitionId) -> Option<RunId> {
    let (topic, partition) = backend.shared.catalog.load().owner(partition)?;
    Some(RunId { topic, partition })
}
