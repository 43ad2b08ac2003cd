//! Which topics a batch may hold: a Bloom filter over each topic and each of its level prefixes
//! (`cluster.md` 3, chunk index). It lets a reader with few filters pass over a batch unopened.
//!
//! **Format.** A topic `a/b/c` enters as `a`, `a/b` and `a/b/c` (the bytes before each `/`, and all
//! of it). Hash: FNV-1a, 64 bits, then the finaliser of splitmix64. About 10 bits per entry, the
//! filter's length is a whole number of bytes, `m` = 8 × length bits. Probe `i` of 7 looks at bit
//! `(h1 + i × h2) mod m` in 64-bit wrapping arithmetic, `h1` = the hash's low 32 bits, `h2` = its
//! high 32 bits with the lowest set; bit `n` is bit `n mod 8` of byte `n / 8`. **No byte at all
//! means "not known"**: such a batch must be opened.

/// The most bytes that a filter takes; a batch with more topics is "not known".
pub const FILTER_BYTES_MAX: usize = 4096;

/// Gathers the topics of one batch. Memory is reused from batch to batch.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    hashes: Vec<u64>,
    seen: Vec<u64>,
    overflow: bool,
}

impl Topics {
    /// Adds one record's key.
    pub fn add(&mut self, topic: &[u8]) {
        let whole = finish(topic.iter().fold(FNV_BASIS, fnv));
        // The same few topics come again and again: a small table spares them the work below.
        self.seen.resize(SEEN_SLOTS, 0);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low bits choose the slot"
        )]
        let slot = whole as usize % SEEN_SLOTS;
        if self.overflow || std::mem::replace(&mut self.seen[slot], whole) == whole {
            return;
        }
        let mut hash = FNV_BASIS;
        for byte in topic {
            if *byte == b'/' {
                self.hashes.push(finish(hash));
            }
            hash = fnv(hash, byte);
        }
        self.hashes.push(whole);
        if self.hashes.len() >= HASHES_BEFORE_SORT {
            self.shrink();
        }
    }

    /// The filter of what was added, or nothing if nothing was, or too much; then empty again.
    pub fn take(&mut self) -> Vec<u8> {
        self.shrink();
        let filter = if self.overflow {
            Vec::new()
        } else {
            build(&self.hashes)
        };
        self.clear();
        filter
    }

    /// Forgets what was added.
    pub fn clear(&mut self) {
        self.hashes.clear();
        self.seen.clear();
        self.overflow = false;
    }

    fn shrink(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        if self.hashes.len() > ENTRIES_MAX {
            self.overflow = true;
            self.hashes.clear();
        }
    }
}

/// The hash of a topic or level prefix, for [`may_contain`].
#[must_use]
pub fn hash(prefix: &[u8]) -> u64 {
    finish(prefix.iter().fold(FNV_BASIS, fnv))
}

/// Whether a batch with this filter may hold the topic, or a topic below the prefix, of this hash.
#[must_use]
pub fn may_contain(filter: &[u8], hash: u64) -> bool {
    filter.is_empty() || bits(hash, filter.len()).all(|(byte, bit)| filter[byte] & (1 << bit) != 0)
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
const BITS_PER_ENTRY: usize = 10;
const PROBES: u64 = 7;
const SEEN_SLOTS: usize = 64;
const ENTRIES_MAX: usize = FILTER_BYTES_MAX * 8 / BITS_PER_ENTRY;
const HASHES_BEFORE_SORT: usize = 4 * ENTRIES_MAX;

fn fnv(hash: u64, byte: &u8) -> u64 {
    (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
}

fn finish(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn build(hashes: &[u64]) -> Vec<u8> {
    let mut filter = vec![0; (hashes.len() * BITS_PER_ENTRY).div_ceil(8)];
    for hash in hashes {
        for (byte, bit) in bits(*hash, filter.len()) {
            filter[byte] |= 1 << bit;
        }
    }
    filter
}

fn bits(hash: u64, filter_bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let (low, high) = (hash & 0xffff_ffff, (hash >> 32) | 1);
    let bits = 8 * filter_bytes as u64;
    (0..PROBES).map(move |probe| {
        let bit = low.wrapping_add(probe.wrapping_mul(high)) % bits;
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        (byte, (bit % 8) as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(topics: &[&str]) -> Vec<u8> {
        let mut gathered = Topics::default();
        topics
            .iter()
            .for_each(|topic| gathered.add(topic.as_bytes()));
        gathered.take()
    }

    #[test]
    fn topics_and_their_prefixes_are_found() {
        let filter = filter(&["a/b/c", "x", "/y"]);
        for prefix in ["a", "a/b", "a/b/c", "x", "", "/y"] {
            assert!(may_contain(&filter, hash(prefix.as_bytes())), "{prefix}");
        }
        assert!(!may_contain(&filter, hash(b"a/c")));
        assert!(may_contain(&[], hash(b"a/c")), "not known must be read");
    }

    /// The format is on disk: this filter, computed by other means, may never change.
    #[test]
    fn golden() {
        assert_eq!(filter(&["a/b"]), GOLDEN);
    }
    const GOLDEN: [u8; 3] = [0xd9, 0xda, 0x24];

    #[test]
    fn false_positives_are_rare() {
        let names: Vec<String> = (0..1000).map(|n| format!("t{n}")).collect();
        let filter = filter(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(filter.len(), 1250);
        let wrong = (0..10_000).filter(|n| may_contain(&filter, hash(format!("f{n}").as_bytes())));
        assert!(wrong.count() < 200);
    }

    #[test]
    fn repeats_cost_nothing_and_too_many_are_not_known() {
        let mut topics = Topics::default();
        (0..100_000).for_each(|_| topics.add(b"a/b"));
        assert_eq!(topics.take().len(), 3);
        (0..100_000).for_each(|n: u32| topics.add(n.to_string().as_bytes()));
        assert!(topics.take().is_empty());
        topics.add(b"a/b");
        assert_eq!(topics.take(), GOLDEN);
        assert!(topics.take().is_empty());
    }
}
