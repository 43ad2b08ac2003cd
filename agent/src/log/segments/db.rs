//! One segment: a redb database whose keys are positions and whose values are batches.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_wire::uplink::{BatchRange, Position};
use redb::{
    Builder, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend,
    TableDefinition, TableError, WriteTransaction,
};

use super::check::open_checked;
use super::salvage::Salvage;
use crate::log::device::LogId;
use crate::log::disk::DiskFile;
use crate::log::error::is_damage;
use crate::log::space::Meter;
use crate::log::tail::range;

/// First position of a batch to the batch.
const BATCHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("batches");
/// What the segment is: `format`, `log`, `lane`.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT: u16 = 1;

/// Values of one commit stay in memory until it is done; a smaller cache writes them twice.
const CACHE_BYTES: usize = 768 << 10;
/// Length of redb's magic number.
const MAGIC_BYTES: usize = 9;
/// Length of an empty database, and some.
const EMPTY_BYTES_MAX: u64 = 96 << 10;
/// Enough for the tree and a value.
const READ_CACHE_BYTES: usize = 256 << 10;

/// An open segment; closed in order when it is dropped.
pub(super) struct Db(Option<Open>);

enum Open {
    Writer(Database),
    Reader(ReadOnlyDatabase),
    Salvage(Salvage),
}

impl Db {
    /// Opens a segment for writing; an empty file becomes one.
    pub(super) fn open(file: Arc<dyn DiskFile>, meter: Meter) -> io::Result<Self> {
        guarded(|| {
            let backend = Backend { file, meter };
            let database = Builder::new()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(backend);
            database.map(Self::writer).map_err(failed)
        })
    }

