//! Which small segments become one.

use std::collections::BTreeSet;

use super::Thresholds;

/// A segment of a shard's list, with the partitions that lie in it.
#[derive(Clone, Debug)]
pub struct Candidate<Id> {
    /// Its length.
    pub bytes: u64,
    /// Partitions.
    pub ids: Vec<Id>,
}

/// Places of segments that can become one in the place of the first, if there are enough small
/// ones: no partition may lie both in one of them and in a segment between them, or its offsets
/// would come out of order. What is large stays as it is, so nothing is written over and over.
#[must_use]
pub fn mergeable<Id: Ord>(segments: &[Candidate<Id>], thresholds: &Thresholds) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut bytes = 0;
    let mut passed: BTreeSet<&Id> = BTreeSet::new();
    for (at, segment) in segments.iter().enumerate() {
        let fits = segment.bytes < thresholds.merge_bytes
            && bytes + segment.bytes <= thresholds.bytes
            && !segment.ids.iter().any(|id| passed.contains(id));
        if fits {
            chosen.push(at);
            bytes += segment.bytes;
        } else if bytes + segment.bytes > thresholds.bytes && chosen.len() >= thresholds.merge_count
        {
            break;
        } else if !chosen.is_empty() {
            passed.extend(&segment.ids);
        }
    }
    match chosen.len() >= thresholds.merge_count.max(2) {
        true => chosen,
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(segments: &[(u64, &str)]) -> Vec<usize> {
        let thresholds = Thresholds {
            bytes: 100,
            merge_bytes: 10,
            merge_count: 3,
            ..Thresholds::default()
        };
        let candidate = |(bytes, ids): &(u64, &str)| Candidate {
            bytes: *bytes,
            ids: ids.chars().collect(),
        };
        let segments: Vec<_> = segments.iter().map(candidate).collect();
        mergeable(&segments, &thresholds)
    }

    #[test]
    fn small_ones_that_do_not_cross_a_large_one() {
        assert!(chosen(&[(1, "a"), (1, "a")]).is_empty());
        assert_eq!(chosen(&[(1, "a"), (1, "ab"), (1, "b")]), [0, 1, 2]);
        assert_eq!(
            chosen(&[(50, "a"), (1, "a"), (1, "a"), (50, "b"), (1, "a")]),
            [1, 2, 4]
        );
        assert!(chosen(&[(1, "a"), (1, "a"), (50, "b"), (1, "b")]).is_empty());
    }

    proptest! {
        #[test]
        fn offsets_stay_in_order(
            segments in prop::collection::vec((1..20u64, prop::collection::btree_set(0..4u8, 1..3)), 0..14),
        ) {
            let segments: Vec<_> = { segments.into_iter() }
                .map(|(bytes, ids)| Candidate { bytes, ids: ids.into_iter().collect() })
                .collect();
            let thresholds = Thresholds { bytes: 60, merge_bytes: 10, merge_count: 3, ..Thresholds::default() };
            let chosen = mergeable(&segments, &thresholds);
            let Some(first) = chosen.first() else { return Ok(()) };
            for id in 0..4u8 {
                // Places in which the partition is found afterwards: those before stay in order.
                let mut places = Vec::new();
                for (at, _) in segments.iter().enumerate().filter(|(_, s)| s.ids.contains(&id)) {
                    places.push(if chosen.contains(&at) { (*first, at) } else { (at, at) });
                }
                prop_assert!(places.is_sorted(), "{:?}", places);
            }
        }
    }
}
