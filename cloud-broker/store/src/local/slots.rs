//! Journals in files: one write and one sync for each frame, at a page's boundary, into space that
//! was written before.

mod file;
mod handles;
mod remove;
mod scan;
mod tail;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use self::handles::Handles;
use super::LocalOptions;
use super::index::{FileIndex, JournalIndex, Place, Slots as SlotIndex};
use super::layout::{self, PAGE_BYTES, PAGE_LEN, sync_journal, whole_pages};
use super::spares::{Preparer, Spares};
use crate::disk::{self, Disk, DiskFile};
use crate::error::{ErrorKind, StoreError};
use crate::format::chunk::{HEADER_BYTES, Header};
use crate::format::journal_file::FileHeader;
use crate::ids::{Incarnation, Nonce};
use crate::traits::{Outcome, ScanEnd, Scanned, Slot, Slots};

/// All journals of a data directory.
///
/// Locks are taken in the order `tails`, `index`, `handles`; nothing but writers and scans waits
/// for a sync.
#[derive(Debug)]
pub(super) struct LocalSlots {
    /// First, so that its thread has ended before the disk is let go.
    preparer: Preparer,
    disk: Arc<dyn Disk>,
    spares: Arc<Spares>,
    tails: Mutex<BTreeMap<Incarnation, Tail>>,
    index: RwLock<BTreeMap<Incarnation, JournalIndex>>,
    handles: Handles,
    next_file_id: AtomicU64,
}

/// Where a journal's next frame goes.
#[derive(Debug)]
struct Tail {
    next: u64,
    /// Of the slot before.
    nonce: Nonce,
    /// The tombstone, if the journal has ended.
    end: Option<Header>,
    /// The file to write to; none if a new one has to be begun.
    file: Option<TailFile>,
    /// The file before is damaged at its end.
    after_damage: bool,
    /// Where a torn frame was found when the journal was opened.
    torn: Option<String>,
}

#[derive(Debug)]
struct TailFile {
    file: Arc<dyn DiskFile>,
    first_seq: u64,
    /// Where the next frame goes.
    position: u64,
    /// Length of the file.
    bytes: u64,
}

impl LocalSlots {
    pub(super) fn open(disk: Arc<dyn Disk>, options: LocalOptions) -> Result<Self, StoreError> {
        let spares = Spares::open(Arc::clone(&disk), options)?;
        Ok(Self {
            preparer: Preparer::start(&spares)?,
            disk,
            spares,
            tails: Mutex::default(),
            index: RwLock::default(),
            handles: Handles::default(),
            next_file_id: AtomicU64::new(0),
        })
    }
}

impl Slots for LocalSlots {
    fn put_absent(&self, slot: Slot, frame: &[&[u8]]) -> Result<Outcome<Header>, StoreError> {
        let header = check_frame(slot, frame)?;
        let mut tails = self.tails();
        self.load_tail(&mut tails, slot.inc)?;
        let tail = tails.get_mut(&slot.inc).expect("the tail was just loaded");
        if let Some(end) = tail.end.filter(|end| slot.seq >= end.link.seq) {
            return Ok(whose(&header, end));
        }
        if slot.seq < tail.next {
            // What is there stays there; to read it may need the lock.
            drop(tails);
            return Ok(whose(&header, self.header(slot)?));
        }
        if slot.seq != tail.next || header.link.prev_nonce != tail.nonce {
            let what = "Cannot put a frame that does not continue the journal at";
            return Err(StoreError::new(ErrorKind::Invalid, what, slot));
        }
        self.put_next(tail, &header, frame)?;
        Ok(Outcome::Mine)
    }

    fn get(&self, slot: Slot, range: Range<u64>) -> Result<Bytes, StoreError> {
        loop {
            let (first_seq, file_id, place) = self.place(slot)?;
            let part = place.part(&range);
            let part = part
                .ok_or_else(|| StoreError::new(ErrorKind::Invalid, "Cannot read part of", slot))?;
            let read = self.read(slot.inc, first_seq, file_id, part);
            // A file that was given up meanwhile may already hold something else.
            if self.is_current(slot.inc, first_seq, file_id) {
                let path = layout::path(slot.inc, first_seq);
                return read.map_err(|error| {
                    StoreError::read("Cannot read", self.disk.show(&path), error)
                });
            }
        }
    }

    fn forget(&self, slot: Slot) {
        if let Ok((first_seq, file_id, _)) = self.place(slot)
            && let Ok(file) = self.file(slot.inc, first_seq, file_id)
        {
            file.forget();
        }
    }

