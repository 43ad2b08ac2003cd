//! A log with gigabytes of backlog that takes seconds to make, written as `agent/FORMAT.md` says.
//!
//! Every segment is whole and has a few small batches; behind the end of its file the rest of what
//! a full one takes is allocated and never written. So the agent counts, opens and sends it as it
//! would what it wrote itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use headwater_agent::log::{Log, LogOptions};
use headwater_wire::batch::{BatchBuilder, Compressor};
use headwater_wire::uplink::{Position, producer_id};
use redb::{Builder, StorageBackend, TableDefinition};
use rustix::fs::{FallocateFlags, fallocate};

use crate::events::Events;

/// The device that the log belongs to.
pub const DEVICE: &str = "gw-1";
/// The stream that all of it is for.
pub const STREAM: &str = "events";
const LANE: &str = "main";
/// What a segment allocates.
const SEGMENT_BYTES: u64 = 3_000_000;
const BATCHES_PER_SEGMENT: usize = 3;
const EVENTS_PER_BATCH: usize = 100;
const BATCHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("batches");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// What was made.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// Files.
    pub segments: u64,
    /// Events in them.
    pub events: usize,
}

/// Makes the log of [`DEVICE`] in `folder`, with segments that allocate `bytes` in all.
///
/// # Errors
/// What the log, the file system or redb says.
pub fn make(folder: &Path, bytes: u64) -> Result<Backlog, String> {
    drop(Log::open(LogOptions::new(folder, DEVICE)).map_err(|e| e.to_string())?);
    let identity = std::fs::read(folder.join("identity")).map_err(|e| e.to_string())?;
    let dir = folder.join(format!("{STREAM}.{LANE}.lane"));
    std::fs::create_dir(&dir).map_err(|e| e.to_string())?;
    let mut maker = Maker {
        dir,
        log_id: identity.get(8..24).ok_or("No log id")?.to_vec(),
        events: Events::new(1, 1_760_000_000_000),
        compressor: Compressor::new(1),
        next: Position::ZERO,
    };
    let segments = bytes.div_ceil(SEGMENT_BYTES);
    for serial in 1..=segments {
        maker.segment(serial)?;
    }
    Ok(Backlog {
        segments,
        events: usize::try_from(maker.next.0).map_err(|e| e.to_string())?,
    })
}

struct Maker {
    dir: PathBuf,
    log_id: Vec<u8>,
    events: Events,
    compressor: Compressor,
    next: Position,
}

impl Maker {
    fn segment(&mut self, serial: u64) -> Result<(), String> {
        let path = self.dir.join(format!("{:014}-{serial}.redb", self.next.0));
        let batches: Vec<_> = (0..BATCHES_PER_SEGMENT)
            .map(|_| self.batch())
            .collect::<Result<_, _>>()?;
        self.write(&path, &batches).map_err(|e| e.to_string())?;
        let file = OpenOptions::new().write(true).open(&path);
        let file = file.map_err(|e| e.to_string())?;
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, SEGMENT_BYTES).map_err(|e| e.to_string())
    }

    fn batch(&mut self) -> Result<(u64, Vec<u8>), String> {
        let mut builder = BatchBuilder::new();
        for event in self.events.by_ref().take(EVENTS_PER_BATCH) {
            let none: [(&str, Option<&[u8]>); 0] = [];
            let (key, value) = (event.topic.as_bytes(), event.payload.as_bytes());
            builder
                .push(event.timestamp_ms, Some(key), Some(value), none)
                .map_err(|e| e.to_string())?;
        }
        let id = producer_id(DEVICE, STREAM, LANE, 0);
        let producer = self.next.producer(id).ok_or("Positions end")?;
        let mut bytes = Vec::new();
        builder.finish_zstd_into(producer, &mut self.compressor, &mut bytes);
        let first = self.next.0;
        self.next = Position(first + EVENTS_PER_BATCH as u64);
        Ok((first, bytes))
    }

    fn write(&self, path: &Path, batches: &[(u64, Vec<u8>)]) -> Result<(), redb::Error> {
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(path)?;
        let database = Builder::new().create_with_backend(Unsynced(file))?;
        let write = database.begin_write()?;
        {
            let lane = format!("{STREAM}/{LANE}");
            let mut meta = write.open_table(META)?;
            meta.insert("format", 1_u16.to_le_bytes().as_slice())?;
            meta.insert("log", self.log_id.as_slice())?;
            meta.insert("lane", lane.as_bytes())?;
            let mut table = write.open_table(BATCHES)?;
            for (first, batch) in batches {
                table.insert(first, batch.as_slice())?;
            }
        }
        write.commit()?;
        database.close()?;
        Ok(())
    }
}

/// A file that nobody waits for: a fixture need not outlive a power cut.
#[derive(Debug)]
struct Unsynced(File);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
}
