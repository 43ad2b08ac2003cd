//! Where a follower stands in a file, and how the file is known again.
//!
//! An inode's number is given to another file once its file is gone. So a place also says what the
//! file began with, and what lies right before the place: bytes that were read, and that a file
//! which is only appended to never changes. A copy of the file has them too.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::Duration;

use headwater_wire::crc::crc32c;

use crate::fields::take;

/// Bytes at the front of a file that it is known by.
const HEAD_BYTES_MAX: usize = 1024;
/// Bytes before the place that it is known by.
const TAIL_BYTES_MAX: usize = 256;
/// Files that were read to their end and are remembered.
const FINISHED_MAX: usize = 8;
const VERSION: u8 = 1;
const SKIPPING: u8 = 1;

/// A file's name for itself on this machine, as long as it lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) dev: u64,
    pub(super) ino: u64,
}

/// What a file is known by beside its inode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Print {
    bytes: u16,
    crc: u32,
}

/// A file that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) inode: Inode,
    head: Print,
}

/// Where the follower goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) inode: Inode,
    /// Everything below was taken, bytes.
    pub(super) offset: u64,
    /// Whether what follows, up to a newline, belongs to a line that was rejected.
    pub(super) is_skipping: bool,
    /// When the file was last written, since the epoch.
    pub(super) modified: Duration,
    pub(super) head: Print,
    pub(super) tail: Print,
    /// The files before this one, oldest first.
    pub(super) finished: Vec<Finished>,
}

/// The bytes that a place is known by, as they were read.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Inode {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }
}

impl Print {
    fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: u16::try_from(bytes.len()).unwrap_or(u16::MAX),
            crc: crc32c(bytes),
        }
    }

    /// Whether the file has these bytes at `at`.
    fn is_at(self, file: &File, at: u64) -> io::Result<bool> {
        let read = read_at(file, at, usize::from(self.bytes))?;
        Ok(read.is_some_and(|read| crc32c(&read) == self.crc))
    }
}

impl Seen {
    /// More was taken, behind everything before.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES_MAX - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.tail
            .extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..]);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..excess);
    }

    /// What `file` has in front of `offset`; `None` if it is shorter.
    pub(super) fn read(file: &File, offset: u64) -> io::Result<Option<Self>> {
        let bytes = |max: usize| usize::try_from(offset).map_or(max, |offset| offset.min(max));
        let head = read_at(file, 0, bytes(HEAD_BYTES_MAX))?;
        let tail_bytes = bytes(TAIL_BYTES_MAX);
        let tail = read_at(file, offset - tail_bytes as u64, tail_bytes)?;
        Ok(head.zip(tail).map(|(head, tail)| Self { head, tail }))
    }

    /// Whether `file` still has them: it is the same, or a copy, and was not begun anew.
    pub(super) fn are_in(&self, file: &File, offset: u64) -> io::Result<bool> {
        let (head, tail) = self.prints();
        Ok(head.is_at(file, 0)? && tail.is_at(file, offset - u64::from(tail.bytes))?)
    }

    pub(super) fn prints(&self) -> (Print, Print) {
        (Print::of(&self.head), Print::of(&self.tail))
    }
}

impl Finished {
    /// Whether the file is this one, and not another with its inode's number.
    pub(super) fn is(self, inode: Inode, file: &File) -> io::Result<bool> {
        Ok(self.inode == inode && self.head.is_at(file, 0)?)
    }
}

