//! LZ4 frames.

use headwater_wire::batch::DecompressError;

use super::decode::read_all;

/// Appends what `payload` (one LZ4 frame) holds to `out`.
pub(super) fn decode(
    mut payload: &[u8],
    out: &mut Vec<u8>,
    max: usize,
) -> Result<(), DecompressError> {
    if payload.is_empty() {
        return Err(DecompressError::Corrupt);
    }
    read_all(lz4_flex::frame::FrameDecoder::new(&mut payload), out, max)?;
    if payload.is_empty() {
        Ok(())
    } else {
        Err(DecompressError::Trailing)
    }
}
