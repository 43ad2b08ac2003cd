//! Writing segments.

use std::time::{Duration, Instant};

use headwater_broker_core::Entry;
use headwater_broker_core::segments::pack;
use headwater_store::format::manifest;
use headwater_store::segment::{SegmentWriter, Written};
use headwater_store::{ErrorKind, READS_MAX, StoreError, names};

use super::Compactor;
use super::gather::{Gathered, find};
use super::publish::Part;
use crate::backend::read::{JournalBatch, read_again, read_together};

/// A segment that is durable and that no manifest names.
#[derive(Debug)]
pub(super) struct NewSegment {
    pub(super) name: String,
    pub(super) written: Written,
}

impl NewSegment {
    /// What a manifest says of it.
    pub(super) fn to_manifest(&self) -> manifest::Segment {
        let directory = &self.written.directory.runs;
        let run = |run: &headwater_store::segment::Run| manifest::Run {
            topic: run.id.topic.to_vec(),
            partition: run.id.partition,
            from: run.from.unsigned_abs(),
            to: run.to.unsigned_abs(),
            bytes: run.bytes,
            max_timestamp: run.max_timestamp,
            arrival_ms: run.arrival_ms_max,
        };
        let times = directory.iter().map(|run| run.max_timestamp);
        manifest::Segment {
            name: self.name.clone(),
            bytes: self.written.bytes,
            runs: directory.iter().map(|found| run(found).into()).collect(),
            max_timestamp_so_far: times.max().unwrap_or(i64::MIN),
            arrival_ms_min: directory
                .iter()
                .map(|run| run.arrival_ms_min)
                .min()
                .unwrap_or(0),
            arrival_ms_max: directory
                .iter()
                .map(|run| run.arrival_ms_max)
                .max()
                .unwrap_or(0),
            dead_bytes: 0,
        }
    }
}

/// Segments that are being written, one after the other.
pub(super) struct Writing<'a> {
    compactor: &'a mut Compactor,
    shard: u32,
    open: Option<(String, SegmentWriter)>,
    done: Vec<NewSegment>,
    pace: Pace,
}

impl Compactor {
    /// Writes what these partitions have in journals. What is damaged is left out: readers pass
    /// over it as before.
    pub(super) fn write_segments(
        &mut self,
        shard: u32,
        parts: &[Part],
        gathered: Gathered,
    ) -> Result<Vec<NewSegment>, StoreError> {
        let bytes = |part: &Part| {
            part.batches
                .iter()
                .map(|batch| u64::from(batch.place.len))
                .sum()
        };
        let bytes: Vec<u64> = parts.iter().map(bytes).collect();
        let thresholds = self.shared.options.thresholds;
        let packed = pack(&bytes, thresholds.own_bytes, thresholds.bytes);
        let mut writing = Writing::new(self, shard);
        for places in packed {
            for part in places.iter().filter_map(|at| parts.get(*at)) {
                writing.put_part(part, &gathered)?;
            }
            writing.close()?;
        }
        writing.finish()
    }
}

impl<'a> Writing<'a> {
    pub(super) fn new(compactor: &'a mut Compactor, shard: u32) -> Self {
        let pace = Pace::new(compactor.shared.options.compaction_thread);
        Self {
            compactor,
            shard,
            open: None,
            done: Vec::new(),
            pace,
        }
    }

    fn put_part(&mut self, part: &Part, gathered: &Gathered) -> Result<(), StoreError> {
        let shared = std::sync::Arc::clone(&self.compactor.shared);
        let slots = &*shared.store.slots;
        read_together(slots, &shared.incarnations, &part.batches, |batch, read| {
            let entry = find(gathered, part, batch.place, batch.base_offset);
            let mut put = |read| match (read, entry) {
                (JournalBatch::Whole(_, bytes), Some(entry)) => self.put(entry, &bytes),
                (JournalBatch::Whole(..) | JournalBatch::Damaged | JournalBatch::Moved, _) => {
                    Ok(false)
                }
            };
            // A batch's checksum does not cover its epoch, which the entry tells.
            let mut done = put(read)?;
            for _ in 1..READS_MAX {
                if !done {
                    done = put(read_again(slots, &shared.incarnations, batch)?)?;
                }
            }
            if !done {
                let lost = batch.base_offset..batch.end_offset();
                shared.lose(part.partition, lost, &"the journal");
            }
            Ok(())
        })
    }

    /// Adds a batch; false if it is damaged.
    pub(super) fn put(&mut self, entry: &Entry, bytes: &[u8]) -> Result<bool, StoreError> {
        if self.compactor.is_stopping() {
            let what = "Compaction was interrupted in shard";
            return Err(StoreError::new(ErrorKind::Io, what, self.shard));
        }
        if let Some((_, open)) = &self.open
            && open.bytes() >= SEGMENT_BYTES_MAX
        {
            self.close()?;
        }
        let began = Instant::now();
        if self.open.is_none() {
            self.open = Some(self.create()?);
        }
        let Some((_, open)) = &mut self.open else {
            return Ok(false);
        };
        let pushed = open.push(entry, bytes);
        self.pace.wrote(bytes.len(), began);
        match pushed {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::Damaged => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends the open segment.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        let Some((name, open)) = self.open.take() else {
            return Ok(());
        };
        if open.is_empty() {
            return Ok(());
        }
        let written = open.finish();
        if let Err(error) = &written {
            tracing::debug!("{name} was not finished: {error}");
            // It may be there all the same.
            self.compactor
                .discard(self.shard, std::iter::once(name.clone()));
        }
        self.done.push(NewSegment {
            name,
            written: written?,
        });
        Ok(())
    }

    /// Everything that was written.
    pub(super) fn finish(mut self) -> Result<Vec<NewSegment>, StoreError> {
        self.close()?;
        Ok(std::mem::take(&mut self.done))
    }

    fn create(&mut self) -> Result<(String, SegmentWriter), StoreError> {
        let number = self.compactor.next_number();
        let claim = self.compactor.claims.get(self.shard as usize);
        let epoch = claim.map_or(0, |claim| claim.manifest.epoch);
        let name = names::segment(self.shard, epoch, self.compactor.inc, number);
        let blobs = &*self.compactor.shared.store.blobs;
        let writer = SegmentWriter::create(blobs, &name, self.shard, epoch)?;
        Ok((name, writer))
    }
}

impl Drop for Writing<'_> {
    /// What was written for nothing has a name that no manifest knows.
    fn drop(&mut self) {
        let names = std::mem::take(&mut self.done).into_iter();
        self.compactor
            .discard(self.shard, names.map(|new| new.name));
    }
}

/// Leaves the disk and the processor to the journal from time to time: as long as writing took,
/// nothing is written then.
pub(super) struct Pace {
    rests: bool,
    bytes: usize,
    busy: Duration,
}

impl Pace {
    pub(super) fn new(rests: bool) -> Self {
        Self {
            rests,
            bytes: 0,
            busy: Duration::ZERO,
        }
    }

    pub(super) fn wrote(&mut self, bytes: usize, began: Instant) {
        self.bytes += bytes;
        self.busy += began.elapsed();
        if self.rests && self.bytes >= PACE_BYTES {
            std::thread::sleep(self.busy.min(REST_MAX));
            (self.bytes, self.busy) = (0, Duration::ZERO);
        }
    }
}

/// A segment takes no more than about this, whatever has gathered.
const SEGMENT_BYTES_MAX: u64 = 512 << 20;
/// Bytes between two rests.
const PACE_BYTES: usize = 1 << 20;
/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(100);
