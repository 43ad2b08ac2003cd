//! gzip, and what all decoders that read need: an end.

use std::io::Read;

use headwater_wire::batch::DecompressError;

const CHUNK_BYTES: usize = 16 << 10;

/// Appends what `payload` (one gzip member or several) holds to `out`.
pub(super) fn gzip(payload: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), DecompressError> {
    read_all(flate2::bufread::MultiGzDecoder::new(payload), out, max)
}

/// Appends all that `reader` gives to `out`, which grows with it, until `max` bytes.
pub(super) fn read_all(
    mut reader: impl Read,
    out: &mut Vec<u8>,
    max: usize,
) -> Result<(), DecompressError> {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let read = reader
            .read(&mut chunk)
            .map_err(|_| DecompressError::Corrupt)?;
        if read == 0 {
            return Ok(());
        }
        if out.len() + read > max {
            return Err(DecompressError::TooLarge);
        }
        out.extend_from_slice(&chunk[..read]);
    }
}
