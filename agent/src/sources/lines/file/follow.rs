//! The follower: one file at a time, one step at a time.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::Pause;
use super::find::{self, Found};
use super::place::{Cursor, Seen};
use crate::sources::lines::cut::Cutter;
use crate::sources::lines::maker::Maker;
use crate::status::SourceState;

/// Read at a time; more only for a line that is longer.
const READ_BYTES: usize = 128 << 10;
/// A renamed file is left when nothing came for this long: who wrote to it has opened the next.
const QUIET: Duration = Duration::from_millis(500);

/// Follows one path.
pub(super) struct Follower {
    maker: Maker,
    path: PathBuf,
    /// Where it stands; of the file that is open, if one is.
    cursor: Option<Cursor>,
    current: Option<Current>,
}

/// The file that is open.
struct Current {
    found: Found,
    seen: Seen,
    cutter: Cutter,
    /// Its length when there was last nothing to take.
    idle_at: Option<u64>,
    /// Since when another file lies at its path.
    renamed_since: Option<Instant>,
}

/// What one look at a file came to.
enum Look {
    /// Lines were taken.
    Took,
    /// Nothing new.
    Nothing,
    /// The log does not take them now.
    Refused,
    /// It is shorter, or has other bytes, than what was read.
    Truncated,
}

impl Follower {
    pub(super) fn new(maker: Maker, path: PathBuf, cursor: Option<Cursor>) -> Self {
        Self {
            maker,
            path,
            cursor,
            current: None,
        }
    }

    /// Until the agent stops.
    pub(super) fn run(mut self, pause: &Pause) {
        let mut has_failed = false;
        while !pause.is_over() {
            let turned = match self.turn() {
                Ok(turned) => {
                    if std::mem::take(&mut has_failed) && self.current.is_some() {
                        self.maker.intake.runs();
                    }
                    turned
                }
                // Files are being rotated at this moment.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
                Err(error) => {
                    self.waits(&error.to_string());
                    has_failed = true;
                    // A file system that went away gives another file when it comes back.
                    self.current = None;
                    false
                }
            };
            if !turned && !pause.wait() {
                return;
            }
        }
    }

    /// Does one thing; `false` if there was nothing to do.
    fn turn(&mut self) -> io::Result<bool> {
        let Some(current) = &mut self.current else {
            return self.open();
        };
        let look = take(current, &self.maker, &mut self.cursor, false)?;
        match look {
            Look::Took => Ok(true),
            Look::Truncated => self.begin_anew(),
            Look::Refused => Ok(false),
            Look::Nothing => self.follow_rotation(),
        }
    }

    /// Opens the file that the cursor says, or what is left of it.
    fn open(&mut self) -> io::Result<bool> {
        let found = match &self.cursor {
            None => find::at(&self.path)?,
            Some(cursor) => match find::same(&self.path, cursor)? {
                Some(found) => Some(found),
                None => return self.begin_anew(),
            },
        };
        let Some(found) = found else {
            self.waits("it is not there yet");
            return Ok(false);
        };
        let offset = self.cursor.as_ref().map_or(0, |cursor| cursor.offset);
        self.go_on(found, offset)
    }

    /// The bytes before the cursor are not where they were: a copy has them, or they are gone.
    fn begin_anew(&mut self) -> io::Result<bool> {
        let Some(cursor) = self.cursor.clone() else {
            return Ok(false);
        };
        if let Some(found) = find::copy(&self.path, &cursor)? {
            return self.go_on(found, cursor.offset);
        }
        let is_known = |found: &Found| found.inode == cursor.inode;
        let own = self.current.as_ref().map(|current| current.found.inode);
        let found = match find::next(&self.path, &cursor, own)? {
            None => find::at(&self.path)?,
            found => found,
        };
        let Some(found) = found else {
            self.waits("it is not there any more");
            return Ok(false);
        };
        if !is_known(&found) && self.current.is_none() {
            tracing::warn!(
                source = self.maker.intake.name(),
                "The file that was followed is not found again: what came to it behind byte {} is not taken",
                cursor.offset
            );
        }
        self.begin(found)
    }

    /// Another file lies at the path: this one is left once it is quiet.
    fn follow_rotation(&mut self) -> io::Result<bool> {
        let (Some(current), Some(cursor)) = (&mut self.current, &mut self.cursor) else {
            return Ok(false);
        };
        let metadata = current.found.file.metadata()?;
        cursor.modified = find::modified(&metadata);
        let Some(next) = find::next(&self.path, cursor, Some(current.found.inode))? else {
            current.renamed_since = None;
            return Ok(false);
        };
        let since = *current.renamed_since.get_or_insert_with(Instant::now);
        let is_last = next.path == self.path;
        // As long as the next one is empty, whoever writes may still have this one open.
        if is_last && (next.file.metadata()?.len() == 0 || !is_quiet(since, cursor.modified)) {
            return Ok(false);
        }
        let look = take(current, &self.maker, &mut self.cursor, true)?;
        match look {
            Look::Took => Ok(true),
            Look::Truncated => self.begin_anew(),
            Look::Nothing => self.begin(next),
            Look::Refused => Ok(false),
        }
    }

