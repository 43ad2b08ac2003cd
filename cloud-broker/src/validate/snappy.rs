//! Snappy, as Kafka's clients write it: in xerial's frames (Java) or raw (librdkafka).
//!
//! Source of the frames: org.xerial.snappy `SnappyCodec`: `82 "SNAPPY" 00`, version and compatible
//! version (i32 big-endian each), then blocks of length (i32 big-endian) and raw Snappy.

use headwater_wire::batch::DecompressError;

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const HEADER_BYTES: usize = MAGIC.len() + 4 + 4;

/// One element of Snappy is at least two bytes and gives at most 64; a length beyond that is a
/// lie, and memory is not given for it.
const EXPANSION_MAX: usize = 32;

/// Appends what `payload` holds to `out`.
pub(super) fn decode(payload: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), DecompressError> {
    if !payload.starts_with(MAGIC) {
        return block(payload, out, max);
    }
    let mut rest = payload
        .get(HEADER_BYTES..)
        .ok_or(DecompressError::Corrupt)?;
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = usize::try_from(i32::from_be_bytes(*length));
        let length = length.map_err(|_| DecompressError::Corrupt)?;
        let (compressed, tail) = tail
            .split_at_checked(length)
            .ok_or(DecompressError::Corrupt)?;
        block(compressed, out, max)?;
        rest = tail;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(DecompressError::Trailing)
    }
}

fn block(compressed: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), DecompressError> {
    let length = snap::raw::decompress_len(compressed).map_err(|_| DecompressError::Corrupt)?;
    let start = out.len();
    if length > max.saturating_sub(start) {
        return Err(DecompressError::TooLarge);
    }
    if length > compressed.len().saturating_mul(EXPANSION_MAX) {
        return Err(DecompressError::Corrupt);
    }
    out.resize(start + length, 0);
    let written = snap::raw::Decoder::new()
        .decompress(compressed, &mut out[start..])
        .map_err(|_| DecompressError::Corrupt)?;
    if written == length {
        Ok(())
    } else {
        Err(DecompressError::Corrupt)
    }
}
