//! One file as a store of one blob.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use headwater_store::traits::BlobWriter;
use headwater_store::{Blobs, ErrorKind, StoreError};

/// The object that is looked at; every name means it.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    place: String,
    bytes: u64,
}

impl Source {
    pub(super) fn file(path: &Path) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        let opened = File::open(path).and_then(|file| {
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        });
        match opened {
            Ok((file, bytes)) => Ok(Self { file, place, bytes }),
            Err(error) => Err(StoreError::io("Cannot open", place, error)),
        }
    }

    /// Where it lies.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Its length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its first bytes, as many as there are.
    pub(super) fn start(&self, bytes_max: u64) -> Result<Bytes, StoreError> {
        self.get("", 0..bytes_max)
    }

    fn refuse(&self) -> StoreError {
        StoreError::new(ErrorKind::Invalid, "Cannot change", &self.place)
    }
}

impl Blobs for Source {
    fn put_new(&self, _name: &str, _bytes: &[u8]) -> Result<(), StoreError> {
        Err(self.refuse())
    }

    fn create(&self, _name: &str) -> Result<Box<dyn BlobWriter>, StoreError> {
        Err(self.refuse())
    }

    fn len(&self, _name: &str) -> Result<u64, StoreError> {
        Ok(self.bytes)
    }

    fn get(&self, _name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let count = range.end.min(self.bytes).saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        match self.file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(bytes.into()),
            Err(error) => Err(StoreError::io("Cannot read", &self.place, error)),
        }
    }

    fn delete(&self, _name: &str) -> Result<(), StoreError> {
        Err(self.refuse())
    }

    fn list(&self, _prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