    /// Opens a segment without ever changing its file; `is_known` if it was found sound before. Of
    /// one that is not, what can be found is there.
    ///
    /// # Errors
    /// The disk's, and [`io::ErrorKind::InvalidData`] if nothing is found.
    pub(super) fn open_read_only(
        file: Arc<dyn DiskFile>,
        meter: Meter,
        is_known: bool,
    ) -> io::Result<Self> {
        if is_known && let Ok(reader) = Self::open_known(Arc::clone(&file), meter) {
            return Ok(reader);
        }
        let checked = guarded(|| open_checked(Arc::clone(&file), READ_CACHE_BYTES));
        match checked {
            Ok(database) => Ok(Self::writer(database)),
            Err(error) if is_damage(&error) => {
                let salvage = Salvage::search(file)?;
                let found = (!salvage.is_empty()).then_some(salvage);
                found
                    .map(|found| Self(Some(Open::Salvage(found))))
                    .ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// One that was closed, and found sound.
    fn open_known(file: Arc<dyn DiskFile>, meter: Meter) -> io::Result<Self> {
        guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(READ_CACHE_BYTES);
            builder
                .open_read_only_with_backend(Backend { file, meter })
                .map(|database| Self(Some(Open::Reader(database))))
                .map_err(failed)
        })
    }

    /// Whether nothing in it is damaged.
    pub(super) fn is_sound(&self) -> bool {
        !matches!(self.0, Some(Open::Salvage(_)))
    }

    /// Whether redb never got as far as to finish an empty database in this file: it writes its
    /// magic number last, and the file is not yet as long as any with batches of some size.
    pub(super) fn is_unfinished(file: &dyn DiskFile) -> io::Result<bool> {
        let mut magic = [0; MAGIC_BYTES];
        let bytes = file.bytes()?;
        if bytes < MAGIC_BYTES as u64 {
            return Ok(true);
        }
        file.read_at(0, &mut magic)?;
        Ok(bytes <= EMPTY_BYTES_MAX && magic == [0; MAGIC_BYTES])
    }

    /// Adds batches, and what the segment is if it is new; durable when this returns. After an
    /// error the segment must not be written to again.
    pub(super) fn commit(
        &self,
        new: Option<(&LogId, &LaneName)>,
        batches: &[SealedBatch],
    ) -> io::Result<()> {
        let Some(Open::Writer(database)) = &self.0 else {
            return Err(io::Error::other("the segment is open for reading only"));
        };
        guarded(|| {
            let write = begin(database)?;
            if let Some((log_id, lane)) = new {
                put_meta(&write, log_id, lane)?;
            }
            {
                let mut table = write.open_table(BATCHES).map_err(failed)?;
                for batch in batches {
                    table.insert(batch.first.0, &*batch.bytes).map_err(failed)?;
                }
            }
            write.commit().map_err(failed)
        })
    }

    /// The batch that begins at `first`.
    pub(super) fn batch(&self, first: Position) -> io::Result<Option<Bytes>> {
        if let Some(Open::Salvage(salvage)) = &self.0 {
            return salvage.batch(first);
        }
        guarded(|| {
            let read = self.begin_read()?;
            let Some(table) = open_batches(&read)? else {
                return Ok(None);
            };
            let value = table.get(first.0).map_err(failed)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    /// The last batch that begins below `end`.
    pub(super) fn last_below(&self, end: Position) -> io::Result<Option<SealedBatch>> {
        if let Some(Open::Salvage(salvage)) = &self.0 {
            return salvage.last_below(end);
        }
        guarded(|| {
            let read = self.begin_read()?;
            let Some(table) = open_batches(&read)? else {
                return Ok(None);
            };
            let last = table.range(..end.0).map_err(failed)?.next_back();
            let Some(entry) = last.transpose().map_err(failed)? else {
                return Ok(None);
            };
            let bytes = Bytes::copy_from_slice(entry.1.value());
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "batch is damaged");
            let BatchRange { first, next } = range(&bytes).ok_or_else(damaged)?;
            Ok(Some(SealedBatch { first, next, bytes }))
        })
    }

    /// Where the first batch begins that begins at or behind `from`.
    pub(super) fn first_from(&self, from: Position) -> io::Result<Option<Position>> {
        if let Some(Open::Salvage(salvage)) = &self.0 {
            return Ok(salvage.nth_from(from, 0));
        }
        guarded(|| {
            let read = self.begin_read()?;
            let Some(table) = open_batches(&read)? else {
                return Ok(None);
            };
            let first = table.range(from.0..).map_err(failed)?.next();
            let entry = first.transpose().map_err(failed)?;
            let first = entry.map(|entry| Position(entry.0.value()));
            // In a damaged tree a key may lie where it does not belong: nobody goes back for it.
            Ok(first.filter(|first| *first >= from))
        })
    }

    /// Where the batch begins that is the `nth` behind the one at `from`.
    pub(super) fn nth_from(&self, from: Position, nth: usize) -> io::Result<Option<Position>> {
        if let Some(Open::Salvage(salvage)) = &self.0 {
            return Ok(salvage.nth_from(from, nth));
        }
        guarded(|| {
            let read = self.begin_read()?;
            let Some(table) = open_batches(&read)? else {
                return Ok(None);
            };
            let entry = table.range(from.0..).map_err(failed)?.nth(nth);
            let entry = entry.transpose().map_err(failed)?;
            let nth = entry.map(|entry| Position(entry.0.value()));
            Ok(nth.filter(|nth| *nth >= from))
        })
    }

    /// Finishes writing, so that the segment can be opened for reading alone.
    pub(super) fn close(self) {
        drop(self);
    }

    fn writer(database: Database) -> Self {
        Self(Some(Open::Writer(database)))
    }

    fn begin_read(&self) -> io::Result<ReadTransaction> {
        match &self.0 {
            Some(Open::Writer(database)) => database.begin_read().map_err(failed),
            Some(Open::Reader(database)) => database.begin_read().map_err(failed),
            Some(Open::Salvage(_)) => Err(io::Error::other("the segment is damaged")),
            None => Err(io::Error::other("the segment is closed")),
        }
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else {
            return;
        };
        // A failure here leaves the segment to be repaired when it is opened; nothing is lost. redb
        // writes when it closes, and may panic then as at any time.
        let closed = guarded(|| match open {
            Open::Writer(database) => database.close().map_err(failed),
            Open::Reader(database) => database.close().map_err(failed),
            Open::Salvage(_) => Ok(()),
        });
        if let Err(error) = closed {
            tracing::debug!(%error, "Segment was not closed in order");
        }
    }
}

fn begin(database: &Database) -> io::Result<WriteTransaction> {
    #[cfg_attr(
        not(hw_fault = "no_sync"),
        expect(unused_mut, reason = "changed by the fault only")
    )]
    let mut write = database.begin_write().map_err(failed)?;
    #[cfg(hw_fault = "no_sync")]
    write
        .set_durability(redb::Durability::None)
        .map_err(io::Error::other)?;
    Ok(write)
}

fn put_meta(write: &WriteTransaction, log_id: &LogId, lane: &LaneName) -> io::Result<()> {
    let mut meta = write.open_table(META).map_err(failed)?;
    let lane = lane.to_string();
    let format = FORMAT.to_le_bytes();
    let entries: [(&str, &[u8]); 3] = [
        ("format", &format),
        ("log", log_id),
        ("lane", lane.as_bytes()),
    ];
    for (name, value) in entries {
        meta.insert(name, value).map_err(failed)?;
    }
    Ok(())
}

fn open_batches(
    read: &ReadTransaction,
) -> io::Result<Option<redb::ReadOnlyTable<u64, &'static [u8]>>> {
    match read.open_table(BATCHES) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// redb panics on some files that were changed behind its back: for us that is damage like any
/// other.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "segment is damaged",
        ))
    })
}

pub(super) fn failed(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(error) => error,
        redb::Error::Corrupted(what) => io::Error::new(io::ErrorKind::InvalidData, what),
        error => io::Error::other(error),
    }
}

/// The waist of [`DiskFile`] as redb wants it.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn DiskFile>,
    meter: Meter,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_bytes(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.meter.sync(&*self.file)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.meter.add(bytes.len());
        self.file.write_at(offset, bytes)
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match &self.0 {
            Some(Open::Writer(_)) => "Db::Writer",
            Some(Open::Reader(_)) => "Db::Reader",
            Some(Open::Salvage(_)) => "Db::Salvage",
            None => "Db",
        })
    }
}
