use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::disk::Disk;
use super::error::OpenError;

const LOCK_FILE: &str = "lock";

/// Holds a data directory for this process; the system frees it when the process ends, however it
/// ends.
#[derive(Debug)]
pub struct DirLock {
    _file: Option<File>,
}

/// Why a directory cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// This process holds it; 0 if it did not say which it is.
    InUse(u32),
    /// The file system failed.
    Io(io::Error),
}

impl DirLock {
    /// Takes `dir`, creating it if it is not there.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        std::fs::create_dir_all(dir).map_err(LockError::Io)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(dir.join(LOCK_FILE)).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::InUse(read_pid(&mut file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        write_pid(&mut file).map_err(LockError::Io)?;
        Ok(Self { _file: Some(file) })
    }

    /// No lock, for a disk that only this process knows.
    pub fn none() -> Self {
        Self { _file: None }
    }
}

/// Takes the data directory `dir` of `disk`.
pub(super) fn hold(disk: &dyn Disk, dir: &Path) -> Result<DirLock, OpenError> {
    let dir = dir.to_owned();
    disk.lock(&dir).map_err(|error| match error {
        LockError::InUse(pid) => OpenError::InUse { dir, pid },
        LockError::Io(source) => OpenError::Io { file: dir, source },
    })
}

/// The process that holds `dir`, if one does; makes nothing there.
pub fn holder(dir: &Path) -> Option<u32> {
    let mut file = File::open(dir.join(LOCK_FILE)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read_pid(&mut file)),
        // Dropping the file gives it back.
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    read.ok()
        .and_then(|_| text.trim().parse().ok())
        .unwrap_or(0)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
