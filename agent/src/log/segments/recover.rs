//! Which segments still count after a crash.

use std::io;
use std::path::Path;
use std::sync::Arc;

use headwater_agent_core::lane::SealedBatch;
use headwater_wire::uplink::Position;

use super::db::Db;
use super::{Segments, Writer};
use crate::log::space::SEGMENT_BYTES;

impl Segments {
    /// The last batch that counts: the end of the newest segment that holds one. Segments that
    /// never held a batch are removed. `fence` is up to which serial segments count, and below
    /// which position only. What lies below `trimmed` had gone, and may have come back with a
    /// crash: it goes again.
    pub(in crate::log) fn recover(
        &mut self,
        fence: (u64, Position),
        trimmed: Position,
    ) -> io::Result<Option<SealedBatch>> {
        // Serials go on although the segments that had them are gone.
        self.serial = self.serial.max(fence.0);
        while let Some(segment) = self.list.back() {
            let end = if segment.serial <= fence.0 {
                fence.1
            } else {
                Position::END
            };
            let path = self.path(segment);
            let file = self.store.disk.open(&path)?;
            if !Db::is_unfinished(&*file)? {
                // What a dead process wrote may be in memory only: nothing is sent before it is
                // durable.
                file.sync()?;
                let meter = self.store.meter.clone();
                let db = Db::open_read_only(Arc::clone(&file), meter.clone(), false)?;
                let last = db.last_below(end)?.filter(|last| last.next > trimmed);
                if last.is_some() {
                    self.is_cut = !db.is_sound();
                    db.close();
                    let has_room = segment.allocated < SEGMENT_BYTES / 2;
                    if segment.serial > fence.0 && has_room && !self.is_cut {
                        let db = Db::open(file, meter)?;
                        self.writer = Some(Writer { db, is_new: false });
                    }
                    self.remove_below(trimmed)?;
                    return Ok(last);
                }
                db.close();
            }
            self.store.disk.remove(&path)?;
            self.list.pop_back();
        }
        Ok(None)
    }

    /// Removes segments that end at or below `trimmed`, the last one apart.
    fn remove_below(&mut self, trimmed: Position) -> io::Result<()> {
        while let (Some(segment), Some(next)) = (self.list.front(), self.list.get(1)) {
            let path = self.path(segment);
            let is_below = next.first <= trimmed
                || (segment.first < trimmed && self.ends_below(&path, next.first, trimmed));
            if !is_below {
                break;
            }
            self.store.disk.remove(&path)?;
            self.list.pop_front();
        }
        Ok(())
    }

    /// Whether the last batch below `end` ends at or below `trimmed`.
    fn ends_below(&self, path: &Path, end: Position, trimmed: Position) -> bool {
        let file = self.store.disk.open(path);
        let db = file.and_then(|file| Db::open_read_only(file, self.store.meter.clone(), false));
        let last = db.and_then(|db| {
            let last = db.last_below(end);
            db.close();
            last
        });
        last.is_ok_and(|last| last.is_none_or(|last| last.next <= trimmed))
    }
}
