//! Registers in one redb database; every write is durable before it is answered.

mod backend;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use redb::{
    Builder, Database, Durability, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, TableError,
};

use self::backend::{Backend, Image};
use crate::disk::Disk;
use crate::error::{ErrorKind, StoreError};
use crate::traits::{Outcome, Registered, Registers, Version};

const FILE: &str = "registers.redb";
/// A database is made here and renamed, so that a half-made one is never opened.
const UNFINISHED: &str = "registers.tmp";
/// Name → version and value. The version rises by one with every write of that register.
const TABLE: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("registers");
/// Memory for pages of the database, bytes.
const CACHE_BYTES: usize = 4 << 20;

/// Registers of a data directory.
#[derive(Debug)]
pub(super) struct LocalRegisters {
    disk: Arc<dyn Disk>,
    /// None after an error: redb takes no more writes then, so it is opened again.
    database: Mutex<Option<Database>>,
}

impl LocalRegisters {
    pub(super) fn open(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let database = open_or_create(&*disk)?;
        Ok(Self {
            disk,
            database: Mutex::new(Some(database)),
        })
    }

    /// Does `work` on the open database; an error closes it.
    fn with<T>(
        &self,
        what: &'static str,
        name: &str,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let mut database = self.lock();
        if database.is_none() {
            *database = Some(open_or_create(&*self.disk)?);
        }
        let open = database.as_ref().expect("the database was just opened");
        work(open).map_err(|error| {
            *database = None;
            failed(what, name, error)
        })
    }

    /// Writes `value` if what is there has version `expected` (0: nothing).
    fn write(
        &self,
        name: &str,
        expected: u64,
        value: &[u8],
    ) -> Result<Outcome<Registered>, StoreError> {
        let there = self.read(name)?;
        let version = there.as_ref().map_or(0, |there| number(&there.version));
        // An earlier attempt whose commit failed may have landed all the same. No two writes have
        // the same value (each has a write id), so it is known by it; it is written once more,
        // since nobody knows whether it is durable.
        let landed =
            version == expected + 1 && there.as_ref().is_some_and(|there| there.value == value);
        if version != expected && !landed {
            return match there {
                Some(there) => Ok(Outcome::Theirs(there)),
                None => Err(StoreError::new(
                    ErrorKind::NotFound,
                    "Cannot find register",
                    name,
                )),
            };
        }
        let committing = Cell::new(false);
        let result = self.with("Cannot write register", name, |database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            // Otherwise a flipped bit in the newest page brings back what was there before.
            transaction.set_two_phase_commit(true);
            transaction
                .open_table(TABLE)?
                .insert(name, (expected + 1, value))?;
            committing.set(true);
            Ok(transaction.commit()?)
        });
        match result {
            Ok(()) => Ok(Outcome::Mine),
            // Whether it is there shows when the database is opened again.
            Err(_) if committing.get() => Ok(Outcome::Unknown),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Database>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registers for LocalRegisters {
    fn create(&self, name: &str, value: &[u8]) -> Result<Outcome<Registered>, StoreError> {
        self.write(name, 0, value)
    }

    fn read(&self, name: &str) -> Result<Option<Registered>, StoreError> {
        self.with("Cannot read register", name, |database| {
            let table = match database.begin_read()?.open_table(TABLE) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(name)?.map(|entry| {
                let (number, value) = entry.value();
                Registered {
                    value: Bytes::copy_from_slice(value),
                    version: version(number),
                }
            }))
        })
    }

    fn cas(
        &self,
        name: &str,
        expected: &Version,
        value: &[u8],
    ) -> Result<Outcome<Registered>, StoreError> {
        match number(expected) {
            0 => Err(StoreError::new(
                ErrorKind::Invalid,
                "Cannot use the version for",
                name,
            )),
            expected => self.write(name, expected, value),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.with("Cannot list registers", prefix, |database| {
            let table = match database.begin_read()?.open_table(TABLE) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut found = Vec::new();
            for entry in table.range(prefix..)? {
                let (name, _) = entry?;
                if !name.value().starts_with(prefix) {
                    break;
                }
                found.push(name.value().to_owned());
            }
            Ok(found)
        })
    }
}

/// Opens the database with all its checksums verified; registers are small.
///
/// A sync that failed, in this life or the one before, leaves pages that read well, count as
/// written and are not on the disk: no later sync of that file writes them. So what is there is
/// read into memory, and what it holds goes into a new file, with one sync of all of it.
fn open_or_create(disk: &dyn Disk) -> Result<Database, StoreError> {
    let fail = |error| StoreError::io("Cannot open", disk.show(FILE), error);
    let before = match disk.open(FILE) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        file => Some(Image::read(&*file.map_err(fail)?).map_err(fail)?),
    };
    let before = before.map(|image| open(disk, image)).transpose()?;
    let file = create(disk, before.as_ref())?;
    open(disk, Backend(file))
}

/// A new file with the registers of another, durable with its name.
fn create(
    disk: &dyn Disk,
    before: Option<&Database>,
) -> Result<Arc<dyn crate::disk::DiskFile>, StoreError> {
    let fail = |error| StoreError::io("Cannot make", disk.show(FILE), error);
    match disk.remove(UNFINISHED) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
        Ok(()) | Err(_) => {}
    }
    let image = Image::default();
    let database = open(disk, image.clone())?;
    if let Some(before) = before {
        copy(before, &database).map_err(|error| failed("Cannot copy", &disk.show(FILE), error))?;
    }
    drop(database);
    let file = disk.create(UNFINISHED).map_err(fail)?;
    image.write(&*file).map_err(fail)?;
    file.sync_data().map_err(fail)?;
    disk.rename(UNFINISHED, FILE)
        .and_then(|()| disk.sync_dir(""))
        .map_err(fail)?;
    Ok(file)
}

fn copy(from: &Database, to: &Database) -> Result<(), redb::Error> {
    let read = from.begin_read()?;
    let table = match read.open_table(TABLE) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    let write = to.begin_write()?;
    {
        let mut copies = write.open_table(TABLE)?;
        for entry in table.iter()? {
            let (name, value) = entry?;
            copies.insert(name.value(), value.value())?;
        }
    }
    Ok(write.commit()?)
}

fn open(disk: &dyn Disk, backend: impl StorageBackend) -> Result<Database, StoreError> {
    let place = disk.show(FILE);
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    // redb may panic on a file that was altered; that is the disk's fault, not the program's.
    let opened = catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(backend)));
    match opened {
        Ok(database) => database.map_err(|error| failed("Cannot open", &place, error.into())),
        Err(_) => Err(StoreError::new(ErrorKind::Damaged, "Cannot read", place)),
    }
}

fn failed(what: &'static str, place: &str, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => StoreError::io(what, place, error),
        error @ redb::Error::Corrupted(_) => {
            StoreError::new(ErrorKind::Damaged, what, place).because(error)
        }
        error @ redb::Error::UpgradeRequired(_) => {
            StoreError::new(ErrorKind::UnknownFormat, what, place).because(error)
        }
        error => StoreError::new(ErrorKind::Io, what, place).because(error),
    }
}

fn version(number: u64) -> Version {
    Version(Box::new(number.to_le_bytes()))
}

/// 0 for what no register here ever had.
fn number(version: &Version) -> u64 {
    version.0.as_ref().try_into().map_or(0, u64::from_le_bytes)
}
