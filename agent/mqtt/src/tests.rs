//! Tests over all packets: the specification's cases, generated packets, and two other codecs.

use bytes::BytesMut;

use super::*;

mod cases;
mod differential;
mod fuzz;
mod generate;

/// Frames and parses all of `bytes` as one packet.
fn read(version: Version, sender: Sender, bytes: &[u8]) -> Result<Option<Packet<'_>>, Bad> {
    let Some(frame) = frame(bytes, PACKET_BYTES_MAX)? else {
        return Ok(None);
    };
    parse(version, sender, frame, bytes).map(Some)
}

fn encoded(version: Version, packet: &Packet<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    packet
        .encode(version, &mut out)
        .expect("generated packets are short");
    out
}

/// A reproducible source of numbers: a seed names a failure.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("fits");
        usize::try_from(self.roll() % end).expect("below a usize")
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}
