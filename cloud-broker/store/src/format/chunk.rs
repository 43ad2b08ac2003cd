//! Chunk (`HWC1`): what one flush of a broker's journal puts into one slot, and the tombstone
//! that ends a journal.
//!
//! Header and index lie in front of the payload, so recovery reads no payload. `FORMAT.md`
//! "Chunk" has every byte.

mod index;

use headwater_broker_core::Entry;
use headwater_wire::crc;

use super::coding::{Kind, Reader, put_prefix};
use crate::ids::{Incarnation, Nonce};

pub use super::FormatError;

/// First bytes of every chunk and tombstone.
pub const MAGIC: [u8; 4] = *b"HWC1";
/// Bytes of the header; enough to tell whose frame it is.
pub const HEADER_BYTES: usize = 96;
/// Largest frame that is written or read: header, index and payload.
pub const FRAME_BYTES_MAX: u64 = 64 << 20;
/// Longest explanation in a tombstone, bytes.
pub const TOMBSTONE_NOTE_BYTES_MAX: usize = 256;

/// The first 96 bytes, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// True for a tombstone.
    pub tombstone: bool,
    /// Slot, identity and chain.
    pub link: Link,
    /// Bytes of the index (of the sealer and reason in a tombstone).
    pub index_len: u32,
    /// CRC-32C of the index.
    pub index_crc: u32,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// Entries in the index.
    pub batches: u32,
    /// CRC-32C of the payload.
    pub payload_crc: u32,
}

/// What the caller gives to a frame: its place, identity and predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose journal.
    pub inc: Incarnation,
    /// Which slot.
    pub seq: u64,
    /// Fresh random bits: the frame's identity.
    pub nonce: Nonce,
    /// Nonce of slot `seq - 1`; zero at the start of a journal.
    pub prev_nonce: Nonce,
    /// Slots below this one were given up when this was written (a hint).
    pub low_water: u64,
}

/// Who ended a journal, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The incarnation that wrote it: the owner itself or a taker.
    pub sealer: Incarnation,
    /// Why.
    pub reason: Reason,
    /// For people, at most [`TOMBSTONE_NOTE_BYTES_MAX`] bytes.
    pub note: String,
}

/// Why a journal ended. Numbers are stored and never reused; a later one is read as `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its owner stopped in order.
    Stop,
    /// Its owner was restarted and sealed its earlier life.
    Restart,
    /// Its owner fenced itself.
    SelfSeal,
    /// Another broker took over.
    Takeover,
    /// A reason of a later version.
    Other(u8),
}

