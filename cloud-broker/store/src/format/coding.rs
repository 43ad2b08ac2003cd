//! What all codecs share: the error, the first 8 bytes, and a reader that cannot run over.

use bytes::BufMut;
use prost::encoding::decode_varint;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Fewer bytes than the format needs.
    #[error("{what} needs {needed} bytes, {found} are there")]
    Short {
        /// The part that is cut off.
        what: &'static str,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// Something else, or nothing, lies here.
    #[error("No {what} begins here")]
    Magic {
        /// What was looked for.
        what: &'static str,
    },
    /// A later version wrote this.
    #[error("{what} has format {found}, this version reads up to {known}")]
    UnknownFormat {
        /// What it is.
        what: &'static str,
        /// Its format, 256 × kind or flags where these are unknown.
        found: u64,
        /// The newest format that is read here.
        known: u64,
    },
    /// Bytes have changed.
    #[error("The checksum of the {what} does not match")]
    Checksum {
        /// The part that changed.
        what: &'static str,
    },
    /// A value that cannot be.
    #[error("{what} cannot be")]
    Value {
        /// Which value.
        what: &'static str,
    },
    /// Above a limit.
    #[error("{what} has {found} bytes, at most {max} are read")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// Its bytes.
        found: u64,
        /// The limit.
        max: u64,
    },
}

/// What the byte after `fmt` says; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Batches.
    Chunk = 1,
    /// The end of a journal.
    Tombstone = 2,
    /// The register of a shard.
    Manifest = 3,
    /// State of a shard at a place in its log.
    Snapshot = 4,
    /// First page of a local journal file.
    JournalFile = 5,
    /// A compacted run of batches.
    Segment = 6,
    /// A part of a shard's list of segments.
    Page = 7,
}

/// A bit in the high half of `flags` may be ignored by those who do not know it; one in the low
/// half changes the meaning of the bytes, so it is refused.
const FLAGS_THAT_MATTER: u8 = 0x0f;

/// Writes magic, format 1, kind and no flags: 8 bytes.
pub(crate) fn put_prefix(out: &mut Vec<u8>, magic: [u8; 4], kind: Kind) {
    out.put_slice(&magic);
    out.put_u16_le(1);
    out.put_u8(kind as u8);
    out.put_u8(0);
}

/// Reads bytes from the front; each call checks before it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which errors call `what`.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// Reads the first 8 bytes: `(kind, flags)` if magic and format are known.
    pub(crate) fn prefix(&mut self, magic: [u8; 4]) -> Result<(u8, u8), FormatError> {
        if self.array::<4>()? != magic {
            return Err(FormatError::Magic { what: self.what });
        }
        let format = self.u16()?;
        let [kind, flags] = self.array()?;
        let matters = flags & FLAGS_THAT_MATTER;
        if format != 1 || matters != 0 {
            let found = u64::from(format) + 256 * u64::from(matters);
            return Err(FormatError::UnknownFormat {
                what: self.what,
                found,
                known: 1,
            });
        }
        Ok((kind, flags))
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            let found = self.rest.len();
            return Err(FormatError::Short {
                what: self.what,
                needed: count,
                found,
            });
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            let found = self.rest.len();
            return Err(FormatError::Short {
                what: self.what,
                needed: N,
                found,
            });
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A varint as protobuf has it: 7 bits a byte, low ones first.
    pub(crate) fn varint(&mut self) -> Result<u64, FormatError> {
        decode_varint(&mut self.rest).map_err(|_| FormatError::Value { what: self.what })
    }

    /// A varint that must fit `T`.
    pub(crate) fn varint_as<T: TryFrom<u64>>(&mut self) -> Result<T, FormatError> {
        let value = self.varint()?;
        T::try_from(value).map_err(|_| FormatError::Value { what: self.what })
    }

    /// A zig-zag varint, added to `before` round the end of the numbers.
    pub(crate) fn delta(&mut self, before: i64) -> Result<i64, FormatError> {
        Ok(before.wrapping_add(unzigzag(self.varint()?)))
    }

    /// A zig-zag varint, added to `before`, that must fit `T`.
    pub(crate) fn delta_as<T: TryFrom<i64>>(&mut self, before: i64) -> Result<T, FormatError> {
        let value = self.delta(before)?;
        T::try_from(value).map_err(|_| FormatError::Value { what: self.what })
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), FormatError> {
        match self.rest {
            [] => Ok(()),
            _ => Err(FormatError::Value { what: self.what }),
        }
    }
}

/// Writes `value` as a zig-zag varint of its distance from `before`.
pub(crate) fn put_delta(out: &mut Vec<u8>, before: i64, value: i64) {
    put_varint(out, zigzag(value.wrapping_sub(before)));
}

/// Writes a varint as protobuf has it.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, out);
}

fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delta_is_read_back() {
        let numbers = [0, 1, -1, 63, -64, i64::MAX, i64::MIN, 1 << 40];
        for before in numbers {
            for value in numbers {
                let mut out = Vec::new();
                put_delta(&mut out, before, value);
                assert_eq!(Reader::new(&out, "delta").delta(before), Ok(value));
            }
        }
    }

    #[test]
    fn an_unknown_format_or_flag_that_matters_is_refused() {
        let mut bytes = Vec::new();
        put_prefix(&mut bytes, *b"HWC1", Kind::Chunk);
        let read = |bytes: &[u8]| Reader::new(bytes, "chunk").prefix(*b"HWC1");
        assert_eq!(read(&bytes), Ok((1, 0)));
        bytes[7] = 0x10;
        assert_eq!(read(&bytes), Ok((1, 0x10)));
        for (at, value) in [(4, 2), (5, 1), (7, 1)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(matches!(
                read(&changed),
                Err(FormatError::UnknownFormat { .. })
            ));
        }
        assert_eq!(read(b"HWX1...."), Err(FormatError::Magic { what: "chunk" }));
        assert!(matches!(read(&bytes[..7]), Err(FormatError::Short { .. })));
    }
}
