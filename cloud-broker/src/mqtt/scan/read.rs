//! Where a scan goes: what lies ahead of it, and reading what may be wanted of that.

use std::sync::Arc;
use std::time::Duration;

use headwater_broker_core::PartitionId;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;

use super::{Ahead, Reader, Scan, ScanId, partition_at};
use crate::backend::{Piece, ReadError, StoredBatch};
use crate::mqtt::core::Core;
use crate::mqtt::fanout::{Fanout, stream_of};
use crate::mqtt::subscriptions::Subscription;

/// Bytes of pieces that follow one another and are read at once; one piece in any case.
const READ_BYTES: usize = 256 << 10;
/// Bytes of batches that one scan holds while it decides which comes next.
const HELD_BYTES_MAX: usize = 4 << 20;
/// Pieces that are passed over before others get the thread.
const PASSED_MAX: usize = 128;
/// Reads of one core at a time: more would only wait for the disk, each on a thread of its own.
pub(in crate::mqtt) const READS_MAX: usize = 4;
/// How often memory that others hold is asked for again.
const MEMORY_RETRY: Duration = Duration::from_millis(20);

/// What a thread has read.
type Read = (Stretch, Result<Vec<StoredBatch>, ReadError>);

/// What is read at once.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) partition: PartitionId,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) bytes: usize,
}

