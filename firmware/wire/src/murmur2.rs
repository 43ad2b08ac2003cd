//! The hash by which Kafka's clients choose a key's partition
//! (apache/kafka `clients/.../common/utils/Utils.java`, `murmur2`).

/// Kafka's murmur2 of `bytes`.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    // The length enters as 32 bits in Java too; keys are far shorter.
    #[expect(clippy::cast_possible_truncation, reason = "Java's length has 32 bits")]
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        let mixed = (mixed ^ (mixed >> 24)).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed;
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 15)).cast_signed()
}

/// The partition that Kafka's default partitioner gives `key` among `partitions`; 0 if there are
/// none.
#[must_use]
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    let positive = (murmur2(key) & i32::MAX).cast_unsigned();
    positive.checked_rem(partitions).unwrap_or(0)
}

const MULTIPLIER: u32 = 0x5bd1_e995;

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases of apache/kafka `UtilsTest.testMurmur2`.
    #[test]
    fn known_values() {
        for (key, expected) in [
            (&b"21"[..], -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (
                b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            (b"abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key), expected);
        }
    }

    #[test]
    fn partitions() {
        assert_eq!(partition(b"abc", 8), 479_470_107 % 8);
        assert_eq!(partition(b"abc", 0), 0);
        assert!((0..100u8).all(|key| partition(&[key], 3) < 3));
    }
}
