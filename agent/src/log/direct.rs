//! A file whose whole pages are written past the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use super::disk::DiskFile;

/// What memory, offset and length have to be multiples of, on any disk.
const ALIGN: usize = 4096;

#[derive(Debug)]
pub(super) struct DirectFile {
    file: File,
    /// `None` where the file system knows no such writing.
    direct: Mutex<Option<Direct>>,
}

#[derive(Debug)]
struct Direct {
    file: File,
    /// Holds an aligned copy of what is written.
    memory: Vec<u8>,
}

impl DirectFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
        let direct = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(path);
        let direct = direct.ok().map(|file| Direct {
            file,
            memory: Vec::new(),
        });
        Ok(Self {
            file,
            direct: Mutex::new(direct),
        })
    }
}

impl DiskFile for DirectFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let is_pages = offset.is_multiple_of(ALIGN as u64) && bytes.len().is_multiple_of(ALIGN);
        let mut direct = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Direct { file, memory }) = direct.as_mut().filter(|_| is_pages) {
            match file.write_at(offset, aligned(memory, bytes)) {
                // It was opened like that, and cannot be written like that.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                written => return written,
            }
            *direct = None;
        }
        drop(direct);
        self.file.write_at(offset, bytes)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.file.set_bytes(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn allocated(&self) -> io::Result<u64> {
        self.file.allocated()
    }
}

/// A copy of `bytes` that begins where the disk wants it.
fn aligned<'m>(memory: &'m mut Vec<u8>, bytes: &[u8]) -> &'m [u8] {
    memory.clear();
    memory.shrink_to(MEMORY_BYTES_KEPT);
    memory.resize(bytes.len() + ALIGN, 0);
    // Within the first page, or, as the standard library reserves, nowhere: then the disk refuses.
    let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
    let part = &mut memory[start..start + bytes.len()];
    part.copy_from_slice(bytes);
    part
}

/// Enough for the frames of a slow stream; a large one gives its memory back.
const MEMORY_BYTES_KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_parts_of_pages_arrive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![0; 3 * ALIGN]).unwrap();
        let file = DirectFile::open(&path).unwrap();
        file.write_at(ALIGN as u64, &vec![1; 2 * ALIGN]).unwrap();
        file.write_at(5, b"part").unwrap();
        file.sync().unwrap();
        let content = std::fs::read(&path).unwrap();
        assert_eq!(&content[5..9], b"part");
        assert_eq!(
            content[..ALIGN].iter().filter(|byte| **byte != 0).count(),
            4
        );
        assert!(content[ALIGN..].iter().all(|byte| *byte == 1));
        let mut read = [0; 2];
        file.read_at(ALIGN as u64 - 1, &mut read).unwrap();
        assert_eq!(read, [0, 1]);
    }
}
