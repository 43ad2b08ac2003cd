//! Finds files by what is known of them, among those beside the one that is followed.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::{Cursor, Inode};

/// Entries of a directory that are looked at: a directory of millions is no place for a log.
const ENTRIES_MAX: usize = 100_000;
/// How often a directory is read that changes meanwhile.
const READS_MAX: usize = 10;
/// Digits that a name needs between stem and extension to be taken for a date.
const DATE_DIGITS_MIN: usize = 8;

/// A file that is open, and what it was then.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    pub(super) inode: Inode,
    pub(super) path: PathBuf,
}

/// The file at `path`; `None` if there is none.
pub(super) fn at(path: &Path) -> io::Result<Option<Found>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        // Opening anything else might wait for somebody, or mean something.
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is no regular file")),
        Ok(_) => open(path),
    }
}

/// The file in which `cursor` is a place: at `path`, or beside it under whatever name.
pub(super) fn same(path: &Path, cursor: &Cursor) -> io::Result<Option<Found>> {
    let is_same = |found: &Found| -> io::Result<bool> {
        // Without prints nothing was read; then it must be the very file.
        let is_known = cursor.has_prints() || found.inode == cursor.inode;
        Ok(found.inode.ino == cursor.inode.ino && is_known && cursor.fits(&found.file)?)
    };
    if let Some(found) = at(path)?
        && is_same(&found)?
    {
        return Ok(Some(found));
    }
    for beside in entries(path)? {
        if beside.metadata.ino() == cursor.inode.ino {
            let found = beside.open()?;
            if is_same(&found)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// A rotated file that has the bytes before `cursor` and is not its file: a copy, which was made
/// before the file was truncated.
pub(super) fn copy(path: &Path, cursor: &Cursor) -> io::Result<Option<Found>> {
    if !cursor.has_prints() {
        return Ok(None);
    }
    // The newest that fits: older ones may begin alike, and were read.
    for beside in rotated(path)?.into_iter().rev() {
        if beside.metadata.ino() != cursor.inode.ino {
            let found = beside.open()?;
            if cursor.fits(&found.file)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The file that was written after that of `cursor`: the oldest rotated one that is not older
/// and was not read, or else the one at `path`. `None` if that is `own`, the cursor's file, which
/// is open; where it is not, another may have its inode.
pub(super) fn next(path: &Path, cursor: &Cursor, own: Option<Inode>) -> io::Result<Option<Found>> {
    let current = std::fs::metadata(path)
        .ok()
        .map(|metadata| Inode::of(&metadata));
    if own.is_some() && current == own {
        return Ok(None);
    }
    for beside in rotated(path)? {
        let inode = Inode::of(&beside.metadata);
        let is_older = beside.modified() < cursor.modified;
        if is_older || own == Some(inode) || current == Some(inode) || beside.metadata.len() == 0 {
            continue;
        }
        let found = beside.open()?;
        if !is_finished(cursor, &found)? {
            return Ok(Some(found));
        }
    }
    // One that was rotated meanwhile is not among those above.
    match at(path)? {
        Some(found) if current != Some(found.inode) => Err(is_changing()),
        found => Ok(found),
    }
}

fn is_finished(cursor: &Cursor, found: &Found) -> io::Result<bool> {
    for finished in &cursor.finished {
        if finished.is(found.inode, &found.file)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn open(path: &Path) -> io::Result<Option<Found>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let inode = Inode::of(&file.metadata()?);
    let path = path.to_owned();
    Ok(Some(Found { file, inode, path }))
}

#[derive(Debug)]
struct Beside {
    path: PathBuf,
    name: String,
    metadata: Metadata,
}

impl Beside {
    fn open(&self) -> io::Result<Found> {
        let found = at(&self.path)?;
        let found = found.filter(|found| found.inode == Inode::of(&self.metadata));
        found.ok_or_else(is_changing)
    }

    fn modified(&self) -> Duration {
        modified(&self.metadata)
    }
}

/// When it was last written, since the epoch.
pub(super) fn modified(metadata: &Metadata) -> Duration {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// The rotated files beside `path`, the one written first at the front.
fn rotated(path: &Path) -> io::Result<Vec<Beside>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut found = entries(path)?;
    found.retain(|beside| is_rotated(&name, &beside.name));
    // Within the same tick of the clock: `.2` is older than `.1`, and has been renamed before it.
    found.sort_by_key(|beside| {
        let renamed = (beside.metadata.ctime(), beside.metadata.ctime_nsec());
        let number = beside
            .name
            .rsplit('.')
            .next()
            .and_then(|n| n.parse::<u64>().ok());
        (beside.modified(), renamed, std::cmp::Reverse(number))
    });
    Ok(found)
}

/// The regular files of the directory, by name. A file that is renamed while the directory is read may
/// be missed: it is read until it says the same twice.
fn entries(path: &Path) -> io::Result<Vec<Beside>> {
    let key = |beside: &Beside| (beside.name.clone(), beside.metadata.ino());
    let mut before = read_entries(path)?;
    for _ in 0..READS_MAX {
        let now = read_entries(path)?;
        if now.iter().map(key).eq(before.iter().map(key)) {
            return Ok(now);
        }
        before = now;
    }
    Err(is_changing())
}

fn read_entries(path: &Path) -> io::Result<Vec<Beside>> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)?.take(ENTRIES_MAX) {
        let entry = entry?;
        // One that has just gone is not there.
        let metadata = entry.metadata().ok().filter(Metadata::is_file);
        if let (Ok(name), Some(metadata)) = (entry.file_name().into_string(), metadata) {
            let path = entry.path();
            found.push(Beside {
                path,
                name,
                metadata,
            });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Files are being rotated right now: look again in a while.
fn is_changing() -> io::Error {
    io::ErrorKind::Interrupted.into()
}

/// Whether `name` is what rotation makes of `base`: `app.log.1`, `app.log-20251124`,
/// `app.log.2025-11-24`, `app-20251124.log`.
fn is_rotated(base: &str, name: &str) -> bool {
    let is_number = |text: &str, digits_min: usize| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let separated = text.starts_with(['.', '-', '_']);
        let all = text
            .bytes()
            .all(|b| b.is_ascii_digit() || b".-_:T".contains(&b));
        separated && all && digits >= digits_min
    };
    if let Some(rest) = name.strip_prefix(base) {
        return is_number(rest, 1);
    }
    let Some((stem, extension)) = base.rsplit_once('.') else {
        return false;
    };
    let between = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(extension));
    let between = between.and_then(|rest| rest.strip_suffix('.'));
    between.is_some_and(|between| is_number(between, DATE_DIGITS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rotation_makes() {
        for name in [
            "app.log.1",
            "app.log.10",
            "app.log-20251124",
            "app.log.2025-11-24T10:00",
            "app-20251124.log",
            "app.2025-11-24.log",
        ] {
            assert!(is_rotated("app.log", name), "{name}");
        }
        for name in [
            "app.log",
            "app.log.1.gz",
            "app.log.bak",
            "app.log2",
            "app-2.log",
            "app2.log",
            "other.log.1",
            "app.log.",
        ] {
            assert!(!is_rotated("app.log", name), "{name}");
        }
    }
}
