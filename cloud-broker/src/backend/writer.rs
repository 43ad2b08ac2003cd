//! Puts chunks into the journal of this incarnation, one after the other.

use std::sync::Arc;

use headwater_broker_core::journal::Draft;
use headwater_broker_core::tail_index::Place;
use headwater_store::format::chunk::{self, Header, Link, Reason, Tombstone};
use headwater_store::traits::{Slot, Slots};
use headwater_store::{ErrorKind, Incarnation, Nonce, Outcome, StoreError};

use super::random;

/// The end of this incarnation's journal.
#[derive(Debug)]
pub(super) struct Writer {
    slots: Arc<dyn Slots>,
    inc: Incarnation,
    /// Index into the table of incarnations.
    journal: u32,
    next_seq: u64,
    prev_nonce: Nonce,
    /// Header and index of the chunk that is being written; memory is used again.
    head: Vec<u8>,
    bytes: u64,
    /// Nothing may be written any more.
    is_over: bool,
}

/// Where a chunk came to lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    journal: u32,
    seq: u64,
    payload_pos: u32,
}

impl Written {
    /// The place of a batch whose entry says where it lies within the payload.
    pub(super) fn place(&self, pos: u32, len: u32) -> Place {
        Place {
            journal: self.journal,
            seq: self.seq,
            pos: self.payload_pos + pos,
            len,
        }
    }

    /// A chunk that was found in a journal.
    pub(super) fn found(journal: u32, header: &Header) -> Self {
        let payload_pos = u32::try_from(header.payload_pos()).unwrap_or(u32::MAX);
        Self {
            journal,
            seq: header.link.seq,
            payload_pos,
        }
    }
}

impl Writer {
    /// An empty journal.
    pub(super) fn new(slots: Arc<dyn Slots>, inc: Incarnation, journal: u32) -> Self {
        Self {
            slots,
            inc,
            journal,
            next_seq: 0,
            prev_nonce: Nonce::default(),
            head: Vec::new(),
            bytes: 0,
            is_over: false,
        }
    }

    /// Bytes written by this incarnation.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its place in the table of incarnations.
    pub(super) fn journal(&self) -> u32 {
        self.journal
    }

    /// The slot that comes next.
    pub(super) fn next(&self) -> Slot {
        Slot {
            inc: self.inc,
            seq: self.next_seq,
        }
    }

    /// Writes a chunk; durable when it returns. After an error it is not there as far as this
    /// process goes, and the next chunk takes its place; unless nobody knows whether it is there,
    /// or somebody else has ended the journal: then nothing more is written.
    pub(super) fn put(&mut self, draft: &Draft) -> Result<Written, StoreError> {
        let link = self.link();
        let encoded = chunk::encode_into(&link, &draft.entries, &[&draft.payload], &mut self.head);
        let header = encoded.map_err(|error| {
            StoreError::format("Cannot encode the chunk of", self.next(), error)
        })?;
        self.check_open()?;
        let put = put_frame(&*self.slots, self.next(), &[&self.head, &draft.payload]);
        self.is_over |= put
            .as_ref()
            .is_err_and(|error| error.kind == ErrorKind::Exists);
        put?;
        let written = Written::found(self.journal, &header);
        self.next_seq += 1;
        self.prev_nonce = link.nonce;
        self.bytes += header.frame_bytes();
        Ok(written)
    }

    /// Ends the journal in order. Gives the slot of its tombstone.
    pub(super) fn seal(&mut self) -> Result<u64, StoreError> {
        let tombstone = Tombstone {
            sealer: self.inc,
            reason: Reason::Stop,
            note: String::new(),
        };
        let frame = chunk::encode_tombstone(&self.link(), &tombstone);
        self.check_open()?;
        put_frame(&*self.slots, self.next(), &[&frame])?;
        Ok(self.next_seq)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        match self.is_over {
            true => Err(StoreError::new(
                ErrorKind::Exists,
                "Cannot go on at",
                self.next(),
            )),
            false => Ok(()),
        }
    }

    fn link(&self) -> Link {
        Link {
            inc: self.inc,
            seq: self.next_seq,
            nonce: Nonce(random()),
            prev_nonce: self.prev_nonce,
            low_water: 0,
        }
    }
}

/// Puts the same bytes until it is known whether they are there. An error of kind `Exists` means
/// that something else is in the slot, or may be: no other bytes may go there.
pub(super) fn put_frame(slots: &dyn Slots, slot: Slot, frame: &[&[u8]]) -> Result<(), StoreError> {
    let mut unknown = false;
    loop {
        match slots.put_absent(slot, frame) {
            Ok(Outcome::Mine) => return Ok(()),
            Ok(Outcome::Theirs(_)) => {
                return Err(StoreError::new(
                    ErrorKind::Exists,
                    "Somebody else ended",
                    slot,
                ));
            }
            Ok(Outcome::Unknown) => unknown = true,
            Err(error) if unknown => {
                let what = "Nobody knows what is in";
                return Err(StoreError::new(ErrorKind::Exists, what, slot).because(error));
            }
            Err(error) => return Err(error),
        }
    }
}
