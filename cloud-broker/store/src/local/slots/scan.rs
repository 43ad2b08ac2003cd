//! Reading a journal from front to end: what is there and what is damaged.
//!
//! A bad frame with a valid frame of a higher slot behind it, in this or a later file, is damage:
//! what follows is kept. So is a file that is shorter than it was made. Only a bad frame with
//! nothing valid behind it is a torn tail; `tail` has cut it before anything is told here.

use super::LocalSlots;
use super::file::JournalFile;
use crate::error::StoreError;
use crate::ids::Incarnation;
use crate::local::index::{FileIndex, Slots as SlotIndex};
use crate::local::layout;
use crate::local::walk::{Body, Frame, Step};
use crate::traits::{Damage, ScanEnd, Scanned, Slot};

type Each<'a> = &'a mut dyn FnMut(Scanned) -> Result<(), StoreError>;

impl LocalSlots {
    /// See [`crate::traits::Slots::scan`]. No lock is held while `each` is called.
    pub(super) fn scan_journal(
        &self,
        inc: Incarnation,
        from: u64,
        each: Each<'_>,
    ) -> Result<ScanEnd, StoreError> {
        let (end, after_damage) = self.end_of(inc)?;
        let files = layout::files(&*self.disk, inc)?;
        let mut report = Report { from, each };
        for (at, first_seq) in files.iter().copied().enumerate() {
            let limit = files.get(at + 1).copied();
            if limit.is_some_and(|limit| limit <= from) {
                continue;
            }
            let file = self.open_file(inc, first_seq)?;
            let slots = report.file(&file, limit.unwrap_or(end.next))?;
            self.keep_slots(inc, first_seq, slots);
        }
        if after_damage {
            let place = self.disk.show(&layout::directory(inc));
            let what = "The end of the journal cannot be read";
            report.damage(Damage {
                from: end.next,
                to: None,
                place,
                what,
            })?;
        }
        Ok(end)
    }

    /// Reads the headers of the file that a slot would lie in.
    pub(super) fn read_file_of(&self, slot: Slot) -> Result<(), StoreError> {
        let (end, _) = self.end_of(slot.inc)?;
        let unread = self.index().get(&slot.inc).and_then(|journal| {
            let (first_seq, file, next_file) = journal.file_of(slot.seq)?;
            file.slots.is_none().then_some((first_seq, next_file))
        });
        let Some((first_seq, next_file)) = unread else {
            return Ok(());
        };
        let file = self.open_file(slot.inc, first_seq)?;
        let mut report = Report {
            from: u64::MAX,
            each: &mut |_| Ok(()),
        };
        let slots = report.file(&file, next_file.unwrap_or(end.next))?;
        self.keep_slots(slot.inc, first_seq, slots);
        Ok(())
    }

    /// Puts files into the index that are not there yet.
    pub(super) fn register(&self, inc: Incarnation, files: &[u64]) {
        let mut index = self.index_mut();
        let journal = index.entry(inc).or_default();
        for first_seq in files {
            let unread = || FileIndex {
                id: self.file_id(),
                slots: None,
            };
            journal.files.entry(*first_seq).or_insert_with(unread);
        }
    }

    /// Remembers what was found in a file, unless that is known already.
    pub(super) fn keep_slots(&self, inc: Incarnation, first_seq: u64, slots: SlotIndex) {
        let mut index = self.index_mut();
        let file = index
            .get_mut(&inc)
            .and_then(|journal| journal.files.get_mut(&first_seq));
        if let Some(file) = file {
            file.slots.get_or_insert(slots);
        }
    }

    /// Where the journal ends, and whether that end is damaged.
    fn end_of(&self, inc: Incarnation) -> Result<(ScanEnd, bool), StoreError> {
        let mut tails = self.tails();
        self.load_tail(&mut tails, inc)?;
        let tail = tails.get(&inc).expect("the tail was just loaded");
        let index = self.index();
        let first = index
            .get(&inc)
            .and_then(|journal| journal.files.keys().next());
        let end = ScanEnd {
            first: first.copied().unwrap_or(tail.next),
            next: tail.next,
            nonce: tail.nonce,
            sealed: tail.end.is_some(),
            torn: tail.torn.clone(),
        };
        Ok((end, tail.after_damage))
    }
}

/// Tells findings from slot `from` on.
struct Report<'a> {
    from: u64,
    each: Each<'a>,
}

impl Report<'_> {
    /// All of one file. Slots below `limit` were committed: a later file, or the journal's end,
    /// proves it.
    fn file(&mut self, file: &JournalFile, limit: u64) -> Result<SlotIndex, StoreError> {
        self.first_page(file)?;
        let mut slots = SlotIndex::default();
        let mut sealed = false;
        let mut walk = file.walk(Some(limit))?;
        let end = loop {
            let from = walk.chain.next;
            match walk.step().map_err(|error| file.refuse(error))? {
                Step::Frame(frame) => {
                    slots.push(frame.header.link.seq, frame.place);
                    sealed |= frame.header.tombstone;
                    self.frame(frame)?;
                }
                Step::Gap { to, position } => self.frame_damage(from, to, file.at(position))?,
                Step::End { position, .. } => break position,
            }
        };
        let next = walk.chain.next;
        if next < limit {
            self.frame_damage(next, limit, file.at(end))?;
        } else if file.is_short() && !sealed {
            let what = "The file was cut off";
            let place = file.at(file.bytes);
            self.damage(Damage {
                from: next,
                to: Some(next),
                place,
                what,
            })?;
        }
        Ok(slots)
    }

    fn first_page(&mut self, file: &JournalFile) -> Result<(), StoreError> {
        let (to, what) = match file.header {
            None => (
                Some(file.first_seq),
                "The first page of the file is damaged",
            ),
            Some(header) if header.after_damage => (None, "The end of the file before was damaged"),
            Some(_) => return Ok(()),
        };
        self.damage(Damage {
            from: file.first_seq,
            to,
            place: file.at(0),
            what,
        })
    }

    fn frame(&mut self, frame: Frame) -> Result<(), StoreError> {
        let Frame { header, body, .. } = frame;
        if header.link.seq < self.from {
            return Ok(());
        }
        (self.each)(match body {
            Body::Chunk(entries) => Scanned::Chunk { header, entries },
            Body::Tombstone(tombstone) => Scanned::Tombstone { header, tombstone },
        })
    }

    fn frame_damage(&mut self, from: u64, to: u64, place: String) -> Result<(), StoreError> {
        self.damage(Damage {
            from,
            to: Some(to),
            place,
            what: "A frame is damaged",
        })
    }

    fn damage(&mut self, damage: Damage) -> Result<(), StoreError> {
        match damage.to.is_some_and(|to| to < self.from) {
            true => Ok(()),
            false => (self.each)(Scanned::Damage(damage)),
        }
    }
}
