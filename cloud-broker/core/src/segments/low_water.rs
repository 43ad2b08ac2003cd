//! How far a journal has been taken over by segments.

/// The first slot of a journal that a shard may still need, given where each shard's range in it
/// begins, or `None` if no shard has one: then nothing of it is needed.
///
/// Every shard counts, whoever owns it: one that is forgotten loses what it has there.
#[must_use]
pub fn low_water<I: PartialEq>(inc: &I, ranges: impl Iterator<Item = (I, u64)>) -> Option<u64> {
    let of_journal = ranges.filter(|(journal, _)| journal == inc);
    of_journal.map(|(_, from)| from).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_shard_counts() {
        let ranges = [('a', 7), ('b', 3), ('a', 5), ('b', 9)];
        let low = |inc| low_water(&inc, ranges.into_iter());
        assert_eq!([low('a'), low('b'), low('c')], [Some(5), Some(3), None]);
    }
}
