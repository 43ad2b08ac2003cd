//! One journal file while it is read: its first page, and what that lacks.

use std::sync::Arc;

use super::LocalSlots;
use crate::disk::DiskFile;
use crate::error::StoreError;
use crate::format::FormatError;
use crate::format::journal_file::{self, FileHeader};
use crate::ids::{Incarnation, Nonce};
use crate::local::layout;
use crate::local::walk::{Chain, Walk};
use crate::local::window::Window;

/// An open journal file.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) inc: Incarnation,
    pub(super) first_seq: u64,
    /// Its length.
    pub(super) bytes: u64,
    /// None if the first page is damaged.
    pub(super) header: Option<FileHeader>,
    /// For people.
    pub(super) place: String,
}

impl LocalSlots {
    /// Opens a file. Fails if a later version wrote it.
    pub(super) fn open_file(
        &self,
        inc: Incarnation,
        first_seq: u64,
    ) -> Result<JournalFile, StoreError> {
        let path = layout::path(inc, first_seq);
        let place = self.disk.show(&path);
        let fail = |error| StoreError::io("Cannot read", &place, error);
        let file = self.disk.open(&path).map_err(fail)?;
        let mut window = Window::new(&*file).map_err(fail)?;
        let mut header = || {
            let found = first_page(&mut window);
            found.map_err(|error| StoreError::format("Cannot read", &place, error))
        };
        let header = match header()? {
            Some(header) => Some(header),
            None => header()?,
        };
        let header = header.filter(|header| header.inc == inc && header.first_seq == first_seq);
        let bytes = window.len();
        Ok(JournalFile {
            file,
            inc,
            first_seq,
            bytes,
            header,
            place,
        })
    }
}

impl JournalFile {
    /// Nonce before the first slot, if the file knows it.
    pub(super) fn prev_nonce(&self) -> Option<Nonce> {
        self.header.map(|header| header.prev_nonce)
    }

    /// True if it is shorter than it was made.
    pub(super) fn is_short(&self) -> bool {
        self.header
            .is_some_and(|header| self.bytes < header.preallocated)
    }

    /// A walk through its frames, up to the one before slot `limit`.
    pub(super) fn walk(&self, limit: Option<u64>) -> Result<Walk<'_>, StoreError> {
        let window = Window::new(&*self.file)
            .map_err(|error| StoreError::io("Cannot read", &self.place, error))?;
        let chain = Chain {
            next: self.first_seq,
            nonce: self.prev_nonce(),
        };
        Ok(Walk::new(window, self.inc, chain, limit))
    }

    /// A place in it, for people.
    pub(super) fn at(&self, position: u64) -> String {
        format!("{} at {position}", self.place)
    }

    /// What a frame of a later version makes of the walk.
    pub(super) fn refuse(&self, error: FormatError) -> StoreError {
        StoreError::format("Cannot read", &self.place, error)
    }
}

/// The file's header; none if it is damaged.
fn first_page(window: &mut Window<'_>) -> Result<Option<FileHeader>, FormatError> {
    let Some(bytes) = window.bytes(0, journal_file::HEADER_BYTES as u64) else {
        return Ok(None);
    };
    match FileHeader::decode(bytes) {
        Ok(header) => Ok(Some(header)),
        Err(error @ FormatError::UnknownFormat { .. }) if journal_file::has_checksum(bytes) => {
            Err(error)
        }
        Err(_) => {
            // Asked again, it is read again.
            window.forget();
            Ok(None)
        }
    }
}
