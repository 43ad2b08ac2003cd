//! Blobs as files: written under another name, synced, renamed, and the directory synced.

mod writer;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use self::writer::LocalBlobWriter;
use crate::disk::{self, Disk};
use crate::error::{ErrorKind, StoreError};
use crate::traits::{BlobWriter, Blobs};

/// Directory of all blobs.
const ROOT: &str = "blobs";
/// Directory of half-written ones; no blob's name begins with a dot.
const UNFINISHED: &str = "blobs/.tmp";

/// Blobs of a data directory.
#[derive(Debug)]
pub(super) struct LocalBlobs {
    disk: Arc<dyn Disk>,
    /// Number of the next temporary file.
    next: AtomicU64,
    /// Held while a name is looked up and taken.
    naming: Arc<Mutex<()>>,
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
        settle(&*disk, ROOT).map_err(fail)?;
        Ok(Self {
            disk,
            next: AtomicU64::new(0),
            naming: Arc::default(),
        })
    }

    fn begin(&self, name: &str) -> Result<LocalBlobWriter, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{UNFINISHED}/{number}");
        let naming = Arc::clone(&self.naming);
        LocalBlobWriter::create(Arc::clone(&self.disk), unfinished, path(name)?, naming)
    }

    fn read(&self, path: &str, range: Range<u64>) -> std::io::Result<Bytes> {
        let file = self.disk.open(path)?;
        let end = range.end.min(file.len()?);
        file.read_range(range.start..end.max(range.start))
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
        let mut writer = Box::new(self.begin(name)?);
        writer.write(bytes)?;
        writer.finish()
    }

    fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>, StoreError> {
        Ok(Box::new(self.begin(name)?))
    }

    fn len(&self, name: &str) -> Result<u64, StoreError> {
        let path = path(name)?;
        let found = self.disk.open(&path).and_then(|file| file.len());
        found.map_err(|error| StoreError::io("Cannot read", self.disk.show(&path), error))
    }

    fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = path(name)?;
        self.read(&path, range)
            .map_err(|error| StoreError::read("Cannot read", self.disk.show(&path), error))
    }

    fn forget(&self, name: &str) {
        if let Ok(file) = path(name).map(|path| self.disk.open(&path))
            && let Ok(file) = file
        {
            file.forget();
        }
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

/// An earlier life may have died between making a name and making it durable. From here on what
/// is there counts as durable.
fn settle(disk: &dyn Disk, directory: &str) -> std::io::Result<()> {
    for entry in disk.list(directory)? {
        if entry.is_dir {
            settle(disk, &format!("{directory}/{}", entry.name))?;
        }
    }
    disk.sync_dir(directory)
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
