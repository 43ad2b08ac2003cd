//! Open files for reading, a bounded number of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::DiskFile;

/// Files kept open for reading.
const HANDLES_MAX: usize = 64;

/// The files that were read last, newest at the back.
#[derive(Debug, Default)]
pub(super) struct Handles {
    open: Mutex<VecDeque<(u64, Arc<dyn DiskFile>)>>,
}

impl Handles {
    /// The file with this id, opened if it is not open.
    pub(super) fn file(
        &self,
        id: u64,
        open: impl FnOnce() -> std::io::Result<Arc<dyn DiskFile>>,
    ) -> std::io::Result<Arc<dyn DiskFile>> {
        let mut files = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = files.iter().position(|(known, _)| *known == id);
        let entry = match known.and_then(|at| files.remove(at)) {
            Some(entry) => entry,
            None => (id, open()?),
        };
        if files.len() >= HANDLES_MAX {
            files.pop_front();
        }
        let file = Arc::clone(&entry.1);
        files.push_back(entry);
        Ok(file)
    }
}
