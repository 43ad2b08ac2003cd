//! LZ4 frames, of the kind that Kafka's clients can read.
//!
//! Source: LZ4 frame format 1.6.4; which of its options Kafka takes is said by the constructor of
//! `org.apache.kafka.common.compress.Lz4BlockInputStream`.

use headwater_wire::batch::DecompressError;

use super::decode::read_all;

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// Flags that every consumer relies on: version 1, independent blocks, no dictionary.
const FLAGS_MASK: u8 = 0b1110_0011;
const FLAGS: u8 = 0b0110_0000;

/// Appends what `payload` (one LZ4 frame) holds to `out`.
pub(super) fn decode(
    mut payload: &[u8],
    out: &mut Vec<u8>,
    max: usize,
) -> Result<(), DecompressError> {
    match payload {
        [a, b, c, d, flags, ..] if [*a, *b, *c, *d] == MAGIC && flags & FLAGS_MASK == FLAGS => {}
        _ => return Err(DecompressError::Corrupt),
    }
    read_all(lz4_flex::frame::FrameDecoder::new(&mut payload), out, max)?;
    if payload.is_empty() {
        Ok(())
    } else {
        Err(DecompressError::Trailing)
    }
}
