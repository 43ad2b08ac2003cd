//! Blobs as files: written under another name, synced, renamed, and the directory synced.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::disk::{self, Disk};
use crate::error::{ErrorKind, StoreError};
use crate::traits::Blobs;

/// Directory of all blobs.
const ROOT: &str = "blobs";
/// Directory of half-written ones; no blob's name begins with a dot.
const UNFINISHED: &str = "blobs/.tmp";

/// Blobs of a data directory.
#[derive(Debug)]
pub(super) struct LocalBlobs {
    disk: Arc<dyn Disk>,
    /// Number of the next temporary file; held while a name is looked up and taken.
    next: Mutex<u64>,
}

impl LocalBlobs {
    /// Removes what an earlier life left half-written.
    pub(super) fn open(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let fail = |error| StoreError::io("Cannot open", disk.show(UNFINISHED), error);
        disk::create_dirs(&*disk, UNFINISHED).map_err(fail)?;
        for entry in disk.list(UNFINISHED).map_err(fail)? {
            disk.remove(&format!("{UNFINISHED}/{}", entry.name))
                .map_err(fail)?;
        }
        Ok(Self {
            disk,
            next: Mutex::new(0),
        })
    }

    fn write_new(&self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if self.disk.open(path).is_ok() {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        let unfinished = format!("{UNFINISHED}/{next}");
        *next += 1;
        let file = self.disk.create(&unfinished)?;
        let written = disk::write_all_at(&*file, &mut [IoSlice::new(bytes)], 0)
            .and_then(|()| file.sync_data())
            .and_then(|()| disk::create_dirs(&*self.disk, disk::parent(path)))
            .and_then(|()| self.disk.rename(&unfinished, path));
        if written.is_err() {
            // The space may be what is missing.
            let _ = self.disk.remove(&unfinished);
        }
        written?;
        self.disk.sync_dir(disk::parent(path))
    }

    fn read(&self, path: &str, range: Range<u64>) -> std::io::Result<Bytes> {
        let file = self.disk.open(path)?;
        let end = range.end.min(file.len()?);
        let count = end.saturating_sub(range.start);
        let count = usize::try_from(count).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let mut bytes = vec![0; count];
        disk::read_exact_at(&*file, &mut bytes, range.start)?;
        Ok(bytes.into())
    }

    fn list_into(&self, directory: &str, found: &mut Vec<String>) -> std::io::Result<()> {
        for entry in self.disk.list(directory)? {
            let path = format!("{directory}/{}", entry.name);
            if path == UNFINISHED {
                continue;
            }
            match entry.is_dir {
                true => self.list_into(&path, found)?,
                false => found.extend(path.strip_prefix("blobs/").map(str::to_owned)),
            }
        }
        Ok(())
    }
}

impl Blobs for LocalBlobs {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = path(name)?;
        self.write_new(&path, bytes)
            .map_err(|error| StoreError::io("Cannot write", self.disk.show(&path), error))
    }

    fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = path(name)?;
        self.read(&path, range)
            .map_err(|error| StoreError::io("Cannot read", self.disk.show(&path), error))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = path(name)?;
        match self
            .disk
            .remove(&path)
            .and_then(|()| self.disk.sync_dir(disk::parent(&path)))
        {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io(
                "Cannot delete",
                self.disk.show(&path),
                error,
            )),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        // Only directories that can hold such a name are read.
        let directory = match prefix.rsplit_once('/') {
            Some((directory, _)) => path(directory)?,
            None => ROOT.to_owned(),
        };
        let mut found = Vec::new();
        self.list_into(&directory, &mut found)
            .map_err(|error| StoreError::io("Cannot list", self.disk.show(&directory), error))?;
        found.retain(|name| name.starts_with(prefix));
        found.sort_unstable();
        Ok(found)
    }
}

/// Names are made by `names`; anything that could leave the directory is refused.
fn path(name: &str) -> Result<String, StoreError> {
    let part_fits = |part: &str| {
        let letters = part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        letters && !part.is_empty() && !part.starts_with('.')
    };
    match name.split('/').all(part_fits) {
        true => Ok(format!("{ROOT}/{name}")),
        false => Err(StoreError::new(
            ErrorKind::Invalid,
            "Cannot use the name",
            name,
        )),
    }
}
