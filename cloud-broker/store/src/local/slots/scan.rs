//! Reading a journal to its end: what is there, what is damaged, and where the next frame goes.
//!
//! A bad frame with a valid frame of a higher slot behind it, in this or a later file, is damage:
//! what follows is kept. So is a file that is shorter than it was made. Only a bad frame with
//! nothing valid behind it is a torn tail, and is cut.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use super::{LocalSlots, Tail, TailFile};
use crate::disk::{self, DiskFile};
use crate::error::StoreError;
use crate::format::FormatError;
use crate::format::journal_file::{self, FileHeader};
use crate::ids::{Incarnation, Nonce};
use crate::local::index::{FileIndex, Place, Slots as SlotIndex};
use crate::local::layout::{self, PAGE_LEN, sync_journal};
use crate::local::walk::{Body, Chain, Frame, Step, Walk};
use crate::local::window::Window;
use crate::traits::{Damage, ScanEnd, Scanned, Slot};

type Each<'a> = &'a mut dyn FnMut(Scanned) -> Result<(), StoreError>;

impl LocalSlots {
    /// See [`crate::traits::Slots::scan`]. Afterwards the journal's tail is known.
    pub(super) fn scan_journal(
        &self,
        tails: &mut BTreeMap<Incarnation, Tail>,
        inc: Incarnation,
        from: u64,
        each: Each<'_>,
    ) -> Result<ScanEnd, StoreError> {
        let files = layout::files(&*self.disk, inc)?;
        self.register(inc, &files);
        let mut known = tails.remove(&inc);
        let mut chain = Chain {
            next: files.first().copied().unwrap_or(0),
            nonce: None,
        };
        let mut torn = None;
        for (at, first) in files.iter().copied().enumerate() {
            let next_file = files.get(at + 1).copied();
            if next_file.is_some_and(|next| next <= from) {
                chain = Chain {
                    next: next_file.unwrap_or(first),
                    nonce: None,
                };
                continue;
            }
            let mut file = self.open_file(inc, first, chain, from, each)?;
            let limit = next_file.or_else(|| known.as_ref().map(|tail| tail.next));
            chain = file.walk(limit)?;
            if limit.is_none() {
                let tail = file.end_journal(self)?;
                torn = file.torn.then(|| file.place_of_end());
                known = Some(tail);
            }
            self.keep_slots(inc, first, file.report.slots);
        }
        let tail = known.unwrap_or_else(Tail::empty);
        let end = ScanEnd {
            first: files.first().copied().unwrap_or(0),
            next: tail.next,
            nonce: tail.nonce,
            sealed: tail.end.is_some(),
            torn,
        };
        if tail.after_damage {
            each(Scanned::Damage(Damage {
                from: tail.next,
                to: None,
                place: self.disk.show(&layout::directory(inc)),
                what: "The end of the journal cannot be read",
            }))?;
        }
        tails.insert(inc, tail);
        Ok(end)
    }

    /// Reads the headers of the file that a slot would lie in.
    pub(super) fn read_file_of(&self, slot: Slot) -> Result<(), StoreError> {
        let mut tails = self.tails();
        self.load_tail(&mut tails, slot.inc)?;
        let file = self.index().get(&slot.inc).and_then(|journal| {
            let (first, file, next) = journal.file_of(slot.seq)?;
            file.slots.is_none().then_some((first, next))
        });
        let Some((first, next)) = file else {
            return Ok(());
        };
        let chain = Chain {
            next: first,
            nonce: None,
        };
        let nobody: Each<'_> = &mut |_| Ok(());
        let mut file = self.open_file(slot.inc, first, chain, u64::MAX, nobody)?;
        file.walk(next.or_else(|| tails.get(&slot.inc).map(|tail| tail.next)))?;
        self.keep_slots(slot.inc, first, file.report.slots);
        Ok(())
    }

    fn register(&self, inc: Incarnation, files: &[u64]) {
        let mut index = self.index_mut();
        let journal = index.entry(inc).or_default();
        for first in files {
            let unread = || FileIndex {
                id: self.file_id(),
                slots: None,
            };
            journal.files.entry(*first).or_insert_with(unread);
        }
    }

    fn keep_slots(&self, inc: Incarnation, first: u64, slots: SlotIndex) {
        let mut index = self.index_mut();
        let file = index
            .get_mut(&inc)
            .and_then(|journal| journal.files.get_mut(&first));
        if let Some(file) = file {
            // The file that is written to knows its slots already.
            file.slots.get_or_insert(slots);
        }
    }

