//! The one segment that is open for reading.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use super::db::Db;

/// So many segments are known to be sound; beyond that they are looked at again.
const SOUND_MAX: usize = 256;

/// A segment that is open for reading, of whatever lane: one at a time.
#[derive(Debug, Default)]
pub(in crate::log) struct Reader {
    open: Option<(PathBuf, Db)>,
    /// Found sound by this process.
    sound: BTreeSet<PathBuf>,
}

impl Reader {
    pub(super) fn open(&mut self, store: &Store, path: PathBuf) -> io::Result<&Db> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != path) {
            if let Some((_, db)) = self.open.take() {
                db.close();
            }
            let file = store.disk.open(&path)?;
            let is_known = self.sound.contains(&path);
            let db = Db::open_read_only(file, store.meter.clone(), is_known)?;
            if db.is_sound() && !is_known {
                if self.sound.len() >= SOUND_MAX {
                    self.sound.clear();
                }
                self.sound.insert(path.clone());
            }
            self.open = Some((path, db));
        }
        match &self.open {
            Some((_, db)) => Ok(db),
            None => Err(io::Error::other("no segment is open")),
        }
    }

    /// Closes the segment of `path` if it is the open one.
    pub(super) fn forget(&mut self, path: &Path) {
        self.sound.remove(path);
        if self.open.as_ref().is_some_and(|(open, _)| open == path)
            && let Some((_, db)) = self.open.take()
        {
            db.close();
        }
    }
}