    /// Goes on in a file that has the bytes before `offset`.
    fn go_on(&mut self, found: Found, offset: u64) -> io::Result<bool> {
        let Some(seen) = Seen::read(&found.file, offset)? else {
            return self.begin(found);
        };
        let cursor = self.cursor.get_or_insert_default();
        let (head, tail) = seen.prints();
        (cursor.inode, cursor.offset) = (found.inode, offset);
        (cursor.head, cursor.tail) = (head, tail);
        cursor.modified = find::modified(&found.file.metadata()?);
        self.put(found, seen);
        Ok(true)
    }

    /// Begins with a file.
    fn begin(&mut self, found: Found) -> io::Result<bool> {
        let cursor = self.cursor.get_or_insert_default();
        cursor.finish();
        *cursor = Cursor {
            inode: found.inode,
            modified: find::modified(&found.file.metadata()?),
            finished: std::mem::take(&mut cursor.finished),
            ..Cursor::default()
        };
        self.put(found, Seen::default());
        Ok(true)
    }

    fn put(&mut self, found: Found, seen: Seen) {
        let mut cutter = self.maker.cutter();
        cutter.is_skipping = self
            .cursor
            .as_ref()
            .is_some_and(|cursor| cursor.is_skipping);
        tracing::debug!(source = self.maker.intake.name(), path = %found.path.display(), "File is read");
        self.maker.intake.runs();
        self.current = Some(Current {
            found,
            seen,
            cutter,
            idle_at: None,
            renamed_since: None,
        });
    }

    fn waits(&self, why: &str) {
        let why = format!("{}: {why}", self.path.display());
        self.maker.intake.waits(SourceState::Waiting, why);
    }
}

/// Takes the lines behind the cursor, as many as one step has; with `is_last` the end of the file
/// ends a line.
fn take(
    current: &mut Current,
    maker: &Maker,
    cursor: &mut Option<Cursor>,
    is_last: bool,
) -> io::Result<Look> {
    let Some(cursor) = cursor else {
        return Ok(Look::Nothing);
    };
    let file = &current.found.file;
    let metadata = file.metadata()?;
    if metadata.len() < cursor.offset || !current.seen.are_in(file, cursor.offset)? {
        return Ok(Look::Truncated);
    }
    if !is_last && current.idle_at == Some(metadata.len()) {
        return Ok(Look::Nothing);
    }
    // From here to the end of the step memory is held.
    let _turn = maker.intake.room().turn();
    let mut buffer = read(file, cursor.offset, READ_BYTES)?;
    let mut cutter = current.cutter;
    let mut made = maker.make(&mut cutter, &buffer, false);
    if made.is_empty() && buffer.len() == READ_BYTES {
        buffer = read(file, cursor.offset, maker.buffer_bytes_max())?;
        made = maker.make(&mut cutter, &buffer, false);
    }
    if made.is_empty() && is_last {
        made = maker.make(&mut cutter, &buffer, true);
    }
    if made.is_empty() {
        current.idle_at = Some(cursor.offset + buffer.len() as u64);
        return Ok(Look::Nothing);
    }
    let mut seen = current.seen.clone();
    seen.add(&buffer[..made.used]);
    let (head, tail) = seen.prints();
    let next = Cursor {
        offset: cursor.offset + made.used as u64,
        is_skipping: cutter.is_skipping,
        modified: find::modified(&metadata),
        head,
        tail,
        ..cursor.clone()
    };
    let encoded = next.encode().into();
    if maker
        .intake
        .append_step(encoded, made.events, made.rejected)
        .is_err()
    {
        // The log is full or fails: shown in the status, and tried again in a while.
        return Ok(Look::Refused);
    }
    *cursor = next;
    current.seen = seen;
    current.cutter = cutter;
    (current.idle_at, current.renamed_since) = (None, None);
    Ok(Look::Took)
}

/// What lies from `offset` on, `bytes_max` at most.
fn read(file: &std::fs::File, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes_max];
    let mut bytes = 0;
    while bytes < bytes_max {
        match file.read_at(&mut buffer[bytes..], offset + bytes as u64) {
            Ok(0) => break,
            Ok(more) => bytes += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(bytes);
    Ok(buffer)
}

/// Whether nothing was written for a while, by our clock or by the file's.
fn is_quiet(since: Instant, modified: Duration) -> bool {
    let age = SystemTime::UNIX_EPOCH
        .checked_add(modified)
        .and_then(|modified| modified.elapsed().ok());
    since.elapsed() >= QUIET || age.is_some_and(|age| age >= QUIET)
}