    /// Opens a file and tells what its first page lacks. `chain` is where the one before ended.
    fn open_file<'a>(
        &self,
        inc: Incarnation,
        first: u64,
        chain: Chain,
        from: u64,
        each: Each<'a>,
    ) -> Result<FileScan<'a>, StoreError> {
        let path = layout::path(inc, first);
        let place = self.disk.show(&path);
        let fail = |error| StoreError::io("Cannot read", &place, error);
        let file = self.disk.open(&path).map_err(fail)?;
        let mut window = Window::new(&*file).map_err(fail)?;
        let header = first_page(&mut window, inc, first)
            .map_err(|error| StoreError::format("Cannot read", &place, error))?;
        let bytes = window.len();
        let mut report = Report {
            slots: SlotIndex::default(),
            pending: None,
            sealed: false,
            place,
            from,
            each,
        };
        let nonce = match header {
            Some(header) => Some(header.prev_nonce),
            None => chain.nonce.filter(|_| chain.next == first),
        };
        if header.is_none() {
            report.damage(
                first,
                Some(first),
                0,
                "The first page of the file is damaged",
            )?;
        }
        if header.is_some_and(|header| header.after_damage) {
            report.damage(first, None, 0, "The end of the file before was damaged")?;
        }
        let short = header.is_some_and(|header| bytes < header.preallocated);
        Ok(FileScan {
            file,
            inc,
            first,
            short,
            unreadable: false,
            chain: Chain { next: first, nonce },
            last_nonce: nonce.unwrap_or_default(),
            end: layout::PAGE_BYTES,
            torn: false,
            bytes,
            report,
        })
    }
}

/// One file being read.
struct FileScan<'a> {
    file: Arc<dyn DiskFile>,
    inc: Incarnation,
    first: u64,
    /// Shorter than it was made.
    short: bool,
    unreadable: bool,
    chain: Chain,
    /// Of the last frame that is whole.
    last_nonce: Nonce,
    /// Where the next frame would go.
    end: u64,
    torn: bool,
    bytes: u64,
    report: Report<'a>,
}

impl FileScan<'_> {
    /// Reads all frames, and tells those that are known to have been committed: all of them if
    /// `limit` is given, all but the last otherwise. Answers where the chain ends.
    fn walk(&mut self, limit: Option<u64>) -> Result<Chain, StoreError> {
        let file = Arc::clone(&self.file);
        let window = Window::new(&*file)
            .map_err(|error| StoreError::io("Cannot read", &self.report.place, error))?;
        let mut walk = Walk::new(window, self.inc, self.chain, limit);
        loop {
            let before = walk.chain;
            let step = walk
                .step()
                .map_err(|error| StoreError::format("Cannot read", &self.report.place, error))?;
            match step {
                Step::Frame(frame) => {
                    let nonce = frame.header.link.nonce;
                    self.report.frame(Pending {
                        frame,
                        before,
                        nonce_before: self.last_nonce,
                    })?;
                    self.last_nonce = nonce;
                }
                Step::Gap { to, position } => {
                    self.report
                        .damage(before.next, Some(to), position, DAMAGED)?;
                }
                Step::End { position, torn } => {
                    self.end = position;
                    self.torn = torn;
                    break;
                }
            }
        }
        self.chain = walk.chain;
        match limit {
            Some(limit) => self.end_before(limit)?,
            None => self.check_last(&mut walk),
        }
        self.unreadable = walk.window.unreadable;
        Ok(self.chain)
    }

    /// A later file proves that all slots before its first were committed.
    fn end_before(&mut self, limit: u64) -> Result<(), StoreError> {
        self.report.flush()?;
        let next = self.chain.next;
        let sealed = self.report.sealed;
        if next < limit {
            self.report.damage(next, Some(limit), self.end, DAMAGED)?;
        } else if self.short && !sealed {
            self.report
                .damage(next, Some(next), self.bytes, "The file was cut off")?;
        }
        self.chain = Chain {
            next: limit,
            nonce: self.chain.nonce.filter(|_| next == limit),
        };
        Ok(())
    }

    /// Only the last frame can be torn: each was synced before the next was written.
    fn check_last(&mut self, walk: &mut Walk<'_>) {
        let Some(pending) = &self.report.pending else {
            return;
        };
        if walk.payload_is_whole(&pending.frame) {
            return;
        }
        self.torn = true;
        self.end = pending.frame.place.position;
        self.chain = pending.before;
        self.last_nonce = pending.nonce_before;
        self.report.pending = None;
    }

    /// Makes the journal's end certain, tells its last frame, and answers where the next one goes.
    fn end_journal(&mut self, slots: &LocalSlots) -> Result<Tail, StoreError> {
        let end = self
            .report
            .pending
            .as_ref()
            .map(|pending| pending.frame.header);
        let end = end.filter(|header| header.tombstone);
        let after_damage = end.is_none() && (self.short || self.unreadable);
        if end.is_none() || self.bytes > self.end {
            self.settle(slots)
                .map_err(|error| StoreError::io("Cannot settle", &self.report.place, error))?;
        }
        if end.is_some() {
            super::give_back(&*self.file, self.end);
        }
        self.report.flush()?;
        let file = TailFile {
            file: Arc::clone(&self.file),
            first_seq: self.first,
            position: self.end,
            bytes: self.bytes,
        };
        Ok(Tail {
            next: self.chain.next,
            nonce: self.last_nonce,
            end,
            file: (end.is_none() && !after_damage && self.bytes >= self.end).then_some(file),
            after_damage,
        })
    }

    /// The last frame may only be in the system's memory, even marked as written there by a sync
    /// that failed. Nobody may read what can vanish, so it is written once more, the same bytes,
    /// and synced, and so are the names that lead to it.
    fn settle(&self, slots: &LocalSlots) -> std::io::Result<()> {
        if let Some(pending) = &self.report.pending {
            let Place { position, bytes } = pending.frame.place;
            let mut frame = vec![0; bytes as usize];
            disk::read_exact_at(&*self.file, &mut frame, position)?;
            frame.resize(frame.len().next_multiple_of(PAGE_LEN), 0);
            disk::write_all_at(&*self.file, &mut [IoSlice::new(&frame)], position)?;
        }
        sync_journal(&*self.file)?;
        slots.disk.sync_dir(&layout::directory(self.inc))?;
        slots.disk.sync_dir(layout::JOURNALS)
    }

    fn place_of_end(&self) -> String {
        format!("{} at {}", self.report.place, self.end)
    }
}

