//! The 32 bytes in front of manifests and snapshots, and the compressed body behind them.

use headwater_wire::batch::{Compressor, DecompressError, Decompressor};
use headwater_wire::crc;

use super::FormatError;
use super::coding::{Kind, Reader, put_prefix};

/// Smallest and fastest on what we store.
const ZSTD_LEVEL: i32 = 1;

/// Bytes in front of the body.
pub(super) const HEADER_BYTES: usize = 32;

/// What is in the envelope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) magic: [u8; 4],
    pub(super) kind: Kind,
    /// As errors call it.
    pub(super) what: &'static str,
    /// Most bytes of the body before compression; it stops writing as well as reading.
    pub(super) raw_bytes_max: usize,
}

impl Envelope {
    /// Header and compressed `raw`.
    pub(super) fn seal(&self, raw: &[u8]) -> Result<Vec<u8>, FormatError> {
        self.check_raw(raw.len() as u64)?;
        let mut out = Vec::with_capacity(HEADER_BYTES + raw.len() / 2);
        out.resize(HEADER_BYTES, 0);
        Compressor::new(ZSTD_LEVEL).compress_into(raw, &mut out);
        let body = &out[HEADER_BYTES..];
        let mut header = Vec::with_capacity(HEADER_BYTES);
        put_prefix(&mut header, self.magic, self.kind);
        header.extend_from_slice(&(body.len() as u64).to_le_bytes());
        header.extend_from_slice(&(raw.len() as u64).to_le_bytes());
        header.extend_from_slice(&crc::crc32c(body).to_le_bytes());
        let checksum = crc::crc32c(&header);
        header.extend_from_slice(&checksum.to_le_bytes());
        out[..HEADER_BYTES].copy_from_slice(&header);
        Ok(out)
    }

    /// The body of exactly `bytes`, decompressed.
    pub(super) fn open(&self, bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
        let mut reader = Reader::new(bytes, self.what);
        let (kind, _) = reader.prefix(self.magic)?;
        let body_len = reader.u64()?;
        let raw_len = reader.u64()?;
        let body_crc = reader.u32()?;
        if reader.u32()? != crc::crc32c(&bytes[..HEADER_BYTES - 4]) {
            return Err(FormatError::Checksum { what: self.what });
        }
        if kind != self.kind as u8 || body_len != reader.remaining() as u64 {
            return Err(FormatError::Value { what: self.what });
        }
        let body = reader.take(reader.remaining())?;
        if crc::crc32c(body) != body_crc {
            return Err(FormatError::Checksum { what: self.what });
        }
        let expected = self.check_raw(raw_len)?;
        let mut raw = Vec::new();
        let read = Decompressor::new().decompress_into(body, &mut raw, expected);
        match read {
            Ok(()) if raw.len() == expected => Ok(raw),
            Ok(()) | Err(DecompressError::Corrupt | DecompressError::Trailing) => {
                Err(FormatError::Value { what: self.what })
            }
            Err(DecompressError::TooLarge) => {
                let [found, max] = [expected as u64 + 1, expected as u64];
                Err(FormatError::TooLarge {
                    what: self.what,
                    found,
                    max,
                })
            }
        }
    }

    fn check_raw(&self, found: u64) -> Result<usize, FormatError> {
        let max = self.raw_bytes_max as u64;
        usize::try_from(found)
            .ok()
            .filter(|_| found <= max)
            .ok_or(FormatError::TooLarge {
                what: self.what,
                found,
                max,
            })
    }
}
