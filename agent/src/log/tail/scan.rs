//! Which frames of the files count.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use bytes::Bytes;
use headwater_wire::crc::crc32c;

use super::frame::{self, HEADER_BYTES, Header, Kind, NoFrame, PAGE_BYTES};
use super::{BODY_BYTES_MAX, Found, Place};
use crate::log::device::{LogId, newer};
use crate::log::disk::DiskFile;
use crate::log::error::OpenError;
use crate::log::space::TAIL_FILE_BYTES;

/// The journal is not what was written: more than a torn end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log) enum Damage {
    /// Frames are missing before one that counts.
    Missing {
        /// Sequence of the first that is missing.
        from: u64,
        /// Sequence of the one that is there again.
        to: u64,
    },
    /// A file is shorter than it was made.
    Short {
        /// Its name.
        file: String,
        /// Its length.
        bytes: u64,
    },
    /// There is no checkpoint at all, though there are frames.
    NoCheckpoint,
}

/// The result of reading all files.
pub(super) struct Scan {
    pub(super) found: Found,
    /// Files that hold frames that count.
    pub(super) used: BTreeSet<u32>,
    /// Files that are too short to be used again.
    pub(super) short: BTreeSet<u32>,
    /// Files that can be overwritten.
    pub(super) spare: BTreeSet<u32>,
    /// The highest sequence anywhere: never given out again.
    pub(super) sequence: u64,
    pub(super) previous: u32,
}

/// A whole frame of this log.
#[derive(Debug, Clone, Copy)]
struct Placed {
    slot: u32,
    at: u64,
    header: Header,
}

pub(super) fn scan(place: &Place, log_id: &LogId) -> Result<Scan, OpenError> {
    let fail = |file: std::path::PathBuf| move |source| OpenError::Io { file, source };
    let slots = place.slots().map_err(fail(place.dir.clone()))?;
    let mut frames = Vec::new();
    let mut found = Found::default();
    let mut short = BTreeSet::new();
    for slot in &slots {
        let path = place.path(*slot);
        let file = place.open(*slot).map_err(fail(path.clone()))?;
        let bytes = file.bytes().map_err(fail(path.clone()))?;
        let before = frames.len();
        scan_file(
            &*file,
            bytes.min(TAIL_FILE_BYTES),
            log_id,
            &mut |at, header| {
                frames.push(Placed {
                    slot: *slot,
                    at,
                    header,
                });
            },
        )
        .map_err(|error| error.at(path))?;
        if bytes < TAIL_FILE_BYTES {
            short.insert(*slot);
            // One that was being made when the power went never held a frame.
            if frames.len() > before {
                found.damage.push(Damage::Short {
                    file: format!("tail-{slot}"),
                    bytes,
                });
            }
        }
    }
    frames.sort_by_key(|frame| frame.header.sequence);
    let sequence = frames.last().map_or(0, |frame| frame.header.sequence);
    let chain = chain(&frames, &mut found.damage);
    for frame in &chain {
        let path = place.path(frame.slot);
        let body = place.open(frame.slot).and_then(|file| body(&*file, frame));
        found.frames.push(body.map_err(fail(path))?);
    }
    let is_whole = |slot: &u32| !short.contains(slot);
    let used: BTreeSet<u32> = chain
        .iter()
        .map(|frame| frame.slot)
        .filter(is_whole)
        .collect();
    let is_spare = |slot: &u32| is_whole(slot) && !used.contains(slot);
    let spare = slots.into_iter().filter(is_spare).collect();
    let previous = chain.last().map_or(0, |frame| frame.header.header_crc);
    Ok(Scan {
        found,
        used,
        short,
        spare,
        sequence,
        previous,
    })
}

/// The frames that count: the last checkpoint and what continues it. Past a hole the chain is
/// taken up again, for what lies behind it was acknowledged.
fn chain(frames: &[Placed], damage: &mut Vec<Damage>) -> Vec<Placed> {
    let is_checkpoint = |frame: &&Placed| frame.header.kind == Kind::Checkpoint;
    let Some(first) = frames.iter().rfind(is_checkpoint) else {
        if frames.is_empty() {
            return Vec::new();
        }
        damage.push(Damage::NoCheckpoint);
        return frames.to_vec();
    };
    let mut chain = vec![*first];
    let mut last = first.header;
    for frame in frames {
        let next = frame.header;
        if next.sequence <= last.sequence {
            continue;
        }
        let continues = next.sequence == last.sequence + 1 && next.previous == last.header_crc;
        if !continues {
            damage.push(Damage::Missing {
                from: last.sequence + 1,
                to: next.sequence,
            });
        }
        chain.push(*frame);
        last = next;
    }
    chain
}

/// Why a file could not be scanned.
enum ScanError {
    Newer(u16),
    Io(io::Error),
}

impl ScanError {
    fn at(self, file: std::path::PathBuf) -> OpenError {
        match self {
            Self::Newer(format) => newer(file, format, frame::FORMAT),
            Self::Io(source) => OpenError::Io { file, source },
        }
    }
}

/// Every whole frame of this log in a file, of whatever age.
fn scan_file(
    file: &dyn DiskFile,
    bytes: u64,
    log_id: &LogId,
    each: &mut dyn FnMut(u64, Header),
) -> Result<(), ScanError> {
    let mut at = 0;
    let mut head = [0; HEADER_BYTES];
    while at + PAGE_BYTES as u64 <= bytes {
        file.read_at(at, &mut head).map_err(ScanError::Io)?;
        let step = match frame::decode(&head, log_id) {
            Ok(header) if is_whole(file, at, bytes, &header).map_err(ScanError::Io)? => {
                each(at, header);
                frame_bytes(&header)
            }
            Ok(_) | Err(NoFrame::Bad) => PAGE_BYTES as u64,
            Err(NoFrame::Newer(format)) => return Err(ScanError::Newer(format)),
        };
        at += step;
    }
    Ok(())
}

fn is_whole(file: &dyn DiskFile, at: u64, bytes: u64, header: &Header) -> io::Result<bool> {
    let is_possible = body_bytes(header) <= BODY_BYTES_MAX && at + frame_bytes(header) <= bytes;
    if !is_possible {
        return Ok(false);
    }
    let mut body = vec![0; body_bytes(header)];
    file.read_at(at + HEADER_BYTES as u64, &mut body)?;
    Ok(crc32c(&body) == header.body_crc)
}

fn body(file: &dyn DiskFile, frame: &Placed) -> io::Result<Bytes> {
    let mut body = vec![0; body_bytes(&frame.header)];
    file.read_at(frame.at + HEADER_BYTES as u64, &mut body)?;
    Ok(body.into())
}

fn body_bytes(header: &Header) -> usize {
    usize::try_from(header.body_bytes).unwrap_or(usize::MAX)
}

fn frame_bytes(header: &Header) -> u64 {
    frame::frame_bytes(body_bytes(header))
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { from, to } => {
                write!(
                    out,
                    "Journal is damaged: frames {from} to {to} cannot be read"
                )
            }
            Self::Short { file, bytes } => {
                write!(out, "Journal file {file} was cut to {bytes} bytes")
            }
            Self::NoCheckpoint => out.write_str("Journal has no readable checkpoint"),
        }
    }
}
