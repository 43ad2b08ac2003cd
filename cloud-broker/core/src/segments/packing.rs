//! How partitions share segments.

/// Divides a shard's partitions, given by their bytes in order, among segments: one with
/// `own_bytes` or more gets its own, so that it can be dropped alone; the others share, up to
/// about `bytes_max` each. Gives the places of each segment's partitions, in order; a partition
/// without bytes is in none.
#[must_use]
pub fn pack(bytes: &[u64], own_bytes: u64, bytes_max: u64) -> Vec<Vec<usize>> {
    let mut segments = Vec::new();
    let mut shared = Vec::new();
    let mut shared_bytes = 0;
    for (at, bytes) in bytes.iter().copied().enumerate() {
        if bytes >= own_bytes {
            segments.push(vec![at]);
        } else if bytes > 0 {
            if shared_bytes + bytes > bytes_max && !shared.is_empty() {
                segments.push(std::mem::take(&mut shared));
                shared_bytes = 0;
            }
            shared.push(at);
            shared_bytes += bytes;
        }
    }
    if !shared.is_empty() {
        segments.push(shared);
    }
    segments
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn large_ones_are_alone() {
        assert_eq!(
            pack(&[3, 16, 0, 5, 20, 1], 16, 64),
            [vec![1], vec![4], vec![0, 3, 5]]
        );
        assert_eq!(pack(&[9, 9, 9], 16, 10), [vec![0], vec![1], vec![2]]);
        assert!(pack(&[0, 0], 16, 64).is_empty());
    }

    proptest! {
        #[test]
        fn everything_once(bytes in prop::collection::vec(0..30u64, 0..40)) {
            let segments = pack(&bytes, 16, 64);
            let mut places: Vec<_> = segments.iter().flatten().copied().collect();
            places.sort_unstable();
            let expected: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] > 0).collect();
            prop_assert_eq!(places, expected);
            for segment in &segments {
                prop_assert!(segment.is_sorted());
                prop_assert!(segment.len() == 1 || segment.iter().map(|at| bytes[*at]).sum::<u64>() <= 64);
            }
        }
    }
}
