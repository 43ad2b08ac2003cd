//! Where a commit goes: full batches into segments, the rest into one frame of the journal.

use std::io;
use std::sync::Arc;

use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_wire::time::Millis;

use super::{Engine, Lane, WRITERS_MAX, shared};
use crate::log::segments::{COMMIT_BATCHES_MAX, COMMIT_BYTES_MAX, commit_bytes};
use crate::log::space::{COMMIT_OVERHEAD_BYTES, value_bytes};
use crate::log::tail::BODY_BYTES_MAX;

/// Open records of all lanes together, uncompressed: what compresses to a tenth or less is closed
/// before it fills a batch, and many lanes close smaller batches.
const OPEN_BYTES_MAX: usize = 768 << 10;

impl Engine {
    /// Makes everything durable that was taken; says whether anything had to be written. With an
    /// error the lanes that failed are as they were after their last commit.
    pub(super) fn store(&mut self, now: Millis) -> Result<bool, Arc<io::Error>> {
        self.limit_open();
        self.expect_sending();
        let in_segments = self.store_full(now);
        let in_journal = self.store_frame(now);
        match (in_segments, in_journal) {
            (Ok(segments), Ok(journal)) => Ok(segments || journal),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Closes the largest open batches if those of all lanes together take too much memory.
    fn limit_open(&mut self) {
        let bytes = |lane: &Lane| lane.batcher.uncompressed_bytes();
        while self.lanes.values().map(bytes).sum::<usize>() > OPEN_BYTES_MAX
            && let Some(lane) = self.lanes.values_mut().max_by_key(|lane| bytes(lane))
        {
            while let Some(batch) = lane.batcher.poll_seal(&mut self.compressor) {
                lane.close(batch, false);
            }
        }
    }

    /// Every lane's full batches, and the small ones before them.
    fn store_full(&mut self, now: Millis) -> Result<bool, Arc<io::Error>> {
        let is_waiting = self.retry_at.is_some_and(|retry_at| now < retry_at);
        let gathered = if is_waiting {
            usize::MAX
        } else {
            self.options.batch_bytes
        };
        let wants = |lane: &Lane| !lane.full.is_empty() || lane.small_bytes() >= gathered;
        let names: Vec<LaneName> = self
            .lanes
            .values()
            .filter(|lane| wants(lane))
            .map(|lane| lane.name.clone())
            .collect();
        let mut result = Ok(!names.is_empty());
        for name in names {
            if let Err(error) = self.store_lane(now, &name) {
                result = Err(shared(error));
            }
        }
        result
    }

    /// Moves a lane's small batches into a segment, and adds its full ones. An error rolls the
    /// lane back to what was durable.
    fn store_lane(&mut self, now: Millis, name: &LaneName) -> io::Result<()> {
        self.limit_writers(name);
        let stored = self.store_batches(name);
        self.changed = true;
        let Some(lane) = self.lanes.get_mut(name) else {
            return stored;
        };
        if stored.is_ok() {
            lane.full.clear();
            lane.durable = lane.durable.max(lane.batcher.first());
            // The journal says how far the segments go, should the last one become unreadable.
            lane.is_dirty = true;
        } else if !lane.full.is_empty() {
            // What lies in a segment and was not committed may come back with it after a crash:
            // it must not count beside what takes its positions now.
            lane.roll_back(now);
            // The fence is for good: what comes now must lie in another segment.
            lane.segments.close_writer();
            lane.record.fence_serial = lane.segments.serial();
            lane.record.fence_at = lane.segments_end();
            lane.is_dirty = true;
        }
        // Small batches may have been acknowledged already; others certainly were not.
        let (acked, end) = (lane.acked, lane.segments_end());
        lane.segments.acknowledge(now, acked, end);
        stored
    }

    fn store_batches(&mut self, name: &LaneName) -> io::Result<()> {
        loop {
            let Some(lane) = self.lanes.get(name) else {
                return Ok(());
            };
            let small = lane.small.iter().map(|entry| &entry.batch);
            let chunk = chunk(small.chain(&lane.full));
            if chunk.is_empty() {
                return Ok(());
            }
            if !self
                .budget()
                .has_room(commit_bytes(&chunk) + COMMIT_OVERHEAD_BYTES)
            {
                return Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    "log.max_bytes is reached",
                ));
            }
            let Some(lane) = self.lanes.get_mut(name) else {
                return Ok(());
            };
            lane.segments.commit(&chunk)?;
            self.synced_commits += 1;
            let Some(end) = chunk.last().map(|batch| batch.next) else {
                return Ok(());
            };
            lane.small.retain(|entry| entry.batch.first >= end);
            lane.full.retain(|batch| batch.first >= end);
            lane.durable = lane.durable.max(end);
        }
    }

