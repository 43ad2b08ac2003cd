//! Giving slots up: files are recycled whole, a tombstone stays.

use super::{LocalSlots, Tail, TailFile};
use crate::disk;
use crate::error::StoreError;
use crate::format::journal_file::FileHeader;
use crate::ids::Incarnation;
use crate::local::index::{FileIndex, Place, Slots as SlotIndex};
use crate::local::layout::{self, PAGE_BYTES, whole_pages};
use crate::traits::Slot;

impl LocalSlots {
    pub(super) fn remove_below(&self, inc: Incarnation, seq: u64) -> Result<(), StoreError> {
        let mut tails = self.tails();
        self.load_tail(&mut tails, inc)?;
        let tail = tails.get_mut(&inc).expect("the tail was just loaded");
        self.keep_tombstone_alone(tail, inc, seq)?;
        // Nobody who writes has to wait for the rest: the last file stays in any case.
        drop(tails);
        // From the oldest on, so that whatever interrupts this leaves no hole.
        loop {
            let mut index = self.index_mut();
            let Some(journal) = index.get_mut(&inc) else {
                return Ok(());
            };
            let Some(first) = journal.files.keys().next().copied() else {
                return Ok(());
            };
            if journal.after(first).is_none_or(|next| next > seq) {
                return Ok(());
            }
            journal.files.remove(&first);
            drop(index);
            let path = layout::path(inc, first);
            self.spares.give(&path)?;
            self.disk
                .sync_dir(disk::parent(&path))
                .map_err(|error| StoreError::io("Cannot sync", self.disk.show(&path), error))?;
        }
    }

    /// If all of a sealed journal is given up but its tombstone, the tombstone moves into a small
    /// file of its own, so that the rest can go.
    fn keep_tombstone_alone(
        &self,
        tail: &mut Tail,
        inc: Incarnation,
        seq: u64,
    ) -> Result<(), StoreError> {
        let Some(end) = tail.end.filter(|end| end.link.seq <= seq) else {
            return Ok(());
        };
        let slot = Slot {
            inc,
            seq: end.link.seq,
        };
        let last = self
            .index()
            .get(&inc)
            .and_then(|journal| journal.files.keys().next_back().copied());
        if last == Some(slot.seq) {
            return Ok(());
        }
        let (_, _, place) = self.place(slot)?;
        let frame = crate::traits::Slots::get(self, slot, 0..u64::from(place.bytes))?;
        let header = FileHeader {
            inc,
            first_seq: slot.seq,
            preallocated: 0,
            prev_nonce: end.link.prev_nonce,
            after_damage: false,
        };
        let begun = layout::begin_with(&*self.disk, &self.spares, header, &frame)?;
        let mut slots = SlotIndex::default();
        slots.push(
            slot.seq,
            Place {
                position: PAGE_BYTES,
                bytes: place.bytes,
            },
        );
        let file = FileIndex {
            id: self.file_id(),
            slots: Some(slots),
        };
        self.index_mut()
            .entry(inc)
            .or_default()
            .files
            .insert(slot.seq, file);
        let position = PAGE_BYTES + whole_pages(end.frame_bytes());
        tail.file = Some(TailFile {
            file: begun.file,
            first_seq: slot.seq,
            position,
            bytes: begun.bytes,
        });
        Ok(())
    }
}
