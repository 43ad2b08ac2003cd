//! Reads a segment that was not closed without changing it.
//!
//! redb repairs such a file when it opens it, and writes. After a failed sync that would be wrong:
//! the repair would find in memory what the disk never took, and make a header durable that points
//! to it. So what the repair writes stays here.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

use crate::log::disk::DiskFile;

const PAGE_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Overlay {
    file: Arc<dyn DiskFile>,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    bytes: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Overlay {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let bytes = file.bytes()?;
        Ok(Self {
            file,
            changes: Mutex::new(Changes {
                bytes,
                pages: BTreeMap::new(),
            }),
        })
    }

    /// A page as the file has it; what lies behind its end is zero.
    fn page(&self, number: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let mut page = Box::new([0; PAGE_BYTES]);
        let start = number * PAGE_BYTES as u64;
        let there = self.file.bytes()?.saturating_sub(start);
        let there = usize::try_from(there).map_or(PAGE_BYTES, |there| there.min(PAGE_BYTES));
        if there > 0 {
            self.file.read_at(start, &mut page[..there])?;
        }
        Ok(page)
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a page that `offset` begins with, of `left` bytes at most.
fn part(offset: u64, left: usize) -> (u64, std::ops::Range<usize>) {
    let page = offset / PAGE_BYTES as u64;
    let start = usize::try_from(offset % PAGE_BYTES as u64).unwrap_or(0);
    (page, start..(start + left).min(PAGE_BYTES))
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().bytes)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > changes.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = self.file.bytes()?.saturating_sub(offset);
        let there = usize::try_from(there).map_or(out.len(), |there| there.min(out.len()));
        let (old, new) = out.split_at_mut(there);
        self.file.read_at(offset, old)?;
        new.fill(0);
        let end = offset + out.len() as u64;
        let first = offset / PAGE_BYTES as u64;
        for (number, page) in changes.pages.range(first..) {
            let start = number * PAGE_BYTES as u64;
            if start >= end {
                break;
            }
            let from = usize::try_from(offset.saturating_sub(start)).unwrap_or(PAGE_BYTES);
            let into = usize::try_from(start.saturating_sub(offset)).unwrap_or(out.len());
            let bytes = (PAGE_BYTES - from).min(out.len() - into);
            out[into..into + bytes].copy_from_slice(&page[from..from + bytes]);
        }
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.changes().bytes = bytes;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        changes.bytes = changes.bytes.max(offset + bytes.len() as u64);
        let mut done = 0;
        while done < bytes.len() {
            let (number, range) = part(offset + done as u64, bytes.len() - done);
            let from = &bytes[done..done + range.len()];
            done += range.len();
            let page = match changes.pages.get_mut(&number) {
                Some(page) => page,
                None => {
                    let page = self.page(number)?;
                    changes.pages.entry(number).or_insert(page)
                }
            };
            page[range].copy_from_slice(from);
        }
        Ok(())
    }
}
