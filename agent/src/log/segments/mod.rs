//! A lane's sealed batches, in segments of a few MiB that are deleted whole.
//!
//! A segment's name says the first position it may hold and its serial; it counts up to where the
//! next begins, so that one whose commit failed is superseded by the one that was begun after it.

mod check;
mod db;
pub(super) mod names;
mod overlay;
mod reader;
mod recover;
mod salvage;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_agent_core::retention::Segment as Ledger;
use headwater_wire::time::Millis;
use headwater_wire::uplink::Position;

use self::db::Db;
use self::names::{dir_name, name, parse_name};
pub(super) use self::names::{first_of, parse_dir_name};
pub(super) use self::reader::Reader;
use super::device::LogId;
use super::disk::Disk;
use super::space::{Meter, SEGMENT_BYTES, value_bytes};
use super::tail::range;

/// Batches per commit: what the cache of a segment holds at once.
pub(super) const COMMIT_BATCHES_MAX: usize = 4;
/// And their bytes.
pub(super) const COMMIT_BYTES_MAX: u64 = 320 << 10;
/// No segment has more records: what a damaged one is taken to have had at most.
pub(super) const SEGMENT_RECORDS_MAX: u64 = 1 << 23;

/// What all lanes' segments share.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) log_id: LogId,
    pub(super) meter: Meter,
}

/// The segments of one lane.
#[derive(Debug)]
pub(super) struct Segments {
    store: Store,
    lane: LaneName,
    list: VecDeque<Segment>,
    writer: Option<Writer>,
    serial: u64,
    has_dir: bool,
    /// Bytes that the directory itself allocates.
    dir_bytes: u64,
    /// The last segment is damaged: its last batch may have been behind the one that was found.
    is_cut: bool,
}

#[derive(Debug)]
struct Segment {
    first: Position,
    serial: u64,
    /// Bytes that its file allocates.
    allocated: u64,
    acked_at: Option<Millis>,
}

/// The last segment, while it takes batches.
#[derive(Debug)]
struct Writer {
    db: Db,
    is_new: bool,
}

impl Segments {
    /// The segments whose files are there.
    pub(super) fn open(store: Store, lane: LaneName) -> io::Result<Self> {
        let dir = store.dir.join(dir_name(&lane));
        let mut list = Vec::new();
        let names = store.disk.list(&dir)?;
        for file in &names {
            let Some((first, serial)) = parse_name(file) else {
                continue;
            };
            let allocated = store.disk.allocated(&dir.join(file))?;
            list.push(Segment {
                first,
                serial,
                allocated,
                acked_at: None,
            });
        }
        list.sort_by_key(|segment| (segment.first, segment.serial));
        let serial = list.iter().map(|segment| segment.serial).max().unwrap_or(0);
        let has_dir = !names.is_empty();
        let dir_bytes = store.disk.allocated(&dir)?;
        Ok(Self {
            store,
            lane,
            list: list.into(),
            writer: None,
            serial,
            has_dir,
            dir_bytes,
            is_cut: false,
        })
    }

    /// Whether the last segment was damaged when it was recovered.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Where the oldest segment begins.
    pub(super) fn first(&self) -> Option<Position> {
        self.list.front().map(|segment| segment.first)
    }

    /// Where the last segment begins.
    pub(super) fn last_first(&self) -> Option<Position> {
        self.list.back().map(|segment| segment.first)
    }

    /// The highest serial that was ever used here.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// Segments as [`retention`](headwater_agent_core::retention) sees them; `end` is where the
    /// last one ends.
    pub(super) fn ledger(&self, end: Position) -> Vec<Ledger> {
        let ends = self
            .list
            .iter()
            .skip(1)
            .map(|segment| segment.first)
            .chain([end]);
        let entry = |(segment, end): (&Segment, Position)| Ledger {
            end,
            acked_at: segment.acked_at,
            bytes: segment.allocated,
        };
        self.list.iter().zip(ends).map(entry).collect()
    }

    /// Bytes that all of them and their directory allocate.
    pub(super) fn allocated(&self) -> u64 {
        self.dir_bytes
            + self
                .list
                .iter()
                .map(|segment| segment.allocated)
                .sum::<u64>()
    }

    pub(super) fn has_writer(&self) -> bool {
        self.writer.is_some()
    }

    /// What was acknowledged at `now`: everything below `acked`. A broker may also say less than
    /// before.
    pub(super) fn acknowledge(&mut self, now: Millis, acked: Position, end: Position) {
        let ends: Vec<_> = self.ledger(end).iter().map(|segment| segment.end).collect();
        for (segment, end) in self.list.iter_mut().zip(ends) {
            segment.acked_at = (end <= acked).then(|| segment.acked_at.unwrap_or(now));
        }
    }

    /// Adds batches, all of one commit, durable when this returns. After an error none of them
    /// counts, and the next commit begins another segment.
    pub(super) fn commit(&mut self, batches: &[SealedBatch]) -> io::Result<()> {
        let Some(first) = batches.first().map(|batch| batch.first) else {
            return Ok(());
        };
        let allocated = self.list.back().map_or(0, |segment| segment.allocated);
        if allocated + commit_bytes(batches) > SEGMENT_BYTES {
            self.close_writer();
        }
        if self.writer.is_none() {
            self.begin(first)?;
        }
        let Some(writer) = &mut self.writer else {
            return Err(io::Error::other("there is no segment to write to"));
        };
        let new = writer.is_new.then_some((&self.store.log_id, &self.lane));
        let committed = writer.db.commit(new, batches);
        if committed.is_ok() {
            writer.is_new = false;
            if let Some(segment) = self.list.back_mut() {
                segment.acked_at = None;
            }
        } else if let Some(writer) = self.writer.take() {
            self.abandon(writer);
        }
        self.measure_last();
        committed
    }

