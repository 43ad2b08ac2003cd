//! Which small segments become one, and which are written again for what is dead in them.

use std::collections::BTreeSet;

use super::Thresholds;

/// A segment of a shard's list, with the partitions that lie in it.
#[derive(Clone, Debug)]
pub struct Candidate<Id> {
    /// Bytes of all batches in it.
    pub bytes: u64,
    /// Those of them that somebody may still read.
    pub living_bytes: u64,
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
        let living = segment.living_bytes;
        let fits = living < thresholds.merge_bytes
            && bytes + living <= thresholds.bytes
            && !segment.ids.iter().any(|id| passed.contains(id));
        if fits {
            chosen.push(at);
            bytes += living;
        } else if bytes + living > thresholds.bytes && chosen.len() >= thresholds.merge_count {
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

/// The place of the first segment of which less than half lives: written again it frees more than
/// it takes. As a dead byte is freed once, all of this together writes less than what was written
/// to the log.
#[must_use]
pub fn mostly_dead<Id>(segments: &[Candidate<Id>]) -> Option<usize> {
    let is_mostly_dead = |segment: &Candidate<Id>| segment.living_bytes < segment.bytes.div_ceil(2);
    segments.iter().position(is_mostly_dead)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate<Id>(bytes: u64, living_bytes: u64, ids: Vec<Id>) -> Candidate<Id> {
        Candidate {
            bytes,
            living_bytes,
            ids,
        }
    }

    fn chosen(segments: &[(u64, &str)]) -> Vec<usize> {
        let thresholds = Thresholds {
            bytes: 100,
            merge_bytes: 10,
            merge_count: 3,
            ..Thresholds::default()
        };
        let segments: Vec<_> = { segments.iter() }
            .map(|(bytes, ids)| candidate(2 * bytes, *bytes, ids.chars().collect()))
            .collect();
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

    #[test]
    fn half_of_a_segment_may_be_dead() {
        let place = |segments: &[(u64, u64)]| {
            let segments: Vec<_> = { segments.iter() }
                .map(|(bytes, living)| candidate(*bytes, *living, vec![()]))
                .collect();
            mostly_dead(&segments)
        };
        assert_eq!(place(&[(10, 10), (10, 5), (0, 0)]), None);
        assert_eq!(place(&[(10, 5), (10, 4), (10, 0)]), Some(1));
        assert_eq!(place(&[(11, 6), (11, 5)]), Some(1));
    }

    proptest! {
        #[test]
        fn offsets_stay_in_order(
            segments in prop::collection::vec((1..20u64, prop::collection::btree_set(0..4u8, 1..3)), 0..14),
        ) {
            let segments: Vec<_> = { segments.into_iter() }
                .map(|(bytes, ids)| candidate(2 * bytes, bytes, ids.into_iter().collect()))
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
