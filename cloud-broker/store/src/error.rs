//! What can go wrong below the traits: which kind, while doing what, where.

use std::error::Error;
use std::fmt;
use std::io;

use crate::format::FormatError;

/// What kind of trouble it is, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such blob, register, incarnation or slot.
    NotFound,
    /// A name that must be new is taken.
    Exists,
    /// Another process holds the directory.
    InUse {
        /// Its process id, 0 if it could not be read.
        pid: u32,
    },
    /// No space left: nothing was stored, later attempts may succeed.
    NoSpace,
    /// The disk failed. Nothing was promised; what was stored before stays.
    Io,
    /// Stored bytes are not what was written.
    Damaged,
    /// Stored bytes are of a format that this version does not know.
    UnknownFormat,
    /// The caller broke the contract of the call; nothing was done.
    Invalid,
}

/// An error of the store: `kind` to act on, the rest to print.
#[derive(Debug)]
pub struct StoreError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// What was tried, for example `Cannot sync the journal file`.
    pub what: &'static str,
    /// File, register or slot.
    pub place: String,
    /// What lies below.
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error with nothing below it.
    pub fn new(kind: ErrorKind, what: &'static str, place: impl fmt::Display) -> Self {
        Self {
            kind,
            what,
            place: place.to_string(),
            source: None,
        }
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An error of the operating system; its kind tells which of ours it is.
    pub fn io(what: &'static str, place: impl fmt::Display, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => ErrorKind::Exists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self::new(kind, what, place).because(error)
    }

    /// An error of the operating system while what was written is read: bytes that the disk
    /// cannot give, or that are cut off, are damage. Whoever reads may go on behind them.
    pub fn read(what: &'static str, place: impl fmt::Display, error: io::Error) -> Self {
        let cut_off = error.kind() == io::ErrorKind::UnexpectedEof;
        let is_damage = cut_off || error.raw_os_error() == Some(EIO);
        let mut error = Self::io(what, place, error);
        if is_damage {
            error.kind = ErrorKind::Damaged;
        }
        error
    }

    /// Bytes that cannot be read as what they should be.
    pub fn format(what: &'static str, place: impl fmt::Display, error: FormatError) -> Self {
        let kind = match error {
            FormatError::UnknownFormat { .. } => ErrorKind::UnknownFormat,
            FormatError::Short { .. }
            | FormatError::Magic { .. }
            | FormatError::Checksum { .. }
            | FormatError::Value { .. }
            | FormatError::TooLarge { .. } => ErrorKind::Damaged,
        };
        Self::new(kind, what, place).because(error)
    }
}

/// Input/output error.
pub(crate) const EIO: i32 = 5;

/// So often something is read before it is taken for damaged.
pub const READS_MAX: usize = 4;

/// Reads, and as long as that is damaged again, after `forget`, [`READS_MAX`] times in all: a bit
/// may have turned round on its way from the disk, and only what stays so is given up.
///
/// # Errors
/// Those of the last read.
pub fn insist<T>(
    read: impl Fn() -> Result<T, StoreError>,
    forget: impl Fn(),
) -> Result<T, StoreError> {
    for _ in 1..READS_MAX {
        match read() {
            Err(error) if error.kind == ErrorKind::Damaged => forget(),
            done => return done,
        }
    }
    read()
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // interfaces.md 3 fixes this one text.
        if let ErrorKind::InUse { pid } = self.kind {
            return write!(f, "data directory {} is in use by pid {pid}", self.place);
        }
        write!(f, "{} {}", self.what, self.place)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_why() {
        let error = StoreError::io("Cannot sync", "a/b", io::Error::other("the disk is gone"));
        assert_eq!(error.kind, ErrorKind::Io);
        assert_eq!(error.to_string(), "Cannot sync a/b: the disk is gone");
        assert!(error.source().is_some());
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(
            StoreError::io("Cannot write", "a", full).kind,
            ErrorKind::NoSpace
        );
    }

    #[test]
    fn a_taken_directory_has_the_fixed_text() {
        let error = StoreError::new(ErrorKind::InUse { pid: 7 }, "Cannot lock", "/data");
        assert_eq!(error.to_string(), "data directory /data is in use by pid 7");
    }
}
