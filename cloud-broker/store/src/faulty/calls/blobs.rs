//! Blobs whose calls go wrong.

use std::ops::Range;

use bytes::Bytes;

use super::{Call, Line};
use crate::error::StoreError;
use crate::traits::{BlobWriter, Blobs};

impl Blobs for Line {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let call = Call::PutNew {
            name: name.to_owned(),
            bytes: Bytes::copy_from_slice(bytes),
        };
        self.write(call, || self.inner.blobs.put_new(name, bytes))
    }

    fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>, StoreError> {
        drop(self.begin()?);
        Ok(Box::new(Writer {
            line: self.clone(),
            name: name.to_owned(),
            inner: self.inner.blobs.create(name)?,
            bytes: Vec::new(),
        }))
    }

    fn len(&self, name: &str) -> Result<u64, StoreError> {
        let call = Call::GetBlob {
            name: name.to_owned(),
        };
        self.read(call, || self.inner.blobs.len(name))
    }

    fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let call = Call::GetBlob {
            name: name.to_owned(),
        };
        self.read_bytes(call, || self.inner.blobs.get(name, range))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        let call = Call::Delete {
            name: name.to_owned(),
        };
        self.write(call, || self.inner.blobs.delete(name))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let call = Call::List {
            prefix: prefix.to_owned(),
        };
        self.read(call, || self.inner.blobs.list(prefix))
    }
}

/// A blob that is being written.
#[derive(Debug)]
struct Writer {
    line: Line,
    name: String,
    inner: Box<dyn BlobWriter>,
    bytes: Vec<u8>,
}

impl BlobWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let call = Call::Part {
            name: self.name.clone(),
            bytes: bytes.len() as u64,
        };
        self.line.write(call, || self.inner.write(bytes))?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        let Self {
            line,
            name,
            inner,
            bytes,
        } = *self;
        let bytes = Bytes::from(bytes);
        line.write(Call::PutNew { name, bytes }, || inner.finish())
    }
}
