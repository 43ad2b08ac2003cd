//! A file of the fake disk: what the system holds, what is durable, and how the two part.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};

use super::random::Random;
use super::{Did, FakeDisk};
use crate::disk::DiskFile;
use crate::error::EIO;

/// Power loss tears between these.
const SECTOR_BYTES: usize = 512;
const SECTORS_PER_PAGE: usize = 8;

/// Bytes of one file.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// As reads see them.
    now: Vec<u8>,
    /// As they would be after a power loss that loses all it can.
    durable: Vec<u8>,
    /// Sectors that the next sync makes durable. A sync that failed forgets them.
    dirty: BTreeSet<usize>,
}

impl Content {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self {
            durable: bytes.clone(),
            now: bytes,
            dirty: BTreeSet::new(),
        }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.now
    }

    fn write(&mut self, bytes: &[u8], position: usize) {
        let end = position + bytes.len();
        if end > self.now.len() {
            self.set_len(end);
        }
        self.now[position..end].copy_from_slice(bytes);
        self.touch(position, end);
    }

    fn set_len(&mut self, len: usize) {
        let before = self.now.len();
        self.now.resize(len, 0);
        self.touch(before.min(len), before.max(len));
    }

    fn touch(&mut self, from: usize, to: usize) {
        self.dirty
            .extend(from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES));
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
    }

    /// As Linux does it: some sectors got through, all count as written, reads still see them.
    fn fail_sync(&mut self, random: &mut Random) {
        for sector in std::mem::take(&mut self.dirty) {
            if random.coin() {
                self.keep(sector);
            }
        }
    }

    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let mode = random.below(4);
        let keeps_len = match mode {
            0 => false,
            1 => true,
            _ => random.coin(),
        };
        if keeps_len {
            self.durable.resize(self.now.len(), 0);
        }
        let mut page = (usize::MAX, false);
        for sector in std::mem::take(&mut self.dirty) {
            let number = sector / SECTORS_PER_PAGE;
            if page.0 != number {
                page = (number, random.coin());
            }
            let kept = match mode {
                0 => false,
                1 => true,
                2 => page.1,
                _ => random.coin(),
            };
            if kept {
                self.keep(sector);
            }
        }
        self.now.clone_from(&self.durable);
    }

    /// The sector reaches the disk, as far as the durable length goes.
    fn keep(&mut self, sector: usize) {
        let from = sector * SECTOR_BYTES;
        let to = (from + SECTOR_BYTES)
            .min(self.now.len())
            .min(self.durable.len());
        if from < to {
            self.durable[from..to].copy_from_slice(&self.now[from..to]);
        }
    }
}

/// An open file, for one life of a process.
#[derive(Debug)]
pub(super) struct FakeFile {
    disk: FakeDisk,
    life: u64,
    at: usize,
    path: String,
}

impl FakeFile {
    pub(super) fn new(disk: FakeDisk, life: u64, at: usize, path: &str) -> Self {
        Self {
            disk,
            life,
            at,
            path: path.to_owned(),
        }
    }
}

impl DiskFile for FakeFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.check(self.life)?;
        Ok(state.contents[self.at].bytes_mut().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.check(self.life)?;
        if let Some((part, from, to)) = state.plan.unreadable
            && self.path.contains(part)
            && position < to
            && position + buffer.len() as u64 > from
        {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let short = state.plan.short && buffer.len() > 1;
        let count = match short {
            true => 1 + size(state.random.below(buffer.len() as u64))?,
            false => buffer.len(),
        };
        let bytes = state.contents[self.at].bytes_mut();
        let there = bytes.get(size(position)?..).unwrap_or_default();
        let count = count.min(there.len());
        buffer[..count].copy_from_slice(&there[..count]);
        if count > 0 && !self.path.starts_with("registers") {
            state.reads += 1;
            if state.plan.flip_read == Some(state.reads) {
                let bit = size(state.random.below(8 * count as u64))?;
                buffer[bit / 8] ^= 1 << (bit % 8);
            }
        }
        Ok(count)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.check(self.life)?;
        let mut bytes = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect::<Vec<_>>();
        if state.plan.short && bytes.len() > 1 {
            let count = 1 + size(state.random.below(bytes.len() as u64))?;
            bytes.truncate(count);
        }
        let what = Did::Write {
            position,
            bytes: bytes.len() as u64,
        };
        let position = size(position)?;
        state.change(&self.path, what, |state| {
            let there = state.contents[self.at].now.len();
            let more = (position + bytes.len()).saturating_sub(there) as u64;
            let used: u64 = state
                .contents
                .iter()
                .map(|content| content.now.len() as u64)
                .sum();
            if state
                .plan
                .bytes_max
                .is_some_and(|max| more > 0 && used + more > max)
            {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.contents[self.at].write(&bytes, position);
            Ok(bytes.len())
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(self.life)?;
        let len = size(bytes)?;
        state.change(&self.path, Did::SetLen { bytes }, |state| {
            state.contents[self.at].set_len(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(self.life)?;
        state.syncs += 1;
        let fails = state.plan.fail_sync == Some(state.syncs);
        let lies = state
            .plan
            .lie_from_sync
            .is_some_and(|from| state.syncs >= from);
        state.change(&self.path, Did::Sync, |state| {
            let content = &mut state.contents[self.at];
            match (fails, lies) {
                (true, _) => {
                    content.fail_sync(&mut state.random);
                    Err(io::Error::from_raw_os_error(EIO))
                }
                (false, true) => Ok(()),
                (false, false) => {
                    content.sync();
                    Ok(())
                }
            }
        })
    }
}

fn size(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::ErrorKind::InvalidInput.into())
}
