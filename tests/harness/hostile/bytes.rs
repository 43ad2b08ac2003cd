//! What is done to bytes before they are sent.

use crate::rng::Rng;

/// Numbers at which lengths and counts go wrong.
const EDGES: [u32; 8] = [
    0,
    1,
    0x7f,
    0x80,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
];

/// One of these.
pub(super) fn pick<T: Copy>(random: &mut Rng, of: &[T]) -> T {
    of[below(random, of.len())]
}

/// A number below `bound`, which must not be 0.
pub(super) fn below(random: &mut Rng, bound: usize) -> usize {
    let bound = u64::try_from(bound).expect("a length");
    usize::try_from(random.below(bound)).expect("below a length")
}

/// Random bytes, fewer than `bound`.
pub(super) fn noise(random: &mut Rng, bound: usize) -> Vec<u8> {
    let length = below(random, bound);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Changes bytes in one to three places.
pub(super) fn mutate(random: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = below(random, bytes.len());
        match random.below(8) {
            0..3 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = pick(random, &[0, 1, 0x7f, 0x80, 0xff]),
            4 => bytes.truncate(at),
            5 => {
                let edge = pick(random, &EDGES).to_be_bytes();
                let room = edge.len().min(bytes.len() - at);
                bytes[at..at + room].copy_from_slice(&edge[..room]);
            }
            6 => {
                let more = noise(random, 16);
                bytes.splice(at..at, more);
            }
            _ => {
                let end = (at + below(random, 64)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}
