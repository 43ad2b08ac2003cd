//! Full validation of record batches: decompress under limits, whatever the codec, and look at
//! each record, so that one bad producer cannot stop every consumer of a partition.

mod decode;
mod lz4;
mod snappy;

use headwater_broker_core::catalog::Validation;
use headwater_wire::batch::{
    self, BatchError, Codec, Decompressor, Header, Limits, Record, check_crc, check_produced,
};

/// What a batch may hold at every door.
pub const LIMITS: Limits = Limits {
    uncompressed_bytes_max: 16 << 20,
    records_max: 1_000_000,
};

/// Buffers above this are given back after use, so that one large batch does not stay in memory;
/// what clients make by default, 1 MiB of records and a little more, does not count as large.
const BUFFER_BYTES_KEPT: usize = 2 << 20;

/// Checks and decompresses batches, reusing its memory; one for each thread or connection that
/// does much of it.
#[derive(Debug)]
pub struct Validator {
    zstd: Decompressor,
    buffer: Vec<u8>,
    limits: Limits,
}

impl Default for Validator {
    fn default() -> Self {
        Self::new(LIMITS)
    }
}

impl Validator {
    /// With other limits than [`LIMITS`].
    pub fn new(limits: Limits) -> Self {
        Self {
            zstd: Decompressor::new(),
            buffer: Vec::new(),
            limits,
        }
    }

    /// Checks that `bytes` are exactly one batch that a client may append: length, version, CRC,
    /// header, and with [`Validation::Full`] every record, each of which is given to `each`. With
    /// [`Validation::Header`] `each` is never called.
    ///
    /// # Errors
    /// The first fault ([`BatchError::Crc`] is the one after which sending again may help), or the
    /// first error of `each`, which may have seen records of a batch that turns out to be bad.
    pub fn check<E: From<BatchError>>(
        &mut self,
        bytes: &[u8],
        level: Validation,
        each: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<Header, E> {
        let header = Header::parse_exact(bytes)?;
        check_crc(bytes, &header)?;
        check_produced(&header)?;
        if level == Validation::Full {
            let limits = self.limits;
            let records = self.records(&header, bytes)?;
            let walked = batch::walk(&header, records, &limits, each);
            self.give_back();
            walked?;
        }
        Ok(header)
    }

    /// The uncompressed records of the batch `bytes`, for [`batch::records`] or [`batch::walk`].
    ///
    /// # Errors
    /// The codec is not known, the bytes are not what it writes, or they are above the limit.
    pub fn records<'a>(
        &'a mut self,
        header: &Header,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], BatchError> {
        let payload = batch::payload(header, bytes);
        let max = self.limits.uncompressed_bytes_max;
        let buffer = &mut self.buffer;
        let codec = header.codec()?;
        if codec != Codec::Zstd {
            buffer.clear();
        }
        match codec {
            Codec::None if payload.len() <= max => return Ok(payload),
            Codec::None => return Err(BatchError::TooLarge),
            Codec::Gzip => decode::gzip(payload, buffer, max)?,
            Codec::Snappy => snappy::decode(payload, buffer, max)?,
            Codec::Lz4 => lz4::decode(payload, buffer, max)?,
            // What the buffer holds is room that it does not have to fill with zeros first.
            Codec::Zstd => self.zstd.decompress_into(payload, buffer, max)?,
        }
        Ok(&self.buffer)
    }

    /// Gives memory back that a large batch has needed. [`Self::check`] does it by itself.
    pub fn give_back(&mut self) {
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests;
