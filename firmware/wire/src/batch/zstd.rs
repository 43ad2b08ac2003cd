//! Compression with zstd, within what stock Kafka clients can decode.

use alloc::vec::Vec;
use core::fmt;

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::DecompressError;

/// The largest window of a frame that [`Compressor`] makes: what every decoder must support
/// (RFC 8878, 3.1.1.1.2).
pub const WINDOW_BYTES_MAX: usize = 8 << 20;

/// Frames begin so. Frames to be skipped, which hold no records, begin otherwise.
const FRAME_MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// Compresses into one frame with its content size, without dictionary; the context is used again.
pub struct Compressor {
    context: CCtx<'static>,
}

impl Compressor {
    /// A compressor of `level`, held between -7 and 19: greater levels have larger windows than
    /// [`WINDOW_BYTES_MAX`]. Level 1 is best for sensor events.
    #[must_use]
    pub fn new(level: i32) -> Self {
        let mut context = CCtx::create();
        context
            .set_parameter(CParameter::CompressionLevel(level.clamp(-7, 19)))
            .expect("the level is within zstd's range");
        Self { context }
    }

    /// Appends `bytes`, compressed, to `out`.
    pub fn compress_into(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + zstd_safe::compress_bound(bytes.len()), 0);
        let written = self
            .context
            .compress2(&mut out[start..], bytes)
            .expect("the output has room for the worst case");
        out.truncate(start + written);
    }
}

/// Decompresses one frame, within limits; the context is used again.
pub struct Decompressor {
    context: DCtx<'static>,
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Decompressor {
    /// A decompressor without dictionary.
    #[must_use]
    pub fn new() -> Self {
        Self {
            context: DCtx::create(),
        }
    }

    /// Replaces `out` by the content of the one frame that `records` are. Memory grows with what
    /// comes out, not with what the frame announces, to `max` bytes, and as much for the window.
    ///
    /// # Errors
    /// See [`DecompressError`]; `out` is empty then.
    pub fn decompress_into(
        &mut self,
        records: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), DecompressError> {
        let result = self.decompress(records, out, max);
        out.truncate(*result.as_ref().unwrap_or(&0));
        result.map(drop)
    }

    /// Fills `out` from its front and says how far. What `out` held before is room that needs no
    /// clearing.
    fn decompress(
        &mut self,
        records: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<usize, DecompressError> {
        if !records.starts_with(&FRAME_MAGIC) {
            return Err(DecompressError::Corrupt);
        }
        self.begin(max)?;
        let mut input = InBuffer::around(records);
        let mut done = 0;
        grow(out, first_bytes(records), max);
        loop {
            let mut room = OutBuffer::around_pos(&mut out[..], done);
            let before = (input.pos(), room.pos());
            let hint = self
                .context
                .decompress_stream(&mut room, &mut input)
                .map_err(|_| DecompressError::Corrupt)?;
            done = room.pos();
            if done > max {
                return Err(DecompressError::TooLarge);
            }
            if hint == 0 {
                return match input.pos() == records.len() {
                    true => Ok(done),
                    false => Err(DecompressError::Trailing),
                };
            }
            if done == out.len() {
                let doubled = done.saturating_mul(2);
                grow(out, doubled, max);
            } else if before == (input.pos(), done) {
                return Err(DecompressError::Corrupt);
            }
        }
    }

    fn begin(&mut self, max: usize) -> Result<(), DecompressError> {
        let window_log = max
            .clamp(WINDOW_BYTES_MAX, 1 << 30)
            .next_power_of_two()
            .ilog2();
        self.context
            .reset(ResetDirective::SessionOnly)
            .and_then(|_| {
                self.context
                    .set_parameter(DParameter::WindowLogMax(window_log))
            })
            .map(drop)
            .map_err(|_| DecompressError::Corrupt)
    }
}

/// Room to begin with: all that the frame announces if that is believable, since libzstd is
/// fastest when the whole content fits.
fn first_bytes(records: &[u8]) -> usize {
    const RATIO_BELIEVED: usize = 64;
    let believed = records.len().saturating_mul(RATIO_BELIEVED);
    let announced = zstd_safe::get_frame_content_size(records).ok().flatten();
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
    announced
        .unwrap_or_else(|| records.len().saturating_mul(4))
        .min(believed)
}

/// One byte more than `max`, so that a content of exactly `max` is told from a larger one.
fn grow(out: &mut Vec<u8>, bytes: usize, max: usize) {
    let bytes = bytes.max(1024).min(max.saturating_add(1));
    if bytes > out.len() {
        out.resize(bytes, 0);
    } else {
        out.truncate(max.saturating_add(1));
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