    /// Closes the segment that takes batches; the next commit begins another.
    pub(super) fn close_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.db.close();
            self.measure_last();
        }
    }

    /// The batch that begins at `from`, if it is there and sound.
    pub(super) fn read(&self, reader: &mut Reader, from: Position) -> io::Result<Option<Bytes>> {
        let Some(index) = self.index_of(from) else {
            return Ok(None);
        };
        let bytes = self.with(reader, index, |db| db.batch(from))?;
        Ok(bytes.filter(|bytes| range(bytes).is_some_and(|range| range.first == from)))
    }

    /// The last batch that begins below `end`.
    pub(super) fn last_below(
        &self,
        reader: &mut Reader,
        end: Position,
    ) -> io::Result<Option<SealedBatch>> {
        let Some(index) = end
            .0
            .checked_sub(1)
            .and_then(|last| self.index_of(Position(last)))
        else {
            return Ok(None);
        };
        self.with(reader, index, |db| db.last_below(end))
    }

    /// Where the next batch begins, at or behind `from`; in a damaged segment nothing is found.
    pub(super) fn first_from(&self, reader: &mut Reader, from: Position) -> Option<Position> {
        let start = self.index_of(from).unwrap_or(0);
        (start..self.list.len()).find_map(|index| {
            let end = self
                .list
                .get(index + 1)
                .map_or(Position::END, |next| next.first);
            let found = self
                .with(reader, index, |db| db.first_from(from))
                .ok()
                .flatten();
            found.filter(|first| *first < end)
        })
    }

    /// Where the batch ends that lies `batches` further on than the one at `from`, or the segment
    /// that holds it, if that ends before.
    pub(super) fn end_ahead(
        &self,
        reader: &mut Reader,
        from: Position,
        batches: usize,
    ) -> io::Result<Option<Position>> {
        let Some(index) = self.index_of(from) else {
            return Ok(None);
        };
        let end = self.list.get(index + 1).map(|next| next.first);
        let ahead = self.with(reader, index, |db| db.nth_from(from, batches))?;
        Ok([ahead, end].into_iter().flatten().min())
    }

    /// Removes the `count` oldest segments.
    pub(super) fn remove_oldest(&mut self, reader: &mut Reader, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let Some(segment) = self.list.front() else {
                break;
            };
            let path = self.path(segment);
            if self.list.len() == 1 {
                self.close_writer();
            }
            reader.forget(&path);
            match self.store.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.list.pop_front(),
            };
        }
        Ok(())
    }

    fn begin(&mut self, first: Position) -> io::Result<()> {
        let dir = self.store.dir.join(dir_name(&self.lane));
        if !self.has_dir {
            self.store.disk.create_dir(&dir)?;
            self.has_dir = true;
        }
        self.serial += 1;
        let segment = Segment {
            first,
            serial: self.serial,
            allocated: 0,
            acked_at: None,
        };
        let path = self.path(&segment);
        let opened = self
            .store
            .disk
            .create(&path, 0)
            .and_then(|()| self.store.disk.open(&path))
            .and_then(|file| Db::open(file, self.store.meter.clone()));
        match opened {
            Ok(db) => {
                self.list.push_back(segment);
                self.writer = Some(Writer { db, is_new: true });
                self.dir_bytes = self.store.disk.allocated(&dir).unwrap_or(0);
                Ok(())
            }
            Err(error) => {
                // Without batches the file means nothing; what cannot be removed is found empty.
                let _ = self.store.disk.remove(&path);
                Err(error)
            }
        }
    }

    /// A commit failed: redb takes no more, and what it wrote is not trusted.
    fn abandon(&mut self, writer: Writer) {
        let is_new = writer.is_new;
        writer.db.close();
        if is_new && let Some(segment) = self.list.pop_back() {
            let _ = self.store.disk.remove(&self.path(&segment));
        }
    }

    fn measure_last(&mut self) {
        let Some(path) = self.list.back().map(|segment| self.path(segment)) else {
            return;
        };
        let allocated = self.store.disk.allocated(&path);
        if let (Some(segment), Ok(allocated)) = (self.list.back_mut(), allocated) {
            segment.allocated = allocated;
        }
    }

    /// The segment that holds `position` if any does.
    fn index_of(&self, position: Position) -> Option<usize> {
        self.list
            .partition_point(|segment| segment.first <= position)
            .checked_sub(1)
    }

    fn with<T>(
        &self,
        reader: &mut Reader,
        index: usize,
        read: impl FnOnce(&Db) -> io::Result<T>,
    ) -> io::Result<T> {
        let is_last = index + 1 == self.list.len();
        if let (true, Some(writer)) = (is_last, &self.writer) {
            return read(&writer.db);
        }
        let path = self.path(&self.list[index]);
        read(reader.open(&self.store, path)?)
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        let dir = self.store.dir.join(dir_name(&self.lane));
        dir.join(name(segment.first, segment.serial))
    }
}

/// Bytes that the values of a commit allocate.
pub(super) fn commit_bytes(batches: &[SealedBatch]) -> u64 {
    batches
        .iter()
        .map(|batch| value_bytes(batch.bytes.len()))
        .sum()
}
