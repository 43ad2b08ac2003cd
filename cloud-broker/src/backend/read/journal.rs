//! Reading batches from journals: those that lie side by side in one read.

use std::ops::Range;

use bytes::Bytes;
use headwater_broker_core::tail_index::{Indexed, Place};
use headwater_store::traits::{Slot, Slots};
use headwater_store::{ErrorKind, Incarnation, READS_MAX, StoreError};
use headwater_wire::batch::{self, Header};

/// A batch that was looked for.
#[derive(Debug)]
pub(in crate::backend) enum JournalBatch {
    /// It is whole: its checksum was compared, disks forget.
    Whole(Header, Bytes),
    /// It is there and damaged, or its chunk is.
    Damaged,
    /// It is not there (any more): it lies in a segment now.
    Moved,
}

/// Reads `batches`, in order, and gives each to `each`.
///
/// # Errors
/// What the store says, or `each`; damage is no error.
pub(in crate::backend) fn read_together(
    slots: &dyn Slots,
    incarnations: &[Incarnation],
    batches: &[Indexed],
    mut each: impl FnMut(&Indexed, JournalBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut rest = batches;
    while let Some(first) = rest.first() {
        let (together, behind) = rest.split_at(side_by_side(rest));
        rest = behind;
        let bytes = read(slots, incarnations, first.place, range(together))?;
        for batch in together {
            let taken = match take(batch, first.place.pos, &bytes) {
                JournalBatch::Damaged => insist(slots, incarnations, batch)?,
                taken => taken,
            };
            each(batch, taken)?;
        }
    }
    Ok(())
}

/// Damage is what stays so however often it is read.
fn insist(
    slots: &dyn Slots,
    incarnations: &[Incarnation],
    batch: &Indexed,
) -> Result<JournalBatch, StoreError> {
    for _ in 1..READS_MAX {
        let taken = read_again(slots, incarnations, batch)?;
        if !matches!(taken, JournalBatch::Damaged) {
            return Ok(taken);
        }
    }
    Ok(JournalBatch::Damaged)
}

/// Reads one batch again: a bit may have turned round on its way from the disk.
///
/// # Errors
/// What the store says; damage is no error.
pub(in crate::backend) fn read_again(
    slots: &dyn Slots,
    incarnations: &[Incarnation],
    batch: &Indexed,
) -> Result<JournalBatch, StoreError> {
    if let Some(slot) = slot(incarnations, batch.place) {
        slots.forget(slot);
    }
    let range = range(std::slice::from_ref(batch));
    let bytes = read(slots, incarnations, batch.place, range)?;
    Ok(take(batch, batch.place.pos, &bytes))
}

/// What a read of one range gave.
enum Read {
    Bytes(Bytes),
    Damaged,
    Moved,
}

fn read(
    slots: &dyn Slots,
    incarnations: &[Incarnation],
    place: Place,
    range: Range<u64>,
) -> Result<Read, StoreError> {
    let Some(slot) = slot(incarnations, place) else {
        return Ok(Read::Damaged);
    };
    match slots.get(slot, range) {
        Ok(bytes) => Ok(Read::Bytes(bytes)),
        Err(error) if error.kind == ErrorKind::Damaged => Ok(Read::Damaged),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Read::Moved),
        Err(error) => Err(error),
    }
}

fn slot(incarnations: &[Incarnation], place: Place) -> Option<Slot> {
    let inc = *incarnations.get(place.journal as usize)?;
    let seq = place.seq;
    Some(Slot { inc, seq })
}

fn take(batch: &Indexed, from: u32, read: &Read) -> JournalBatch {
    let bytes = match read {
        Read::Bytes(bytes) => bytes,
        Read::Damaged => return JournalBatch::Damaged,
        Read::Moved => return JournalBatch::Moved,
    };
    let first = (batch.place.pos - from) as usize;
    let last = first.saturating_add(batch.place.len as usize);
    if last > bytes.len() {
        return JournalBatch::Damaged;
    }
    let bytes = bytes.slice(first..last);
    let header = Header::parse_exact(&bytes)
        .and_then(|header| batch::check_crc(&bytes, &header).map(|()| header));
    match header {
        Ok(header) if header.base_offset == batch.base_offset => JournalBatch::Whole(header, bytes),
        Ok(_) | Err(_) => JournalBatch::Damaged,
    }
}

/// How many of these lie in one slot without a gap, within the bytes of one read.
fn side_by_side(batches: &[Indexed]) -> usize {
    let mut bytes = 0;
    let follows = |two: &&[Indexed]| {
        let [one, next] = [two[0].place, two[1].place];
        bytes += u64::from(one.len);
        (one.journal, one.seq) == (next.journal, next.seq)
            && one.pos.checked_add(one.len) == Some(next.pos)
            && bytes + u64::from(next.len) <= READ_BYTES_MAX
    };
    1 + batches.windows(2).take_while(follows).count()
}

fn range(batches: &[Indexed]) -> Range<u64> {
    let first = batches.first().map_or(0, |batch| batch.place.pos.into());
    let end = |batch: &Indexed| u64::from(batch.place.pos) + u64::from(batch.place.len);
    first..batches.last().map_or(first, end)
}

/// Most bytes of one read, but for a larger batch.
const READ_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_at_once() {
        let batch = |seq, pos, len| Indexed {
            base_offset: 0,
            count: 1,
            arrival_ms: 0,
            max_timestamp: 0,
            timestamp_so_far: 0,
            place: Place {
                journal: 0,
                seq,
                pos,
                len,
            },
        };
        let batches = [
            batch(1, 100, 10),
            batch(1, 110, 5),
            batch(1, 120, 5),
            batch(2, 125, 5),
        ];
        assert_eq!(side_by_side(&batches), 2);
        assert_eq!(range(&batches[..2]), 100..115);
        assert_eq!(side_by_side(&batches[2..]), 1);
        let large = [batch(1, 0, 1 << 20), batch(1, 1 << 20, 1)];
        assert_eq!(side_by_side(&large), 1);
    }
}
