//! What the log reads back from its files, for the fuzz targets.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_wire::uplink::Position;

use super::device::LogId;
use super::disk::Disk;
use super::segments::{Reader, Segments, Store, names};
use super::space::Meter;
use super::tail::{Journal, Section};

/// The log that a [`Tail`] belongs to.
pub const LOG_ID: LogId = [7; 16];

/// The tail journal by itself.
#[derive(Debug)]
pub struct Tail(Journal);

impl Tail {
    /// Reads the journal's files in `dir`: also the frames that count, and whether more is wrong
    /// than a torn end. `None` if a later version wrote them, or the disk failed.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Option<(Self, Vec<Bytes>, bool)> {
        let opened = Journal::open(disk, dir.to_owned(), LOG_ID, Meter::default());
        let (journal, found) = opened.ok()?;
        Some((Self(journal), found.frames, !found.damage.is_empty()))
    }

    /// Appends a frame.
    pub fn commit(&mut self, body: &[u8]) -> io::Result<()> {
        self.0.commit(body)
    }

    /// Begins another file.
    pub fn checkpoint(&mut self, body: &[u8]) -> io::Result<()> {
        self.0.checkpoint(body)
    }
}

/// The sections at the front of a frame's body, each as it is written.
pub fn sections(body: &[u8]) -> Vec<Vec<u8>> {
    let mut body = Bytes::copy_from_slice(body);
    let mut written = Vec::new();
    while let Some(section) = Section::decode(&mut body) {
        let mut out = Vec::new();
        section.encode_into(&mut out);
        written.push(out);
    }
    written
}

/// A segment's name as it is written.
pub fn segment_name(name: &str) -> Option<String> {
    names::parse_name(name).map(|(first, serial)| names::name(first, serial))
}

/// The name of a lane's directory as it is written.
pub fn lane_dir_name(name: &str) -> Option<String> {
    names::parse_dir_name(name).map(|lane| names::dir_name(&lane))
}

/// Writes batches, each with its position, as the segment of a lane in `dir`; its path.
pub fn write_segment(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    batches: &[(u64, Vec<u8>)],
) -> io::Result<PathBuf> {
    let mut segments = segments(disk, dir)?;
    let batches: Vec<SealedBatch> = batches
        .iter()
        .map(|(first, bytes)| SealedBatch {
            first: Position(*first),
            next: Position(*first + 10),
            bytes: Bytes::copy_from_slice(bytes),
        })
        .collect();
    segments.commit(&batches)?;
    segments.close_writer();
    let lane_dir = dir.join(names::dir_name(&lane()));
    Ok(lane_dir.join(names::name(Position(0), 1)))
}

/// Opens the lane's segments as after a restart, and reads every batch that is handed out.
pub fn read_segment(disk: &Arc<dyn Disk>, dir: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(mut segments) = segments(disk, dir) else {
        return found;
    };
    if segments.recover((0, Position(0)), Position(0)).is_err() {
        return found;
    }
    let mut reader = Reader::default();
    let mut at = Position(0);
    while let Some(first) = segments.first_from(&mut reader, at) {
        if let Ok(Some(batch)) = segments.read(&mut reader, first) {
            found.push((first.0, batch.to_vec()));
        }
        at = Position(first.0 + 1);
    }
    found
}

fn segments(disk: &Arc<dyn Disk>, dir: &Path) -> io::Result<Segments> {
    let store = Store {
        disk: Arc::clone(disk),
        dir: dir.to_owned(),
        log_id: LOG_ID,
        meter: Meter::default(),
    };
    Segments::open(store, lane())
}

fn lane() -> LaneName {
    LaneName::main("events")
}