impl Header {
    /// Reads and verifies the first 96 of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes.get(..HEADER_BYTES).unwrap_or(bytes), "chunk header");
        let kind = reader.prefix(MAGIC)?.0;
        let header = Self::decode_fields(kind, &mut reader)?;
        let checksum = reader.u32()?;
        if crc::crc32c(&bytes[..HEADER_BYTES - 4]) != checksum {
            return Err(FormatError::Checksum {
                what: "chunk header",
            });
        }
        if header.frame_bytes() > FRAME_BYTES_MAX {
            let found = header.frame_bytes();
            return Err(FormatError::TooLarge {
                what: "Chunk",
                found,
                max: FRAME_BYTES_MAX,
            });
        }
        Ok(header)
    }

    /// First byte of the payload within the frame; entries' `pos` count from there.
    pub fn payload_pos(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.index_len)
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        self.payload_pos() + u64::from(self.payload_len)
    }

    /// The entries in `index`, the `index_len` bytes after the header, sorted by shard, topic,
    /// partition and offset. Verified: checksum, places within the payload, offsets that can be.
    pub fn decode_index(&self, index: &[u8]) -> Result<Vec<Entry>, FormatError> {
        self.check_index(index)?;
        index::decode(index, self.batches, self.payload_len)
    }

    /// What a tombstone says, from the `index_len` bytes after the header.
    pub fn decode_tombstone(&self, body: &[u8]) -> Result<Tombstone, FormatError> {
        self.check_index(body)?;
        let mut reader = Reader::new(body, "tombstone");
        let sealer = Incarnation(reader.array()?);
        let [reason] = reader.array()?;
        let note = reader.take(reader.remaining())?;
        let note = String::from_utf8_lossy(note).into_owned();
        Ok(Tombstone {
            sealer,
            reason: Reason::from_number(reason),
            note,
        })
    }

    /// Compares the payload with its checksum.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), FormatError> {
        match payload.len() as u64 == u64::from(self.payload_len)
            && crc::crc32c(payload) == self.payload_crc
        {
            true => Ok(()),
            false => Err(FormatError::Checksum {
                what: "chunk payload",
            }),
        }
    }

    fn check_index(&self, index: &[u8]) -> Result<(), FormatError> {
        match index.len() as u64 == u64::from(self.index_len)
            && crc::crc32c(index) == self.index_crc
        {
            true => Ok(()),
            false => Err(FormatError::Checksum {
                what: "chunk index",
            }),
        }
    }

    fn decode_fields(kind: u8, reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let tombstone = kind == Kind::Tombstone as u8;
        if !tombstone && kind != Kind::Chunk as u8 {
            return Err(FormatError::Value {
                what: "Kind of a chunk",
            });
        }
        Ok(Self {
            tombstone,
            link: Link {
                inc: Incarnation(reader.array()?),
                seq: reader.u64()?,
                nonce: Nonce(reader.array()?),
                prev_nonce: Nonce(reader.array()?),
                low_water: reader.u64()?,
            },
            index_len: reader.u32()?,
            index_crc: reader.u32()?,
            payload_len: reader.u32()?,
            batches: reader.u32()?,
            payload_crc: reader.u32()?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let kind = if self.tombstone {
            Kind::Tombstone
        } else {
            Kind::Chunk
        };
        let mut out = Vec::with_capacity(HEADER_BYTES);
        put_prefix(&mut out, MAGIC, kind);
        out.extend_from_slice(&self.link.inc.0);
        out.extend_from_slice(&self.link.seq.to_le_bytes());
        out.extend_from_slice(&self.link.nonce.0);
        out.extend_from_slice(&self.link.prev_nonce.0);
        out.extend_from_slice(&self.link.low_water.to_le_bytes());
        for number in [
            self.index_len,
            self.index_crc,
            self.payload_len,
            self.batches,
            self.payload_crc,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// Writes header and index of a chunk into `out` (cleared first); the frame is `out` followed by
/// the `payload` pieces, in order.
///
/// Entries may come in any order: the index is sorted here. Their `pos` and `len` are places in
/// the payload; ones that cannot be (outside the payload, no records, an offset below 0) and
/// frames above [`FRAME_BYTES_MAX`] are refused.
pub fn encode_into(
    link: &Link,
    entries: &[Entry],
    payload: &[impl AsRef<[u8]>],
    out: &mut Vec<u8>,
) -> Result<Header, FormatError> {
    let pieces = || payload.iter().map(AsRef::as_ref);
    let payload_len = length("Chunk", pieces().map(|piece| piece.len() as u64).sum())?;
    out.clear();
    out.resize(HEADER_BYTES, 0);
    index::encode_into(entries, payload_len, out)?;
    let index = &out[HEADER_BYTES..];
    let header = Header {
        tombstone: false,
        link: *link,
        index_len: length("Chunk index", index.len() as u64)?,
        index_crc: crc::crc32c(index),
        payload_len,
        batches: length("Chunk index", entries.len() as u64)?,
        payload_crc: pieces().fold(0, crc::append),
    };
    length("Chunk", header.frame_bytes())?;
    out[..HEADER_BYTES].copy_from_slice(&header.encode());
    Ok(header)
}

/// A tombstone's whole frame. The note is cut at [`TOMBSTONE_NOTE_BYTES_MAX`].
pub fn encode_tombstone(link: &Link, tombstone: &Tombstone) -> Vec<u8> {
    let mut body = tombstone.sealer.0.to_vec();
    body.push(tombstone.reason.number());
    let end = tombstone.note.floor_char_boundary(TOMBSTONE_NOTE_BYTES_MAX);
    body.extend_from_slice(&tombstone.note.as_bytes()[..end]);
    let header = Header {
        tombstone: true,
        link: *link,
        index_len: u32::try_from(body.len()).expect("a tombstone's body is under 300 bytes"),
        index_crc: crc::crc32c(&body),
        payload_len: 0,
        batches: 0,
        payload_crc: 0,
    };
    let mut frame = header.encode();
    frame.extend_from_slice(&body);
    frame
}

impl Reason {
    fn number(self) -> u8 {
        match self {
            Self::Stop => 1,
            Self::Restart => 2,
            Self::SelfSeal => 3,
            Self::Takeover => 4,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Stop,
            2 => Self::Restart,
            3 => Self::SelfSeal,
            4 => Self::Takeover,
            other => Self::Other(other),
        }
    }
}

fn length(what: &'static str, found: u64) -> Result<u32, FormatError> {
    u32::try_from(found)
        .ok()
        .filter(|_| found <= FRAME_BYTES_MAX)
        .ok_or(FormatError::TooLarge {
            what,
            found,
            max: FRAME_BYTES_MAX,
        })
}

#[cfg(test)]
mod tests;