impl Core {
    /// Finds the next batch of every partition that is behind live delivery; false if that takes
    /// longer.
    pub(super) fn fill(&self, fanout: &Fanout, scan: &mut Scan) -> Result<bool, ReadError> {
        let catalog = self.catalog();
        let unknown: Vec<_> = scan.place.unknown(fanout.next()).collect();
        scan.behind = scan.behind.max(unknown.len());
        let mut passed = 0;
        for (index, next) in unknown {
            let partition = partition_at(index);
            let live = fanout.next()[index];
            if stream_of(&catalog, partition).is_none() {
                scan.pass_all(index, live);
                continue;
            }
            let start = self.door.backend.bounds(partition).start;
            scan.place.skip_to(index, next.max(start).min(live));
            while scan.place.next(index) < live && !scan.find_head(index, live, &mut passed) {
                if passed > PASSED_MAX {
                    return Ok(false);
                }
                match self.door.backend.outline(partition, scan.place.next(index)) {
                    Ok(pieces) => scan.look_at(index, live, pieces),
                    // Its stream was deleted at this moment.
                    Err(ReadError::NoPartition) => scan.pass_all(index, live),
                    // Retention was faster: look again.
                    Err(ReadError::OffsetOutOfRange) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(true)
    }

    /// Reads from memory, if it is there and the scan may hold it.
    pub(super) fn read_recent(&self, scan: &mut Scan, stretch: &Stretch) -> bool {
        let read = self
            .door
            .backend
            .read_recent(stretch.partition, stretch.from, stretch.bytes);
        match read {
            Some(Ok(batches)) => return scan.hold(stretch, batches),
            Some(Err(_)) => scan.let_go(stretch.partition.index()),
            None => return false,
        }
        true
    }

    /// Reads away from the core's thread, as soon as there is memory for it. The memory comes first:
    /// one that waits for it keeps nobody from reading who has it.
    pub(super) async fn read(&self, id: ScanId, stretch: Stretch) {
        if !self.reserve(id, stretch.bytes).await {
            return;
        }
        let permit = self.reading.acquire().await.ok();
        let backend = Arc::clone(&self.door.backend);
        let read = spawn_blocking(move || {
            let read = backend.read(stretch.partition, stretch.from, stretch.bytes);
            (stretch, read)
        });
        let read = read.await;
        drop(permit);
        if !self.take_read(id, read) {
            // It is more than was expected, and is read again when it is its turn.
            sleep(MEMORY_RETRY).await;
        }
    }

    /// Gives a scan what was read for it, and tells whether there is memory for that.
    fn take_read(&self, id: ScanId, read: Result<Read, JoinError>) -> bool {
        let mut scans = self.scans.borrow_mut();
        let Some(scan) = scans.scans.get_mut(&id) else {
            return true;
        };
        match read {
            Ok((stretch, Ok(batches))) => return scan.hold(&stretch, batches),
            // Retention or a deletion was faster; the next step sees what there is now.
            Ok((stretch, Err(ReadError::OffsetOutOfRange | ReadError::NoPartition))) => {
                scan.let_go(stretch.partition.index());
            }
            Ok((_, Err(error))) => {
                let scan = scans.scans.remove(&id);
                drop(scans);
                scan.iter().for_each(|scan| self.fail(scan, &error));
            }
            Err(stopped) => tracing::debug!("Reading the log was cut short: {stopped}"),
        }
        true
    }

    /// Waits until a scan may hold so many bytes more; false if nobody reads with it any more.
    async fn reserve(&self, id: ScanId, bytes: usize) -> bool {
        loop {
            {
                let mut scans = self.scans.borrow_mut();
                let scan = scans.scans.get_mut(&id);
                let Some(scan) = scan.filter(|scan| !scan.readers.is_empty()) else {
                    return false;
                };
                if scan.reserve(bytes) {
                    return true;
                }
            }
            sleep(MEMORY_RETRY).await;
        }
    }
}

impl Scan {
    /// Tells the next batch of a partition that some reader may want, if it is known; passes over
    /// what none can.
    fn find_head(&mut self, index: usize, live: i64, passed: &mut usize) -> bool {
        let mut ahead = self.ahead.remove(&index).unwrap_or_default();
        let found = self.find_in(&mut ahead, index, live, passed);
        if !ahead.is_empty() {
            self.ahead.insert(index, ahead);
        }
        found
    }

    fn find_in(&mut self, ahead: &mut Ahead, index: usize, live: i64, passed: &mut usize) -> bool {
        let next = self.place.next(index);
        while let Some(batch) = ahead.batches.front() {
            if batch.last_offset >= next {
                let (base, arrival_ms) = (batch.base_offset, batch.arrival_ms);
                return self.is_head(index, base, live, arrival_ms);
            }
            self.held_bytes -= ahead.batches.pop_front().map_or(0, |gone| gone.bytes.len());
        }
        while let Some(piece) = ahead.pieces.front() {
            let next = self.place.next(index);
            if piece.to > next && (piece.from >= live || self.may_want(index, piece)) {
                return self.is_head(index, piece.from, live, piece.arrival_ms);
            }
            self.place.skip_to(index, piece.to.min(live));
            ahead.pieces.pop_front();
            *passed += 1;
        }
        false
    }

    /// What begins at `base` comes next, unless live delivery is before that.
    fn is_head(&mut self, index: usize, base: i64, live: i64, arrival_ms: i64) -> bool {
        if base >= live {
            self.place.skip_to(index, live);
        } else {
            self.place.offer(index, arrival_ms, 0, ());
        }
        true
    }

    /// Whether some reader that has come so far may want something of a piece.
    fn may_want(&self, index: usize, piece: &Piece) -> bool {
        let takes_part = |reader: &Reader, _: &Subscription| {
            let part = self.readers.get(reader);
            part.is_some_and(|part| part.counts(index, piece.to.saturating_sub(1)))
        };
        self.interest.may_match_of(&piece.topics, takes_part)
    }

    /// Takes in what lies ahead of a partition; nothing is nothing before live delivery.
    fn look_at(&mut self, index: usize, live: i64, pieces: Vec<Piece>) {
        if pieces.is_empty() {
            return self.pass_all(index, live);
        }
        let ahead = self.ahead.entry(index).or_default();
        ahead.pieces = pieces.into();
    }

    fn pass_all(&mut self, index: usize, live: i64) {
        self.place.skip_to(index, live);
        self.let_go(index);
    }

    /// Forgets what lies ahead in a partition.
    fn let_go(&mut self, index: usize) {
        if let Some(gone) = self.ahead.remove(&index) {
            self.held_bytes -= gone.bytes();
        }
        self.held.shrink_to(self.held_bytes);
    }

    /// The batch that is next in a partition, or what has to be read to have it; neither if only
    /// its time was known.
    pub(super) fn take_next(&mut self, index: usize) -> Result<StoredBatch, Option<Stretch>> {
        let from = self.place.next(index);
        let behind = self.behind.max(1);
        let mut stretch: Option<Stretch> = None;
        let Some(mut ahead) = self.ahead.remove(&index) else {
            return Err(None);
        };
        if let Some(batch) = ahead.batches.pop_front() {
            self.held_bytes -= batch.bytes.len();
            self.held.shrink_to(self.held_bytes);
            self.ahead.insert(index, ahead);
            return Ok(batch);
        }
        // Whoever joins meanwhile must find everything from the next offset on, so that what
        // nobody wants now ends it.
        while let Some(piece) = ahead.pieces.front() {
            let more = match &stretch {
                None => true,
                Some(stretch) => {
                    let bytes = stretch.bytes + piece.bytes;
                    stretch.to == piece.from
                        && bytes <= READ_BYTES.min(HELD_BYTES_MAX / behind)
                        && self.may_want(index, piece)
                }
            };
            if !more {
                break;
            }
            let before = stretch.take().map_or(0, |before| before.bytes);
            stretch = Some(Stretch {
                partition: partition_at(index),
                from,
                to: piece.to,
                bytes: before + piece.bytes.min(READ_BYTES.min(HELD_BYTES_MAX / behind)),
            });
            ahead.pieces.pop_front();
        }
        self.ahead.insert(index, ahead);
        Err(stretch)
    }

    /// Takes memory for so many bytes more. Who has to wait for that holds nothing meanwhile, so that
    /// scans do not wait for each other.
    fn reserve(&mut self, bytes: usize) -> bool {
        if self.held.grow_to(self.held_bytes.saturating_add(bytes)) {
            return true;
        }
        self.ahead.clear();
        self.held_bytes = 0;
        self.held.shrink_to(0);
        self.held.grow_to(bytes) || !self.held.could_hold(bytes)
    }

    /// Keeps batches that were read, and tells whether it does. If that is too much, what was read of
    /// other partitions goes, and is read again when it is its turn; if there is no memory even then,
    /// these go too, unless there never can be.
    fn hold(&mut self, stretch: &Stretch, mut batches: Vec<StoredBatch>) -> bool {
        let index = stretch.partition.index();
        let within = batches.partition_point(|batch| batch.base_offset < stretch.to);
        batches.truncate(within);
        let Some(last) = batches.last() else {
            // It is gone, and the loss shows in the offsets.
            self.place.skip_to(index, stretch.to);
            self.held.shrink_to(self.held_bytes);
            return true;
        };
        if last.last_offset.saturating_add(1) < stretch.to {
            // Not all of it: what lies behind is looked up again.
            self.let_go(index);
        }
        self.held_bytes += batches.iter().map(|batch| batch.bytes.len()).sum::<usize>();
        let ahead = self.ahead.entry(index).or_default();
        ahead.batches.extend(batches);
        let fits = self.held_bytes <= HELD_BYTES_MAX && self.held.grow_to(self.held_bytes);
        if !fits {
            let others = self.ahead.extract_if(.., |at, _| *at != index);
            self.held_bytes -= others.map(|(_, gone)| gone.bytes()).sum::<usize>();
        }
        let bytes = self.held_bytes;
        let is_kept = fits || self.held.grow_to(bytes) || !self.held.could_hold(bytes);
        if !is_kept {
            self.let_go(index);
        }
        self.held.shrink_to(self.held_bytes);
        is_kept
    }
}

impl Ahead {
    fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.pieces.is_empty()
    }

    /// Of the batches that are held.
    fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headwater_wire::time::Millis;

    use super::*;
    use crate::config::LimitsConfig;
    use crate::limits::Limits;
    use crate::mqtt::seek::{Manner, Place};

    #[test]
    fn what_there_is_no_memory_for_is_not_kept() {
        let limits = Limits::new(&LimitsConfig::default(), Arc::default());
        let mut others = limits.reserve_answer();
        assert!(others.grow_to(32 << 20));
        let place = Place::new(vec![0], 0);
        let held = limits.reserve_answer();
        let mut scan = Scan::new(place, Manner::Alone, held, Millis(0));
        assert!(!scan.reserve(1_000));
        assert!(!scan.hold(&stretch(), vec![batch()]));
        assert_eq!((scan.held_bytes, scan.held.bytes()), (0, 0));
        drop(others);
        assert!(scan.reserve(1_000_000));
        assert!(scan.hold(&stretch(), vec![batch()]));
        assert_eq!((scan.held_bytes, scan.held.bytes()), (1_000, 1_000));
        assert_eq!(
            scan.take_next(0).map(|batch| batch.base_offset).ok(),
            Some(0)
        );
        assert_eq!((scan.held_bytes, scan.held.bytes()), (0, 0));
    }

    fn stretch() -> Stretch {
        Stretch {
            partition: PartitionId(0),
            from: 0,
            to: 10,
            bytes: 1_000,
        }
    }

    fn batch() -> StoredBatch {
        StoredBatch {
            base_offset: 0,
            last_offset: 9,
            arrival_ms: 0,
            max_timestamp: 0,
            bytes: Bytes::from(vec![0; 1_000]),
            topics: Bytes::new(),
        }
    }
}
