//! A blob that is being written, under a name that nobody asks for.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{self, Disk, DiskFile};
use crate::error::StoreError;
use crate::traits::BlobWriter;

/// Bytes between two syncs: the journal's own sync waits for no more than these.
const SYNC_STEP_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct LocalBlobWriter {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    unfinished: String,
    path: String,
    naming: Arc<Mutex<()>>,
    position: u64,
    synced: u64,
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
        let file = disk.create(&unfinished).map_err(fail)?;
        Ok(Self {
            disk,
            file,
            unfinished,
            path,
            naming,
            position: 0,
            synced: 0,
            named: false,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        for step in bytes.chunks(SYNC_STEP_BYTES) {
            disk::write_all_at(&*self.file, &mut [IoSlice::new(step)], self.position)?;
            self.position += step.len() as u64;
            if self.position - self.synced >= SYNC_STEP_BYTES as u64 {
                self.file.sync_data()?;
                self.synced = self.position;
            }
        }
        Ok(())
    }

    fn name(&mut self) -> io::Result<()> {
        if self.position != self.synced || self.position == 0 {
            self.file.sync_data()?;
        }
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
