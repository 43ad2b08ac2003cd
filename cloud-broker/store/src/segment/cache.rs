//! Directories and indexes of opened segments, as many as fit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::reader::{self, Directories, Segment};
use super::recover;
use crate::error::{ErrorKind, StoreError};
use crate::format::segment::RunIndex;
use crate::traits::Blobs;

/// Opens segments, and remembers their directories and indexes: the least recently used go when
/// their memory passes a bound. One for all readers of a store; no file stays open.
#[derive(Debug)]
pub struct Segments {
    blobs: Arc<dyn Blobs>,
    kept: Mutex<Kept>,
    bytes_max: usize,
}

impl Segments {
    /// Remembers up to about `bytes_max` bytes.
    pub fn new(blobs: Arc<dyn Blobs>, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            blobs,
            kept: Mutex::default(),
            bytes_max,
        })
    }

    /// Opens the segment `name` of `bytes` (as the manifest says; [`Blobs::len`] where none does):
    /// one read of its last 64 KiB, unless it is remembered. Where footer, directory or an index
    /// is damaged the whole object is read once, and what is found in it is there
    /// ([`Segment::is_repaired`]). Hold what this gives only as long as it is read: it is small to
    /// ask again.
    ///
    /// # Errors
    /// `NotFound`; `UnknownFormat`; `Damaged` if nothing of a segment is left; or what the store
    /// says.
    pub fn open(self: &Arc<Self>, name: &str, bytes: u64) -> Result<Segment, StoreError> {
        let name: Arc<str> = name.into();
        let key = (Arc::clone(&name), DIRECTORY);
        let opened = match self.find(&key) {
            Some(Value::Opened(opened)) => opened,
            Some(Value::Index(_)) | None => {
                let opened = Arc::new(reader::open(&*self.blobs, &name, bytes)?);
                self.keep(key, Value::Opened(Arc::clone(&opened)));
                opened
            }
        };
        Ok(Segment::new(Arc::clone(self), name, bytes, opened))
    }

    /// The index of run number `run`; the segment is opened anew, by reading all of it, if that is
    /// damaged.
    pub(super) fn index(
        self: &Arc<Self>,
        segment: &Segment,
        run: usize,
    ) -> Result<IndexFound, StoreError> {
        if let Some(index) = segment.opened().index(run) {
            return Ok(IndexFound::Index(index));
        }
        let key = (Arc::clone(segment.shared_name()), run);
        if let Some(Value::Index(index)) = self.find(&key) {
            return Ok(IndexFound::Index(index));
        }
        match reader::load_index(&*self.blobs, segment, run) {
            Ok(index) => {
                let index = Arc::new(index);
                self.keep(key, Value::Index(Arc::clone(&index)));
                Ok(IndexFound::Index(index))
            }
            Err(error) if error.kind == ErrorKind::Damaged => {
                let opened = Arc::new(recover::open(
                    &*self.blobs,
                    segment.name(),
                    segment.bytes(),
                )?);
                let key = (Arc::clone(segment.shared_name()), DIRECTORY);
                self.keep(key, Value::Opened(Arc::clone(&opened)));
                Ok(IndexFound::Repaired(opened))
            }
            Err(error) => Err(error),
        }
    }

    /// The objects below.
    pub(super) fn blobs(&self) -> &dyn Blobs {
        &*self.blobs
    }

    /// Bytes that are remembered now, about.
    pub fn memory_bytes(&self) -> usize {
        self.lock().bytes
    }

    fn find(&self, key: &Key) -> Option<Value> {
        self.lock().find(key)
    }

    fn keep(&self, key: Key, value: Value) {
        self.lock().keep(key, value, self.bytes_max);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What asking for an index gives.
#[derive(Debug)]
pub(super) enum IndexFound {
    Index(Arc<RunIndex>),
    /// The segment must be looked at anew.
    Repaired(Arc<Directories>),
}

/// Name of the object, and number of a run.
type Key = (Arc<str>, usize);

/// In place of a run's number: the directory.
const DIRECTORY: usize = usize::MAX;
/// Bytes of an entry itself, about.
const ENTRY_BYTES: usize = 256;

#[derive(Clone, Debug)]
enum Value {
    Opened(Arc<Directories>),
    Index(Arc<RunIndex>),
}

impl Value {
    fn bytes(&self) -> usize {
        ENTRY_BYTES
            + match self {
                Self::Opened(opened) => opened.memory_bytes(),
                Self::Index(index) => index.memory_bytes(),
            }
    }
}

/// The entries, and in which order they were used.
#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Key, (Value, u64)>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

impl Kept {
    fn find(&mut self, key: &Key) -> Option<Value> {
        let (value, used) = self.entries.get_mut(key)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, key.clone());
        Some(value.clone())
    }

    fn keep(&mut self, key: Key, value: Value, bytes_max: usize) {
        self.remove(&key);
        self.uses += 1;
        self.bytes += value.bytes();
        self.by_use.insert(self.uses, key.clone());
        self.entries.insert(key, (value, self.uses));
        while self.bytes > bytes_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some((value, used)) = self.entries.remove(key) {
            self.by_use.remove(&used);
            self.bytes -= value.bytes();
        }
    }
}
