//! Where a journal ends, and making that end certain.
//!
//! Only the last file is read for it, and of its frames only the last one's payload: each frame
//! was synced before the next was written, so no other can be torn.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use super::file::JournalFile;
use super::{LocalSlots, Tail, TailFile, give_back};
use crate::disk::{self, DiskFile};
use crate::error::{READS_MAX, StoreError};
use crate::ids::{Incarnation, Nonce};
use crate::local::index::{Place, Slots as SlotIndex};
use crate::local::layout::{self, PAGE_LEN, sync_journal};
use crate::local::walk::{Chain, Frame, Step};

impl LocalSlots {
    /// Finds the end of a journal that this process has not looked at yet.
    pub(super) fn load_tail(
        &self,
        tails: &mut BTreeMap<Incarnation, Tail>,
        inc: Incarnation,
    ) -> Result<(), StoreError> {
        if tails.contains_key(&inc) {
            return Ok(());
        }
        let files = layout::files(&*self.disk, inc)?;
        self.register(inc, &files);
        let tail = match files.last() {
            Some(first_seq) => self.find_tail(&self.open_file(inc, *first_seq)?, &files)?,
            None => Tail::empty(),
        };
        tails.insert(inc, tail);
        Ok(())
    }

    fn find_tail(&self, file: &JournalFile, files: &[u64]) -> Result<Tail, StoreError> {
        let before = match file.prev_nonce() {
            Some(nonce) => nonce,
            None => self.nonce_before(file, files)?,
        };
        let mut end = read_end(file, before)?;
        let tombstone = end
            .last
            .as_ref()
            .map(|last| last.header)
            .filter(|last| last.tombstone);
        // Behind a tombstone that is there a file may be short; anywhere else it has lost something.
        let cut = file.is_short() || file.header.is_none() || end.unreadable;
        let after_damage = tombstone.is_none() && cut;
        // A file that ends with its tombstone was cut there after the tombstone was durable.
        if tombstone.is_none() || file.bytes > end.position {
            self.settle(file, end.last.as_ref())
                .map_err(|error| StoreError::io("Cannot settle", &file.place, error))?;
        }
        if tombstone.is_some() && file.bytes > end.position {
            give_back(&*file.file, end.position);
        }
        if let Some(last) = end.last {
            end.slots.push(last.header.link.seq, last.place);
        }
        self.keep_slots(file.inc, file.first_seq, end.slots);
        let goes_on = tombstone.is_none() && !after_damage && end.position <= file.bytes;
        let tail_file = TailFile {
            file: Arc::clone(&file.file),
            first_seq: file.first_seq,
            position: end.position,
            bytes: file.bytes,
        };
        Ok(Tail {
            next: end.chain.next,
            nonce: end.nonce,
            end: tombstone,
            file: goes_on.then_some(tail_file),
            after_damage,
            torn: end.torn.then(|| file.at(end.position)),
        })
    }

    /// Nonce before a file that does not know it, from the file before.
    fn nonce_before(&self, file: &JournalFile, files: &[u64]) -> Result<Nonce, StoreError> {
        let [.., earlier, _] = files else {
            return Ok(Nonce::default());
        };
        let earlier = self.open_file(file.inc, *earlier)?;
        let mut walk = earlier.walk(Some(file.first_seq))?;
        while !matches!(
            walk.step().map_err(|error| earlier.refuse(error))?,
            Step::End { .. }
        ) {}
        Ok(walk.chain.nonce.unwrap_or_default())
    }

    /// The last frame may only be in the system's memory, even marked as written there by a sync
    /// that failed. Nobody may read what can vanish, so it is written once more, the same bytes,
    /// and synced, and so are the names that lead to it.
    fn settle(&self, file: &JournalFile, last: Option<&Frame>) -> std::io::Result<()> {
        if let Some(Frame {
            place: Place { position, bytes },
            ..
        }) = last
        {
            let mut frame = read_alike(&*file.file, *position, *bytes as usize)?;
            frame.resize(frame.len().next_multiple_of(PAGE_LEN), 0);
            disk::write_all_at(&*file.file, &mut [IoSlice::new(&frame)], *position)?;
        }
        sync_journal(&*file.file)?;
        self.disk.sync_dir(&layout::directory(file.inc))?;
        self.disk.sync_dir(layout::JOURNALS)
    }
}

/// What two reads in a row give: what is written again must be what was there.
fn read_alike(file: &dyn DiskFile, position: u64, bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut before = Vec::new();
    for _ in 0..READS_MAX {
        let mut frame = vec![0; bytes];
        disk::read_exact_at(file, &mut frame, position)?;
        if frame == before {
            return Ok(frame);
        }
        before = frame;
    }
    Err(std::io::Error::other("Each read gives other bytes"))
}

/// What reading the last file to its end has found.
#[derive(Debug)]
struct End {
    /// All frames but the last.
    slots: SlotIndex,
    last: Option<Frame>,
    chain: Chain,
    /// Of the last frame.
    nonce: Nonce,
    /// Where the next frame goes.
    position: u64,
    /// A frame that is not whole lies there.
    torn: bool,
    unreadable: bool,
}

/// `nonce` is the one before the file's first slot.
fn read_end(file: &JournalFile, mut nonce: Nonce) -> Result<End, StoreError> {
    let mut walk = file.walk(None)?;
    let mut slots = SlotIndex::default();
    let mut last: Option<Frame> = None;
    // Chain and nonce before the last frame.
    let mut before = (walk.chain, nonce);
    let (mut position, mut torn) = loop {
        let chain = walk.chain;
        match walk.step().map_err(|error| file.refuse(error))? {
            Step::Frame(frame) => {
                before = (chain, nonce);
                nonce = frame.header.link.nonce;
                if let Some(earlier) = last.replace(frame) {
                    slots.push(earlier.header.link.seq, earlier.place);
                }
            }
            Step::Gap { .. } => {}
            Step::End { position, torn } => break (position, torn),
        }
    };
    let mut chain = walk.chain;
    // Behind a gap the chain's last frame is not the one that was read last.
    let is_newest = |last: &Frame| last.header.link.seq.checked_add(1) == Some(chain.next);
    if let Some(frame) = last.take_if(|last| is_newest(last) && !walk.payload_is_whole(last)) {
        (chain, nonce) = before;
        (position, torn) = (frame.place.position, true);
    }
    let unreadable = walk.window.unreadable;
    Ok(End {
        slots,
        last,
        chain,
        nonce,
        position,
        torn,
        unreadable,
    })
}