    fn scan(
        &self,
        inc: Incarnation,
        from: u64,
        each: &mut dyn FnMut(Scanned) -> Result<(), StoreError>,
    ) -> Result<ScanEnd, StoreError> {
        self.scan_journal(inc, from, each)
    }

    fn incarnations(&self) -> Result<Vec<Incarnation>, StoreError> {
        let fail = |error| StoreError::io("Cannot list", self.disk.show(layout::JOURNALS), error);
        let entries = self.disk.list(layout::JOURNALS).map_err(fail)?;
        Ok(entries
            .iter()
            .filter_map(|entry| Incarnation::parse(&entry.name))
            .collect())
    }

    fn delete_below(&self, inc: Incarnation, seq: u64) -> Result<(), StoreError> {
        self.remove_below(inc, seq)
    }
}

impl LocalSlots {
    /// Writes and syncs the frame that comes next. An error ends trust in the file: the next
    /// attempt begins a new one, whose first slot is this one, and that makes the rest of the old
    /// one void.
    fn put_next(
        &self,
        tail: &mut Tail,
        header: &Header,
        frame: &[&[u8]],
    ) -> Result<(), StoreError> {
        let bytes = whole_pages(header.frame_bytes());
        let link = &header.link;
        if tail
            .file
            .as_ref()
            .is_none_or(|file| file.bytes - file.position < bytes)
        {
            tail.file = None;
            tail.file = Some(self.begin_file(tail, header, bytes)?);
            tail.after_damage = false;
        }
        let mut file = tail.file.take().expect("a file was just begun");
        write_frame(&*file.file, file.position, frame).map_err(|error| {
            let path = layout::path(link.inc, file.first_seq);
            StoreError::io("Cannot write and sync", self.disk.show(&path), error)
        })?;
        let place = Place::of(file.position, header);
        self.remember(link.inc, file.first_seq, link.seq, place);
        file.position += bytes;
        tail.next = link.seq + 1;
        tail.nonce = link.nonce;
        if header.tombstone {
            tail.end = Some(*header);
            give_back(&*file.file, file.position);
        } else {
            // Long before this one is full: nobody may have to wait for a file to be filled.
            self.preparer.want();
        }
        tail.file = Some(file);
        Ok(())
    }

    /// A new file whose first frame is the one of `header`.
    fn begin_file(
        &self,
        tail: &Tail,
        header: &Header,
        frame_bytes: u64,
    ) -> Result<TailFile, StoreError> {
        let inc = header.link.inc;
        let first_seq = header.link.seq;
        let file_header = FileHeader {
            inc,
            first_seq,
            preallocated: 0,
            prev_nonce: tail.nonce,
            after_damage: tail.after_damage,
        };
        let bytes = PAGE_BYTES + frame_bytes;
        let begun = match header.tombstone {
            true => layout::begin_small(&*self.disk, &self.spares, file_header, bytes)?,
            false => layout::begin(&*self.disk, &self.spares, file_header, bytes)?,
        };
        let file = FileIndex {
            id: self.file_id(),
            slots: Some(SlotIndex::default()),
        };
        self.index_mut()
            .entry(inc)
            .or_default()
            .files
            .insert(first_seq, file);
        Ok(TailFile {
            file: begun.file,
            first_seq,
            position: PAGE_BYTES,
            bytes: begun.bytes,
        })
    }

    /// The header of a slot that is there.
    fn header(&self, slot: Slot) -> Result<Header, StoreError> {
        let bytes = self.get(slot, 0..HEADER_BYTES as u64)?;
        Header::decode(&bytes).map_err(|error| StoreError::format("Cannot read", slot, error))
    }

    /// File and place of a slot; reads the file's headers if that was not done yet.
    fn place(&self, slot: Slot) -> Result<(u64, u64, Place), StoreError> {
        let mut read = false;
        loop {
            let index = self.index();
            let file = index
                .get(&slot.inc)
                .and_then(|journal| journal.file_of(slot.seq));
            let missing = |kind| StoreError::new(kind, "Cannot find slot", slot);
            match file {
                Some((
                    first_seq,
                    FileIndex {
                        id,
                        slots: Some(slots),
                    },
                    next_file,
                )) => {
                    let there = slots.end().max(next_file);
                    let place = slots.place(slot.seq).ok_or_else(|| {
                        missing(match there.is_some_and(|end| slot.seq < end) {
                            true => ErrorKind::Damaged,
                            false => ErrorKind::NotFound,
                        })
                    })?;
                    return Ok((first_seq, *id, place));
                }
                Some(_) | None if read => return Err(missing(ErrorKind::NotFound)),
                Some(_) | None => {}
            }
            drop(index);
            self.read_file_of(slot)?;
            read = true;
        }
    }

