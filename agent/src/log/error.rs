use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why a log did not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error("data directory {} is in use by pid {pid}", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The other process; 0 if it did not say.
        pid: u32,
    },
    /// `max_bytes` has no room for the fixed files.
    #[error("log.max_bytes is {max_bytes}, and the least is {least}")]
    TooSmall {
        /// As configured.
        max_bytes: u64,
        /// [`MAX_BYTES_MIN`](super::MAX_BYTES_MIN).
        least: u64,
    },
    /// The log was written by a newer version.
    #[error("{} has format {format}, and this version reads up to {newest}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// Its format.
        format: u16,
        /// The newest that this version knows.
        newest: u16,
    },
    /// The file that names the log cannot be read: nothing is guessed.
    #[error("{} is damaged: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The disk failed.
    #[error("{} failed: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Why an append was refused. Nothing of it is acknowledged.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    /// `max_bytes` is reached.
    #[error(
        "Log is full: {used} of {max_bytes} bytes are used, and the broker has not taken what they hold"
    )]
    Full {
        /// Bytes that the directory allocates.
        used: u64,
        /// Bytes that it may.
        max_bytes: u64,
    },
    /// The lane is held and has reached its half of `max_bytes`.
    #[error("Lane {lane} is held and has reached its share of the log: {error}")]
    Held {
        /// Which lane.
        lane: String,
        /// Why it is held.
        error: String,
    },
    /// An event above 240,000 bytes.
    #[error("Event has {bytes} bytes, and the most is {max}")]
    TooLarge {
        /// Its size, key, value and headers.
        bytes: usize,
        /// `EVENT_BYTES_MAX`.
        max: usize,
    },
    /// A stream name outside `[A-Za-z0-9._-]{1,200}`, or one stream more than the log takes.
    #[error("{0}")]
    Stream(String),
    /// The disk failed or is full; what it said.
    #[error("Log cannot be written: {0}")]
    Io(Arc<io::Error>),
    /// The log was stopped.
    #[error("Log is stopped")]
    Stopped,
}

/// Why a batch could not be read or an answer not be recorded.
#[derive(Debug, Clone, Error)]
pub enum ReadError {
    /// No such lane.
    #[error("Lane {0} is not in the log")]
    NoLane(String),
    /// The disk failed; what it said.
    #[error("Log cannot be read: {0}")]
    Io(Arc<io::Error>),
    /// The log was stopped.
    #[error("Log is stopped")]
    Stopped,
}

/// Whether an error says that bytes are gone, and not that the system is short of something.
pub(super) fn is_damage(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.raw_os_error().is_none_or(|code| code == EIO) || error.kind() == io::ErrorKind::NotFound
}
