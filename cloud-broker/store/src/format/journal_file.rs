//! First page of a local journal file (`HWJ1`): whose it is, where it begins, how long it was
//! made.

use headwater_wire::crc;

use super::FormatError;
use super::coding::{Kind, Reader, put_prefix};
use crate::ids::{Incarnation, Nonce};

/// First bytes of every journal file.
pub const MAGIC: [u8; 4] = *b"HWJ1";
/// Bytes of the header; the rest of its page is zero.
pub const HEADER_BYTES: usize = 64;

/// What the first page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Whose journal.
    pub inc: Incarnation,
    /// Slot of the first frame; all slots below it are in earlier files, and whatever an earlier
    /// file holds from this slot on is void.
    pub first_seq: u64,
    /// The file's length when it was made; a shorter one has lost something.
    pub preallocated: u64,
    /// Nonce of the slot before the first; zero at the start of the journal.
    pub prev_nonce: Nonce,
    /// True if the end of the file before was found damaged when this one was begun: slots after
    /// `first_seq - 1` may have been there and lost, nobody can tell how many.
    pub after_damage: bool,
}

/// Bit of the notes: see [`FileHeader::after_damage`].
const NOTE_AFTER_DAMAGE: u32 = 1;

impl FileHeader {
    /// 64 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        put_prefix(&mut out, MAGIC, Kind::JournalFile);
        out.extend_from_slice(&self.inc.0);
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.preallocated.to_le_bytes());
        out.extend_from_slice(&self.prev_nonce.0);
        let notes = if self.after_damage {
            NOTE_AFTER_DAMAGE
        } else {
            0
        };
        out.extend_from_slice(&notes.to_le_bytes());
        let checksum = crc::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads and verifies the first 64 of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let what = "journal file";
        let mut reader = Reader::new(bytes, what);
        let (kind, _) = reader.prefix(MAGIC)?;
        let header = Self {
            inc: Incarnation(reader.array()?),
            first_seq: reader.u64()?,
            preallocated: reader.u64()?,
            prev_nonce: Nonce(reader.array()?),
            after_damage: reader.u32()? & NOTE_AFTER_DAMAGE != 0,
        };
        if reader.u32()? != crc::crc32c(&bytes[..HEADER_BYTES - 4]) {
            return Err(FormatError::Checksum { what });
        }
        match kind == Kind::JournalFile as u8 {
            true => Ok(header),
            false => Err(FormatError::Value {
                what: "Kind of a journal file",
            }),
        }
    }
}

/// True if `bytes` end with the checksum of what comes before, as headers of every format do:
/// tells a later version from damage.
pub fn has_checksum(bytes: &[u8]) -> bool {
    match bytes.split_at_checked(HEADER_BYTES - 4) {
        Some((fields, rest)) => rest.get(..4) == Some(&crc::crc32c(fields).to_le_bytes()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_every_bit_counts() {
        for after_damage in [false, true] {
            let header = FileHeader {
                inc: Incarnation([1; 16]),
                first_seq: 7,
                preallocated: 1 << 26,
                prev_nonce: Nonce([2; 16]),
                after_damage,
            };
            let bytes = header.encode();
            assert_eq!(bytes.len(), HEADER_BYTES);
            assert_eq!(FileHeader::decode(&bytes), Ok(header));
            assert!(has_checksum(&bytes));
            for bit in 0..HEADER_BYTES * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(FileHeader::decode(&changed).is_err(), "bit {bit}");
                assert!(!has_checksum(&changed));
            }
            for end in 0..HEADER_BYTES {
                assert!(FileHeader::decode(&bytes[..end]).is_err());
                assert!(!has_checksum(&bytes[..end]));
            }
        }
    }
}
