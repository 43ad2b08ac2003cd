//! redb on a file of our disk, so that the fake disk's power losses reach the registers too.

use std::io::{self, IoSlice};
use std::sync::Arc;

use redb::StorageBackend;

use crate::disk::{self, DiskFile};

/// A file that redb keeps its pages in.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        disk::read_exact_at(&*self.0, out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        disk::write_all_at(&*self.0, &mut [IoSlice::new(data)], offset)
    }
}
