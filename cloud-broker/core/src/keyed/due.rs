//! When a partition is compacted.

/// Whether so much of a partition has come since its last compaction that the next one pays: half
/// of it, as Kafka's `min.cleanable.dirty.ratio` has it. As a compaction writes the partition anew,
/// all of them together write at most two bytes for each that comes.
#[must_use]
pub fn is_due(bytes: u64, compacted_bytes: u64) -> bool {
    let new = bytes.saturating_sub(compacted_bytes);
    new > 0 && new >= bytes.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_must_be_new() {
        let cases = [(0, 0), (1, 0), (100, 50), (100, 51), (100, 100), (50, 80)];
        let due = cases.map(|(bytes, compacted)| is_due(bytes, compacted));
        assert_eq!(due, [false, true, true, false, false, false]);
    }
}
