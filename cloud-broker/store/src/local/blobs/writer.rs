//! A blob that is being written, under a name that nobody asks for.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::pages::Pages;
use crate::disk::{self, Disk, DiskFile};
use crate::error::StoreError;
use crate::traits::BlobWriter;

/// Pages that are written, and synced, at once: the journal's own sync waits for no more than these.
const STEP_PAGES: usize = 256;

#[derive(Debug)]
pub(super) struct LocalBlobWriter {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    unfinished: String,
    path: String,
    naming: Arc<Mutex<()>>,
    /// Of what is written.
    position: u64,
    waiting: Pages,
    named: bool,
}

impl LocalBlobWriter {
    /// Begins the file `unfinished`, which becomes `path`.
    pub(super) fn create(
        disk: Arc<dyn Disk>,
        unfinished: String,
        path: String,
        naming: Arc<Mutex<()>>,
    ) -> Result<Self, StoreError> {
        let fail = |error| StoreError::io("Cannot write", disk.show(&path), error);
        if disk.open(&path).is_ok() {
            return Err(fail(io::ErrorKind::AlreadyExists.into()));
        }
        let file = disk.create_uncached(&unfinished).map_err(fail)?;
        Ok(Self {
            disk,
            file,
            unfinished,
            path,
            naming,
            position: 0,
            waiting: Pages::new(STEP_PAGES),
            named: false,
        })
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            bytes = &bytes[self.waiting.push(bytes)..];
            if self.waiting.room() == 0 {
                self.step()?;
            }
        }
        Ok(())
    }

    /// Writes what waits, and makes it durable.
    fn step(&mut self) -> io::Result<()> {
        self.write_waiting()?;
        self.file.sync_data()
    }

    /// The last page is written whole, and cut where the blob ends.
    fn end(&mut self) -> io::Result<()> {
        let end = self.position + self.waiting.filled().len() as u64;
        self.waiting.pad();
        self.write_waiting()?;
        if self.position > end {
            self.file.set_len(end)?;
        }
        self.file.sync_data()
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        let pages = self.waiting.filled();
        disk::write_all_at(&*self.file, &mut [IoSlice::new(pages)], self.position)?;
        self.position += pages.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    fn name(&mut self) -> io::Result<()> {
        self.end()?;
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if self.disk.open(&self.path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk::create_dirs(&*self.disk, disk::parent(&self.path))?;
        self.disk.rename(&self.unfinished, &self.path)?;
        self.named = true;
        self.disk.sync_dir(disk::parent(&self.path))
    }

    fn fail(&self, error: io::Error) -> StoreError {
        StoreError::io("Cannot write", self.disk.show(&self.path), error)
    }
}

impl BlobWriter for LocalBlobWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.append(bytes).map_err(|error| self.fail(error))
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        self.name().map_err(|error| self.fail(error))
    }
}

impl Drop for LocalBlobWriter {
    fn drop(&mut self) {
        if !self.named {
            // The space may be what is missing. What is left goes at the next start.
            let _ = self.disk.remove(&self.unfinished);
        }
    }
}
