//! Journals whose calls go wrong.

use std::ops::Range;

use bytes::Bytes;

use super::late::Write;
use super::{Call, Line, Told};
use crate::error::StoreError;
use crate::format::chunk::Header;
use crate::ids::Incarnation;
use crate::traits::{Outcome, ScanEnd, Scanned, Slot, Slots};

impl Slots for Line {
    fn put_absent(&self, slot: Slot, frame: &[&[u8]]) -> Result<Outcome<Header>, StoreError> {
        self.hold.pass();
        let whole = Bytes::from(frame.concat());
        let Ok(header) = Header::decode(&whole) else {
            return self.inner.slots.put_absent(slot, frame);
        };
        let call = Call::Put {
            slot,
            header,
            frame: whole.clone(),
        };
        self.conditional(
            call,
            || Write::Put(slot, whole),
            || self.inner.slots.put_absent(slot, frame),
        )
    }

    fn get(&self, slot: Slot, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.read_bytes(Call::Get { slot }, || self.inner.slots.get(slot, range))
    }

    fn scan(
        &self,
        inc: Incarnation,
        from: u64,
        each: &mut dyn FnMut(Scanned) -> Result<(), StoreError>,
    ) -> Result<ScanEnd, StoreError> {
        // The caller may do anything in between, so nothing is locked while it is told.
        drop(self.begin()?);
        let (mut found, mut damage) = (Vec::new(), Vec::new());
        let end = self.inner.slots.scan(inc, from, &mut |scanned| {
            match &scanned {
                Scanned::Chunk { header, .. } | Scanned::Tombstone { header, .. } => {
                    found.push((header.link.seq, header.link.nonce));
                }
                Scanned::Damage(lost) => damage.push(lost.clone()),
            }
            each(scanned)
        });
        let told = end
            .as_ref()
            .map_or_else(|error| Told::Failed(error.kind), |_| Told::Done);
        let mut state = self.begin()?;
        let call = Call::Scan {
            inc,
            from,
            found,
            damage,
        };
        state.note(self.life, call, told, None);
        end
    }

    fn incarnations(&self) -> Result<Vec<Incarnation>, StoreError> {
        let prefix = "journals".to_owned();
        self.read(Call::List { prefix }, || self.inner.slots.incarnations())
    }

    fn delete_below(&self, inc: Incarnation, seq: u64) -> Result<(), StoreError> {
        self.write(Call::DeleteBelow { inc, seq }, || {
            self.inner.slots.delete_below(inc, seq)
        })
    }
}