    /// What is not in a segment, in one frame. An error rolls all lanes back that had part in it.
    pub(super) fn store_frame(&mut self, now: Millis) -> Result<bool, Arc<io::Error>> {
        let Some(body) = self.frame_body(now)? else {
            return Ok(false);
        };
        let written = match body {
            Body::Commit(body) => self.journal.commit(&body),
            Body::Checkpoint(body) => self.journal.checkpoint(&body),
        };
        if let Err(error) = written {
            let has_part = |lane: &Lane| !lane.batcher.is_durable() || !lane.fresh_small.is_empty();
            for lane in self.lanes.values_mut().filter(|lane| has_part(lane)) {
                lane.roll_back(now);
            }
            self.cursors.roll_back();
            return Err(shared(error));
        }
        self.synced_commits += 1;
        self.cursors.commit_done();
        for lane in self.lanes.values_mut() {
            self.changed |= !lane.fresh_small.is_empty() || lane.durable.0 == 0;
            lane.commit_done();
        }
        Ok(true)
    }

    /// The frame that is to be written, if any; lanes that are too large for one go to segments.
    fn frame_body(&mut self, now: Millis) -> Result<Option<Body>, Arc<io::Error>> {
        loop {
            let mut body = Vec::new();
            for lane in self.lanes.values() {
                lane.put_fresh(&mut self.compressor, &mut body);
            }
            self.cursors.put_fresh(&mut body);
            if body.is_empty() {
                return Ok(None);
            }
            if body.len() <= BODY_BYTES_MAX && !self.journal.is_full(body.len()) {
                return Ok(Some(Body::Commit(body)));
            }
            let body = self.checkpoint_body();
            if body.len() <= BODY_BYTES_MAX {
                return Ok(Some(Body::Checkpoint(body)));
            }
            self.store_largest(now)?;
        }
    }

    /// A lane's open records, as one batch; empty if there are none.
    pub(in crate::log) fn open_records(&mut self, name: &LaneName) -> Vec<u8> {
        let mut open = Vec::new();
        if let Some(lane) = self.lanes.get(name) {
            lane.batcher
                .encode_open_into(&mut self.compressor, &mut open);
        }
        open
    }

    /// Everything that is live.
    pub(super) fn checkpoint_body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        for lane in self.lanes.values() {
            lane.put_all(&mut self.compressor, &mut body);
        }
        self.cursors.put_all(&mut body);
        body
    }

    /// Writes everything that is live into a file of its own.
    pub(super) fn checkpoint(&mut self, now: Millis) -> Result<(), Arc<io::Error>> {
        let mut body = self.checkpoint_body();
        while body.len() > BODY_BYTES_MAX {
            self.store_largest(now)?;
            body = self.checkpoint_body();
        }
        self.journal.checkpoint(&body).map_err(shared)?;
        self.synced_commits += 1;
        self.cursors.commit_done();
        self.lanes.values_mut().for_each(Lane::commit_done);
        Ok(())
    }

    /// The lane that takes most of the journal goes into a segment, full or not.
    fn store_largest(&mut self, now: Millis) -> Result<(), Arc<io::Error>> {
        let live = |lane: &&mut Lane| lane.small_bytes() + lane.batcher.uncompressed_bytes();
        let Some(lane) = self.lanes.values_mut().max_by_key(live) else {
            return Err(shared(io::Error::other("the journal has no room")));
        };
        let name = lane.name.clone();
        while let Some(batch) = lane.batcher.poll_seal(&mut self.compressor) {
            lane.close(batch, false);
        }
        lane.full
            .splice(0..0, std::mem::take(&mut lane.fresh_small));
        if lane.full.is_empty() && lane.small.is_empty() {
            return Err(shared(io::Error::other("the journal has no room")));
        }
        self.store_lane(now, &name).map_err(shared)
    }

    /// Closes a segment if too many are open for writing.
    pub(super) fn limit_writers(&mut self, keep: &LaneName) {
        let open = |lane: &&mut Lane| lane.segments.has_writer() && lane.name != *keep;
        let count = self.lanes.values_mut().filter(open).count();
        if count >= WRITERS_MAX
            && let Some(lane) = self.lanes.values_mut().find(open)
        {
            lane.segments.close_writer();
        }
    }
}

enum Body {
    Commit(Vec<u8>),
    Checkpoint(Vec<u8>),
}

/// As many batches as one commit takes, at least one.
fn chunk<'a>(batches: impl Iterator<Item = &'a SealedBatch>) -> Vec<SealedBatch> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    for batch in batches {
        bytes += value_bytes(batch.bytes.len());
        let is_small = batch.bytes.len() < 4096;
        let has_room = chunk.len() < COMMIT_BATCHES_MAX || is_small;
        if !chunk.is_empty() && (!has_room || bytes > COMMIT_BYTES_MAX) {
            break;
        }
        chunk.push(batch.clone());
    }
    chunk
}