const DAMAGED: &str = "A frame is damaged";

/// Tells findings in order, the newest frame held back until it is known to be committed.
struct Report<'a> {
    slots: SlotIndex,
    pending: Option<Pending>,
    sealed: bool,
    place: String,
    from: u64,
    each: Each<'a>,
}

struct Pending {
    frame: Frame,
    before: Chain,
    nonce_before: Nonce,
}

impl Report<'_> {
    fn frame(&mut self, pending: Pending) -> Result<(), StoreError> {
        self.flush()?;
        self.pending = Some(pending);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let Some(Pending {
            frame:
                Frame {
                    header,
                    place,
                    body,
                },
            ..
        }) = self.pending.take()
        else {
            return Ok(());
        };
        self.slots.push(header.link.seq, place);
        self.sealed |= header.tombstone;
        if header.link.seq < self.from {
            return Ok(());
        }
        (self.each)(match body {
            Body::Chunk(entries) => Scanned::Chunk { header, entries },
            Body::Tombstone(tombstone) => Scanned::Tombstone { header, tombstone },
        })
    }

    fn damage(
        &mut self,
        from: u64,
        to: Option<u64>,
        position: u64,
        what: &'static str,
    ) -> Result<(), StoreError> {
        self.flush()?;
        if to.is_some_and(|to| to < self.from) {
            return Ok(());
        }
        let place = format!("{} at {position}", self.place);
        (self.each)(Scanned::Damage(Damage {
            from,
            to,
            place,
            what,
        }))
    }
}

/// The file's header; none if it is damaged. Fails if a later version wrote it.
fn first_page(
    window: &mut Window<'_>,
    inc: Incarnation,
    first: u64,
) -> Result<Option<FileHeader>, FormatError> {
    let Some(bytes) = window.bytes(0, journal_file::HEADER_BYTES as u64) else {
        return Ok(None);
    };
    match FileHeader::decode(bytes) {
        Ok(header) => Ok(Some(header).filter(|h| h.inc == inc && h.first_seq == first)),
        Err(error @ FormatError::UnknownFormat { .. }) if journal_file::has_checksum(bytes) => {
            Err(error)
        }
        Err(_) => Ok(None),
    }
}
