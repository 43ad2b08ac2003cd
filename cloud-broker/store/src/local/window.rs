//! Reads a journal file from front to back in large steps.

use crate::disk::{self, DiskFile};

/// Bytes read at once; an index or header that lies in them costs no further read.
const STEP_BYTES: u64 = 256 << 10;
/// No journal file is longer than this; what lies beyond is not looked at.
const FILE_BYTES_MAX: u64 = 1 << 40;

/// A file and the part of it that was read last.
#[derive(Debug)]
pub(super) struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
    /// True once a part could not be read: then the file's end proves nothing.
    pub(super) unreadable: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> std::io::Result<Self> {
        let len = file.len()?.min(FILE_BYTES_MAX);
        Ok(Self {
            file,
            len,
            start: 0,
            bytes: Vec::new(),
            unreadable: false,
        })
    }

    /// Length of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// `count` bytes at `position`; none if the file ends before, or the disk cannot read them.
    pub(super) fn bytes(&mut self, position: u64, count: u64) -> Option<&[u8]> {
        let end = position.checked_add(count).filter(|end| *end <= self.len)?;
        let here = self.start..self.start + self.bytes.len() as u64;
        if position < here.start || end > here.end {
            let ahead = count.max(STEP_BYTES).min(self.len - position);
            // A bad sector further on must not cost what can be read.
            if !(self.load(position, ahead) || self.load(position, count)) {
                self.unreadable = true;
                return None;
            }
        }
        let from = usize::try_from(position - self.start).ok()?;
        let count = usize::try_from(count).ok()?;
        self.bytes.get(from..from + count)
    }

    /// What the file holds from `position` on is compared with its checksum, in steps.
    pub(super) fn crc(&mut self, position: u64, count: u64) -> Option<u32> {
        let mut crc = 0;
        let mut done = 0;
        while done < count {
            let step = STEP_BYTES.min(count - done);
            crc = headwater_wire::crc::append(crc, self.bytes(position + done, step)?);
            done += step;
        }
        Some(crc)
    }

    /// What comes next is read anew. Not past the system's cache: that may hold all there is of a
    /// last frame, see `tail`.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    fn load(&mut self, position: u64, count: u64) -> bool {
        let Ok(count) = usize::try_from(count) else {
            return false;
        };
        self.start = position;
        self.bytes.resize(count, 0);
        let read = disk::read_exact_at(self.file, &mut self.bytes, position);
        if read.is_err() {
            self.bytes.clear();
        }
        read.is_ok()
    }
}
