//! Goes through the frames of one journal file and tells frames, damage and the end apart.
//!
//! A frame counts only if it continues the chain: same incarnation, sequence one higher,
//! `prev_nonce` equal to the nonce before it. A checksum alone proves nothing in a recycled file.

use headwater_broker_core::Entry;
use headwater_wire::crc;

use super::index::Place;
use super::layout::{PAGE_BYTES, whole_pages};
use super::window::Window;
use crate::format::FormatError;
use crate::format::chunk::{HEADER_BYTES, Header, Tombstone};
use crate::ids::{Incarnation, Nonce};

/// A walk through one file. Call [`Walk::step`] until it answers [`Step::End`].
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) window: Window<'a>,
    pub(super) chain: Chain,
    inc: Incarnation,
    /// First slot of the next file: what this file holds from there on is void.
    limit: Option<u64>,
    position: u64,
}

/// What the next frame has to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Its slot.
    pub(super) next: u64,
    /// Nonce before it; none if it is not known, as behind damage.
    pub(super) nonce: Option<Nonce>,
}

/// One finding.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame that continues the chain.
    Frame(Frame),
    /// Slots from the chain's end to `to` cannot be read, and a later one can.
    Gap { to: u64, position: u64 },
    /// Nothing more. `torn` if a frame that would have come next begins here and is not whole.
    End { position: u64, torn: bool },
}

/// A frame whose header and index are whole.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) place: Place,
    pub(super) body: Body,
}

/// What lies behind a header.
#[derive(Debug)]
pub(super) enum Body {
    Chunk(Vec<Entry>),
    Tombstone(Tombstone),
}

impl<'a> Walk<'a> {
    /// Begins behind the file's first page.
    pub(super) fn new(
        window: Window<'a>,
        inc: Incarnation,
        chain: Chain,
        limit: Option<u64>,
    ) -> Self {
        Self {
            window,
            chain,
            inc,
            limit,
            position: PAGE_BYTES,
        }
    }

    /// The next finding. Fails if a later version wrote the frame that comes next.
    pub(super) fn step(&mut self) -> Result<Step, FormatError> {
        if self.limit.is_some_and(|limit| self.chain.next >= limit) {
            return Ok(Step::End {
                position: self.position,
                torn: false,
            });
        }
        let position = self.position;
        let mut header = self.next_header()?;
        let mut frame = header.and_then(|header| self.frame(header));
        if frame.is_none() {
            // Damage is what is read so twice: a bit may have turned round on its way.
            self.window.forget();
            header = self.next_header()?;
            frame = header.and_then(|header| self.frame(header));
        }
        if let Some(frame) = frame {
            self.position += whole_pages(frame.header.frame_bytes());
            self.chain = Chain {
                next: frame.header.link.seq + 1,
                nonce: Some(frame.header.link.nonce),
            };
            return Ok(Step::Frame(frame));
        }
        // A header that is whole tells where the next frame begins; without one it may be anywhere.
        let bad_bytes = header.map_or(0, |header| whole_pages(header.frame_bytes()));
        let from = position.saturating_add(bad_bytes);
        Ok(match self.search(from) {
            Some((to, found)) => {
                self.position = found;
                self.chain = Chain {
                    next: to,
                    nonce: None,
                };
                Step::Gap { to, position }
            }
            None => Step::End {
                position,
                torn: header.is_some(),
            },
        })
    }

    /// True if the frame's payload is what its header says.
    pub(super) fn payload_is_whole(&mut self, frame: &Frame) -> bool {
        let position = frame.place.position + frame.header.payload_pos();
        let len = frame.header.payload_len.into();
        for _ in 0..2 {
            if self.window.crc(position, len) == Some(frame.header.payload_crc) {
                return true;
            }
            self.window.forget();
        }
        false
    }

    /// The header here, if it continues the chain.
    fn next_header(&mut self) -> Result<Option<Header>, FormatError> {
        let header = self.header(self.position)?;
        Ok(header.filter(|header| self.continues(header)))
    }

    /// A header at `position`, if there is one that can be believed.
    fn header(&mut self, position: u64) -> Result<Option<Header>, FormatError> {
        let Some(bytes) = self.window.bytes(position, HEADER_BYTES as u64) else {
            return Ok(None);
        };
        match Header::decode(bytes) {
            Ok(header) => Ok(Some(header)),
            // Every format keeps the header's length and checksum, so this tells a later version
            // from damage. Going on would cut its frames off.
            Err(error @ FormatError::UnknownFormat { .. }) if has_checksum(bytes) => Err(error),
            Err(
                FormatError::UnknownFormat { .. }
                | FormatError::Short { .. }
                | FormatError::Magic { .. }
                | FormatError::Checksum { .. }
                | FormatError::Value { .. }
                | FormatError::TooLarge { .. },
            ) => Ok(None),
        }
    }

    fn continues(&self, header: &Header) -> bool {
        header.link.inc == self.inc
            && header.link.seq == self.chain.next
            && header.link.seq < u64::MAX
            && self
                .chain
                .nonce
                .is_none_or(|nonce| nonce == header.link.prev_nonce)
    }

    /// The whole frame, the payload unread.
    fn frame(&mut self, header: Header) -> Option<Frame> {
        let position = self.position;
        let frame_bytes = header.frame_bytes();
        position
            .checked_add(frame_bytes)
            .filter(|end| *end <= self.window.len())?;
        let index = self
            .window
            .bytes(position + HEADER_BYTES as u64, header.index_len.into())?;
        let body = match header.tombstone {
            true => Body::Tombstone(header.decode_tombstone(index).ok()?),
            false => Body::Chunk(header.decode_index(index).ok()?),
        };
        Some(Frame {
            header,
            place: Place::of(position, &header),
            body,
        })
    }

    /// The first later frame of this journal from `position` on: its slot and place.
    fn search(&mut self, position: u64) -> Option<(u64, u64)> {
        let len = self.window.len();
        let later = (self.chain.next.checked_add(1)?)..self.limit.unwrap_or(u64::MAX);
        let mut position = position;
        while position < len {
            if let Ok(Some(header)) = self.header(position)
                && header.link.inc == self.inc
                && later.contains(&header.link.seq)
            {
                return Some((header.link.seq, position));
            }
            position += PAGE_BYTES;
        }
        None
    }
}

fn has_checksum(header: &[u8]) -> bool {
    let (fields, checksum) = header.split_at(HEADER_BYTES - 4);
    crc::crc32c(fields).to_le_bytes() == checksum
}
