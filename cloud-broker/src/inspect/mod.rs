//! `inspect`: any object of the store as JSON, as far as it can be read.
//!
//! What an object is, its first bytes say; where these are damaged, its name does.

mod journal;
mod register;
mod segment;
mod snapshot;
mod source;

use std::path::Path;

use headwater_broker_core::uuid;
use headwater_store::StoreError;
use headwater_store::disk::CopyDisk;
use headwater_store::format::{
    chunk, journal_file, manifest, page, segment as segment_format, snapshot as snapshot_format,
};
use serde_json::{Value, json};

use source::Source;

/// First bytes of a redb database.
const REDB_MAGIC: &[u8] = b"redb";
/// No register is longer.
const REGISTER_BYTES_MAX: u64 = 16 << 20;

/// Reads the object in the file `path`.
///
/// # Errors
/// There is no such file, or it cannot be read at all. What is damaged is told in the JSON, under
/// `error` or `damage`.
pub fn file(path: &Path) -> Result<Value, StoreError> {
    let source = Source::file(path)?;
    if source.start(4)?.starts_with(REDB_MAGIC) {
        return register::database(path);
    }
    describe(&source)
}

/// Reads the object `name` of the data directory `dir`: a register, a blob, or a file below it. A
/// broker may be using it; what it is just writing may look damaged then.
///
/// # Errors
/// As [`file()`].
pub fn object(dir: &Path, name: &str) -> Result<Value, StoreError> {
    let below = |name: &str| {
        Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    for path in [dir.join(name), dir.join("blobs").join(name)] {
        if below(name) && path.is_file() {
            return file(&path);
        }
    }
    register::named(dir, name)
}

fn describe(source: &Source) -> Result<Value, StoreError> {
    Ok(match kind_of(&source.start(8)?, source.place()) {
        Kind::Segment => segment::describe(source),
        Kind::JournalFile => journal::file(source)?,
        Kind::Frame => journal::frame(&source.start(chunk::FRAME_BYTES_MAX)?, 0),
        Kind::Snapshot => snapshot::describe(&source.start(snapshot::BYTES_MAX)?),
        Kind::Manifest => register::manifest(&source.start(REGISTER_BYTES_MAX)?),
        Kind::Page => register::page(&source.start(REGISTER_BYTES_MAX)?),
        Kind::Json => register::json(&source.start(REGISTER_BYTES_MAX)?),
    })
}

/// What an object may be.
#[derive(Clone, Copy)]
enum Kind {
    Segment,
    JournalFile,
    Frame,
    Snapshot,
    Manifest,
    Page,
    Json,
}

/// By its first bytes; where they are none of ours, by where it lies.
fn kind_of(start: &[u8], place: &str) -> Kind {
    let magics = [
        (segment_format::MAGIC, Kind::Segment),
        (journal_file::MAGIC, Kind::JournalFile),
        (chunk::MAGIC, Kind::Frame),
        (snapshot_format::MAGIC, Kind::Snapshot),
        (manifest::MAGIC, Kind::Manifest),
        (page::MAGIC, Kind::Page),
        (*b"{\n  ", Kind::Json),
    ];
    let known = magics.iter().find(|(magic, _)| start.starts_with(magic));
    match known {
        Some((_, kind)) => *kind,
        None if place.ends_with(".log") => Kind::JournalFile,
        None if place.contains("/g/") => Kind::Segment,
        None if place.contains("/x/") => Kind::Snapshot,
        None if place.contains("/p/") => Kind::Page,
        None => Kind::Json,
    }
}

/// An object of this kind that cannot be read.
fn unreadable(kind: &str, error: impl std::fmt::Display) -> Value {
    json!({ "kind": kind, "error": error.to_string() })
}

/// Bytes as hex digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A stream's id, as catalogs and HTTP have it.
fn stream_id(bytes: &[u8]) -> String {
    match bytes.try_into() {
        Ok(id) => uuid::format(&id),
        Err(_) => hex(bytes),
    }
}

/// Text if it is some, hex digits else.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        Ok(_) | Err(_) => format!("0x{}", hex(bytes)),
    }
}

/// The data directory as it is, for whoever only looks.
fn disk(dir: &Path) -> Result<CopyDisk, StoreError> {
    CopyDisk::look_at(dir)
}

#[cfg(test)]
mod tests;
