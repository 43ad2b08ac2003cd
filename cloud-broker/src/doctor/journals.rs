//! Journals: the chain of their frames, their indexes, every batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_broker_core::Entry;
use headwater_store::disk::Disk;
use headwater_store::format::chunk::{HEADER_BYTES, Header};
use headwater_store::format::manifest::Manifest;
use headwater_store::traits::Slot;
use headwater_store::{Damage as Lost, Incarnation, Scanned, Store, StoreError};

use super::batches::Batches;
use super::report::{Damage, Report};

/// Frames begin at multiples of this.
const PAGE_BYTES: u64 = 4096;

/// Reads every journal.
pub(super) fn check(
    disk: &Arc<dyn Disk>,
    store: &Store,
    manifests: &[Manifest],
    batches: &mut Batches,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut journals = store.slots.incarnations()?;
    journals.sort_unstable();
    check_sources(manifests, &journals, report);
    for inc in journals {
        report.journals += 1;
        let mut journal = Journal {
            disk: &**disk,
            store,
            inc,
            batches: &mut *batches,
            report: &mut *report,
        };
        let end = store
            .slots
            .scan(inc, 0, &mut |scanned| journal.look(scanned));
        match end {
            Ok(end) => {
                let torn = end
                    .torn
                    .map(|place| format!("A torn write, never acknowledged: {place}"));
                report.notes.extend(torn);
            }
            Err(error) => report.damaged(Damage::object(format!("journal/{inc}"), error)),
        }
    }
    Ok(())
}

/// A range of slots that a manifest names must be in a journal that is there.
fn check_sources(manifests: &[Manifest], journals: &[Incarnation], report: &mut Report) {
    let mut missing: BTreeMap<Incarnation, u32> = BTreeMap::new();
    for manifest in manifests {
        for source in &manifest.sources {
            let empty = source.to.is_none_or(|to| to <= source.from);
            if !empty && journals.binary_search(&source.inc()).is_err() {
                missing.insert(source.inc(), manifest.shard);
            }
        }
    }
    for (inc, shard) in missing {
        let what = format!("The journal is missing, and shard {shard} needs it");
        report.damaged(Damage::object(format!("journal/{inc}"), what));
    }
}

/// A journal that is read.
struct Journal<'a> {
    disk: &'a dyn Disk,
    store: &'a Store,
    inc: Incarnation,
    batches: &'a mut Batches,
    report: &'a mut Report,
}

impl Journal<'_> {
    fn look(&mut self, scanned: Scanned) -> Result<(), StoreError> {
        match scanned {
            Scanned::Chunk { header, entries } => {
                self.report.chunks += 1;
                let slot = Slot {
                    inc: self.inc,
                    seq: header.link.seq,
                };
                for entry in &entries {
                    self.look_at_batch(slot, &header, entry)?;
                }
            }
            Scanned::Tombstone { .. } => {}
            Scanned::Damage(lost) => self.lose(&lost),
        }
        Ok(())
    }

    fn look_at_batch(
        &mut self,
        slot: Slot,
        header: &Header,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let first = header.payload_pos() + u64::from(entry.pos);
        let bytes = self
            .store
            .slots
            .get(slot, first..first + u64::from(entry.len))?;
        let partition = (entry.topic, entry.partition);
        let offsets = (entry.base_offset, entry.end_offset());
        let checked = self.batches.check(partition, offsets, &bytes, self.report);
        if let Err(what) = checked {
            let (object, frame) = self.locate(slot);
            let damage = Damage {
                position: frame.map(|frame| frame + first),
                ..Damage::object(object, what)
            };
            self.batches
                .damaged(partition, offsets, damage, self.report);
        }
        Ok(())
    }

    /// Which batches lay there, nobody can tell; where offsets are missing is told later.
    fn lose(&mut self, lost: &Lost) {
        let slots = match lost.to {
            Some(to) if to == lost.from => String::new(),
            Some(to) => format!(", slots {} to {}", lost.from, to - 1),
            None => format!(", slots from {} on", lost.from),
        };
        let what = format!("{}{slots}", lost.what);
        self.report.damaged(Damage::place(&lost.place, what));
    }

    /// File of a slot, and where its frame begins.
    fn locate(&self, slot: Slot) -> (String, Option<u64>) {
        let directory = format!("journal/{}", slot.inc);
        let files = self.disk.list(&directory).unwrap_or_default();
        let first_seq = |name: &str| u64::from_str_radix(name.strip_suffix(".log")?, 16).ok();
        let file = files
            .iter()
            .filter_map(|entry| Some((first_seq(&entry.name)?, &entry.name)))
            .rfind(|(first, _)| *first <= slot.seq);
        match file {
            Some((_, name)) => {
                let path = format!("{directory}/{name}");
                let position = self.find_frame(&path, slot).ok().flatten();
                (self.disk.show(&path), position)
            }
            None => (directory, None),
        }
    }

    fn find_frame(&self, path: &str, slot: Slot) -> std::io::Result<Option<u64>> {
        let file = self.disk.open(path)?;
        let mut position = PAGE_BYTES;
        while position < file.len()? {
            let mut bytes = [0; HEADER_BYTES];
            let read = file.read_at(&mut bytes, position)?;
            let header = Header::decode(&bytes[..read]).ok();
            if header
                .is_some_and(|header| (header.link.inc, header.link.seq) == (slot.inc, slot.seq))
            {
                return Ok(Some(position));
            }
            position += PAGE_BYTES;
        }
        Ok(None)
    }
}
