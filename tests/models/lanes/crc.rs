//! CRCs that no two batches share: they spell the batch out.

use super::state::{Entry, Publish};

const LOSS: u32 = 1 << 31;

/// Of an entry of a log, in this generation.
pub(super) fn of_entry(generation: u8, entry: &Entry) -> u32 {
    spell(generation, entry.first, &entry.records, entry.loss)
}

/// Of a batch or loss on its way.
pub(super) fn of_publish(publish: &Publish) -> u32 {
    spell(
        publish.generation,
        publish.first,
        &publish.records,
        publish.loss,
    )
}

/// A loss batch says its range and, by its time, when it was made; not what was lost. The highest
/// bit of a batch's says where its place begins, and so how many records follow.
fn spell(generation: u8, first: u8, records: &[u8], loss: Option<u8>) -> u32 {
    debug_assert!(generation < 4 && first < 64, "they have 8 bits");
    let place = 1 << 8 | u32::from(generation) << 6 | u32::from(first);
    if let Some(number) = loss {
        let length = u32::try_from(records.len()).expect("a few records");
        return LOSS | place << 14 | length << 8 | u32::from(number);
    }
    records.iter().fold(place, |crc, record| {
        debug_assert!(*record < 15, "it has 4 bits, and is not 0");
        crc << 4 | u32::from(record + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::spell;

    #[test]
    fn no_two_batches_share_one() {
        let mut all = Vec::new();
        for (generation, first) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (3, 63)] {
            for records in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
                all.push(spell(generation, first, records, None));
            }
            for (length, number) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
                all.push(spell(generation, first, &vec![0; length], Some(number)));
            }
        }
        let distinct: std::collections::BTreeSet<u32> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