impl Cursor {
    /// Whether `file` has what lies before this place, so that it is the file or a copy of it.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        let tail_at = self.offset.checked_sub(u64::from(self.tail.bytes));
        Ok(match tail_at {
            Some(at) => self.head.is_at(file, 0)? && self.tail.is_at(file, at)?,
            None => false,
        })
    }

    /// Whether something is known of the file's bytes.
    pub(super) fn has_prints(&self) -> bool {
        self.head.bytes > 0
    }

    /// The file was read to its end.
    pub(super) fn finish(&mut self) {
        if self.has_prints() {
            let (inode, head) = (self.inode, self.head);
            self.finished.push(Finished { inode, head });
            let excess = self.finished.len().saturating_sub(FINISHED_MAX);
            self.finished.drain(..excess);
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, if self.is_skipping { SKIPPING } else { 0 }];
        let finished = u16::try_from(self.finished.len()).unwrap_or(0);
        for number in [self.head.bytes, self.tail.bytes, finished] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let modified = u64::try_from(self.modified.as_nanos()).unwrap_or(u64::MAX);
        for number in [self.inode.dev, self.inode.ino, self.offset, modified] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.head.crc, self.tail.crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for Finished { inode, head } in self.finished.iter().take(usize::from(finished)) {
            out.extend_from_slice(&inode.dev.to_le_bytes());
            out.extend_from_slice(&inode.ino.to_le_bytes());
            out.extend_from_slice(&head.bytes.to_le_bytes());
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&head.crc.to_le_bytes());
        }
        out
    }

    /// `None` for what this version does not know.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let [version, flags] = take::<2>(rest)?;
        if version != VERSION {
            return None;
        }
        let [head_bytes, tail_bytes, finished] = [u16_of(rest)?, u16_of(rest)?, u16_of(rest)?];
        let inode = inode_of(rest)?;
        let (offset, modified) = (u64_of(rest)?, u64_of(rest)?);
        let (head_crc, tail_crc) = (u32_of(rest)?, u32_of(rest)?);
        let mut cursor = Self {
            inode,
            offset,
            is_skipping: flags & SKIPPING != 0,
            modified: Duration::from_nanos(modified),
            head: Print {
                bytes: head_bytes,
                crc: head_crc,
            },
            tail: Print {
                bytes: tail_bytes,
                crc: tail_crc,
            },
            finished: Vec::new(),
        };
        for _ in 0..finished {
            let (inode, bytes) = (inode_of(rest)?, u16_of(rest)?);
            let _reserved = take::<2>(rest)?;
            let crc = u32_of(rest)?;
            let head = Print { bytes, crc };
            cursor.finished.push(Finished { inode, head });
        }
        Some(cursor)
    }
}

/// `None` if the file has fewer.
fn read_at(file: &File, at: u64, bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let mut read = vec![0; bytes];
    match file.read_exact_at(&mut read, at) {
        Ok(()) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn u16_of(bytes: &mut &[u8]) -> Option<u16> {
    take(bytes).map(u16::from_le_bytes)
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

fn u64_of(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

fn inode_of(bytes: &mut &[u8]) -> Option<Inode> {
    let (dev, ino) = (u64_of(bytes)?, u64_of(bytes)?);
    Some(Inode { dev, ino })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        let print = |bytes| Print {
            bytes,
            crc: u32::from(bytes) * 7,
        };
        let finished = |ino| Finished {
            inode: Inode { dev: 1, ino },
            head: print(9),
        };
        Cursor {
            inode: Inode { dev: 1, ino: 2 },
            offset: 4_000,
            is_skipping: true,
            modified: Duration::from_nanos(1_764_000_000_123_456_789),
            head: print(1_024),
            tail: print(256),
            finished: vec![finished(3), finished(4)],
        }
    }

    /// The bytes of FORMAT.md, never changed: logs out there have them.
    #[test]
    fn the_sample_is_read_and_written() {
        let bytes = cursor().encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "010100040001020001000000000000000200000000000000a00f00000000000015cd256fa7fc7a18\
             001c00000007000001000000000000000300000000000000090000003f00000001000000000000000400\
             000000000000090000003f000000"
        );
        assert_eq!(Cursor::decode(&bytes), Some(cursor()));
        for cut in 0..bytes.len() {
            assert_eq!(Cursor::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Cursor::decode(&[2, 0]), None, "a later version");
    }

    #[test]
    fn the_longest_fits_the_log() {
        let mut cursor = cursor();
        (0..20).for_each(|_| cursor.finish());
        assert_eq!(cursor.finished.len(), FINISHED_MAX);
        assert!(cursor.encode().len() <= crate::log::CURSOR_BYTES_MAX);
    }

    #[test]
    fn a_file_is_known_by_what_was_read_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let text: Vec<u8> = (0..3_000_u32).flat_map(|n| n.to_le_bytes()).collect();
        std::fs::write(&path, &text).unwrap();
        let file = File::open(&path).unwrap();
        let mut seen = Seen::default();
        text[..5_000].chunks(700).for_each(|part| seen.add(part));
        let read = Seen::read(&file, 5_000).unwrap().unwrap();
        assert_eq!(seen.prints(), read.prints());
        assert!(seen.are_in(&file, 5_000).unwrap());
        assert!(!seen.are_in(&file, 5_001).unwrap(), "another place");
        std::fs::write(&path, &text[..4_999]).unwrap();
        assert!(!seen.are_in(&file, 5_000).unwrap(), "it is shorter now");
        assert!(Seen::read(&file, 5_000).unwrap().is_none());
    }
}