    fn read(
        &self,
        inc: Incarnation,
        first_seq: u64,
        file_id: u64,
        part: Place,
    ) -> std::io::Result<Bytes> {
        let file = self.file(inc, first_seq, file_id)?;
        file.read_range(part.position..part.position + u64::from(part.bytes))
    }

    fn file(
        &self,
        inc: Incarnation,
        first_seq: u64,
        file_id: u64,
    ) -> std::io::Result<Arc<dyn DiskFile>> {
        let open = || self.disk.open(&layout::path(inc, first_seq));
        self.handles.file(file_id, open)
    }

    fn is_current(&self, inc: Incarnation, first_seq: u64, file_id: u64) -> bool {
        let index = self.index();
        let file = index
            .get(&inc)
            .and_then(|journal| journal.files.get(&first_seq));
        file.is_some_and(|file| file.id == file_id)
    }

    fn remember(&self, inc: Incarnation, first_seq: u64, seq: u64, place: Place) {
        let mut index = self.index_mut();
        let journal = index.entry(inc).or_default();
        let file = journal.files.get_mut(&first_seq);
        let slots = file.and_then(|file| file.slots.as_mut());
        slots
            .expect("the file that is written to is in the index")
            .push(seq, place);
    }

    fn file_id(&self) -> u64 {
        self.next_file_id.fetch_add(1, Ordering::Relaxed)
    }

    // A panic elsewhere leaves these maps whole: each change is one call.
    fn tails(&self) -> MutexGuard<'_, BTreeMap<Incarnation, Tail>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> RwLockReadGuard<'_, BTreeMap<Incarnation, JournalIndex>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Incarnation, JournalIndex>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// Of a journal with nothing in it.
    fn empty() -> Self {
        Self {
            next: 0,
            nonce: Nonce::default(),
            end: None,
            file: None,
            after_damage: false,
            torn: None,
        }
    }
}

/// The frame's header, if it is one whole frame for `slot`.
fn check_frame(slot: Slot, frame: &[&[u8]]) -> Result<Header, StoreError> {
    let invalid = || {
        StoreError::new(
            ErrorKind::Invalid,
            "Cannot put a frame that is not for",
            slot,
        )
    };
    let mut start = Vec::with_capacity(HEADER_BYTES);
    for piece in frame {
        let missing = HEADER_BYTES - start.len();
        start.extend_from_slice(&piece[..piece.len().min(missing)]);
    }
    let header = Header::decode(&start).map_err(|error| invalid().because(error))?;
    let bytes: u64 = frame.iter().map(|piece| piece.len() as u64).sum();
    let fits = header.link.inc == slot.inc
        && header.link.seq == slot.seq
        && slot.seq < u64::MAX
        && header.frame_bytes() == bytes;
    if fits { Ok(header) } else { Err(invalid()) }
}

fn whose(mine: &Header, there: Header) -> Outcome<Header> {
    match mine.link.nonce == there.link.nonce && mine.link.seq == there.link.seq {
        true => Outcome::Mine,
        false => Outcome::Theirs(there),
    }
}

/// Whole pages are written, so that none has to be read first.
fn write_frame(file: &dyn DiskFile, position: u64, frame: &[&[u8]]) -> std::io::Result<()> {
    const ZEROS: &[u8] = &[0; PAGE_LEN];
    let bytes: usize = frame.iter().map(|piece| piece.len()).sum();
    let padding = bytes.next_multiple_of(PAGE_LEN) - bytes;
    let padded = frame.iter().copied().chain([&ZEROS[..padding]]);
    let mut pieces: Vec<IoSlice<'_>> = padded.map(IoSlice::new).collect();
    disk::write_all_at(file, &mut pieces, position)?;
    sync_journal(file)
}

/// Gives the space behind a tombstone back. A file may be short behind a tombstone that is
/// there, and nowhere else, so recovery can tell this from damage; it need not be durable.
fn give_back(file: &dyn DiskFile, end: u64) {
    // Failing costs only the space.
    let _ = file.set_len(end);
}
