//! Reads all of a log that is not open, as opening it would find it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_wire::uplink::Position;

use super::copy::CopyDisk;
use super::device::IDENTITY_FILE;
use super::disk::{Disk as _, FileDisk};
use super::engine::Engine;
use super::error::OpenError;
use super::options::LogOptions;
use super::reader::{StoredRecord, read_batch};
use super::segments::{first_of, parse_dir_name};
use super::tail::{is_journal_file, lost};

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The device that the log was made for.
    pub device: String,
    /// Its lanes, in order of their names.
    pub lanes: Vec<InspectedLane>,
    /// What cannot be read, in words; empty in a sound log.
    pub damage: Vec<String>,
}

/// What a lane holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedLane {
    /// Its name.
    pub name: LaneName,
    /// Generation of its producer id.
    pub generation: u32,
    /// Oldest position held.
    pub oldest: Position,
    /// Position of the next event.
    pub next: Position,
    /// Events that can be read, those in declarations of loss not counted.
    pub events: u64,
    /// Sealed batches, declarations of loss included, and their bytes.
    pub batches: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Positions that are declared lost, those found now included.
    pub lost: u64,
    /// Their ranges.
    pub lost_ranges: Vec<(Position, Position)>,
}

impl Inspection {
    /// Where something is declared lost, by lane.
    pub fn unreadable(&self) -> Vec<(LaneName, Position, Position)> {
        let ranges = self.lanes.iter().flat_map(|lane| {
            let name = |range: &(Position, Position)| (lane.name.clone(), range.0, range.1);
            lane.lost_ranges.iter().map(name)
        });
        ranges.collect()
    }
}

/// The files of the log in `dir`, below it, that a repair may change, or in which one of `ranges`
/// lies: identity, journal, last segments and segments of the ranges.
pub fn files_of(dir: &Path, ranges: &[(LaneName, Position, Position)]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in FileDisk.list(dir)? {
        if name == IDENTITY_FILE || is_journal_file(&name) {
            files.push(PathBuf::from(name));
        } else if let Some(lane) = parse_dir_name(&name) {
            let segments = FileDisk.list(&dir.join(&name))?;
            let ends = segments.iter().skip(1).map(|next| first_of(next));
            for (file, end) in segments.iter().zip(ends.chain([None])) {
                let (first, end) = (first_of(file), end.unwrap_or(Position::END));
                let is_touched = |(of, from, to): &(LaneName, Position, Position)| {
                    *of == lane && *from < end && first.is_none_or(|first| first < *to)
                };
                if end == Position::END || ranges.iter().any(is_touched) {
                    files.push(Path::new(&name).join(file));
                }
            }
        }
    }
    Ok(files)
}

/// Reads every batch, checks its CRC and its records, and gives each record to `each`. Nothing on
/// the disk is changed; the directory is locked meanwhile.
pub fn inspect(
    mut options: LogOptions,
    each: impl FnMut(StoredRecord),
) -> Result<Inspection, OpenError> {
    options.disk = Arc::new(CopyDisk::default());
    walk(options, each)
}

/// As [`inspect`], on the disk itself: what opening the log does is done, and what cannot be read
/// is declared lost, durably.
pub fn repair(options: LogOptions) -> Result<Inspection, OpenError> {
    walk(options, |_| {})
}

fn walk(options: LogOptions, mut each: impl FnMut(StoredRecord)) -> Result<Inspection, OpenError> {
    let dir = options.dir.clone();
    let fail = |source| OpenError::Io {
        file: dir.clone(),
        source,
    };
    let mut engine = Engine::open(options)?;
    let mut inspection = Inspection {
        device: engine.device().to_owned(),
        ..Inspection::default()
    };
    for state in engine.lane_states() {
        let mut lane = InspectedLane {
            name: state.name.clone(),
            generation: state.generation,
            oldest: state.oldest,
            next: state.next,
            events: 0,
            batches: 0,
            bytes: 0,
            lost: 0,
            lost_ranges: Vec::new(),
        };
        let mut at = state.oldest;
        while let Some(batch) = engine
            .next_batch(&state.name, at)
            .map_err(|error| fail(io::Error::other(error)))?
        {
            at = batch.next;
            inspection.damage.extend(lane.add(&batch, &mut each));
        }
        let open = engine.open_records(&state.name);
        lane.read(at, &open, &mut each);
        // Files are named by the log's own positions.
        for (from, to) in &mut lane.lost_ranges {
            *from = engine.held_at(&state.name, *from);
            *to = engine.held_at(&state.name, *to);
        }
        inspection.lanes.push(lane);
    }
    let alarms = engine.status().alarms;
    let damage = alarms.into_iter().filter(|alarm| alarm.code == "damaged");
    inspection.damage.extend(damage.map(|alarm| alarm.text));
    engine.close();
    Ok(inspection)
}

impl InspectedLane {
    /// Counts a batch; says what is wrong with it beyond its CRC, which was right.
    fn add(&mut self, batch: &SealedBatch, each: &mut impl FnMut(StoredRecord)) -> Option<String> {
        self.batches += 1;
        self.bytes += batch.bytes.len() as u64;
        if let Some(range) = lost(&batch.bytes) {
            self.lost += range.next.since(range.first);
            self.lost_ranges.push((range.first, range.next));
            read_batch(&self.name, range.first, &batch.bytes, each);
            return None;
        }
        let expected = batch.next.since(batch.first);
        let read = self.read(batch.first, &batch.bytes, each);
        let (name, first) = (&self.name, batch.first);
        (read != expected)
            .then(|| format!("{name}: batch at {first} has {read} readable records of {expected}"))
    }

    fn read(&mut self, first: Position, batch: &[u8], each: &mut impl FnMut(StoredRecord)) -> u64 {
        let mut count = 0;
        read_batch(&self.name, first, batch, &mut |record| {
            count += 1;
            each(record);
        });
        self.events += count;
        count
    }
}
