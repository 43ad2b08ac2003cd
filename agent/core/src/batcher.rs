//! When a batch is closed, and what is in it.
//!
//! A batch should come close to its size once compressed, but compressing after each event would
//! cost more than everything else. So the size is estimated: what the last attempt gave, plus what
//! came since at the ratio that the last attempt had. When the estimate reaches the target the
//! records are compressed in earnest: just right, and the batch is closed; too small, and it stays
//! open with a better ratio; too large, and the records that are too many begin the next batch.

mod run;

use headwater_wire::batch::{Compressor, RecordError};
use headwater_wire::time::Millis;
use headwater_wire::uplink::{
    BATCH_RECORDS_MAX, BATCH_UNCOMPRESSED_BYTES_MAX, EVENT_BYTES_MAX, Position,
};

use self::run::Run;
use crate::lane::SealedBatch;

/// Bytes per uncompressed byte that are assumed before anything was compressed.
const RATIO_FIRST: f64 = 0.25;
/// Part of the target at which compression is tried.
const TRY_AT: f64 = 0.975;
/// Part of the target at which a batch is full enough.
const FULL_AT: f64 = 0.9;
/// What a record's encoding adds to key, value and headers, for events of few headers.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// Uncompressed bytes from which on no further event is sure to fit.
const UNCOMPRESSED_FULL_BYTES: usize = BATCH_UNCOMPRESSED_BYTES_MAX - EVENT_BYTES_MAX;

/// The open batch of one lane, and which of its records are not yet durable.
#[derive(Debug)]
pub struct Batcher {
    target_bytes: usize,
    open: Run,
    /// The last records of `open` once more: what the next frame of the journal has to hold.
    fresh: Run,
    opened_at: Option<Millis>,
    estimate: Estimate,
    scratch: Vec<u8>,
    /// Position that the broker knows as 0.
    base: Position,
    /// Positions that the broker counts between there and here, and that hold nothing.
    left_out: u64,
}

impl Batcher {
    /// An open batch without records that begins at `first` and is closed at `target_bytes`,
    /// compressed, header included.
    pub fn new(producer_id: i64, first: Position, target_bytes: usize) -> Self {
        Self {
            target_bytes,
            open: Run::new(producer_id, first),
            fresh: Run::new(producer_id, first),
            opened_at: None,
            estimate: Estimate {
                ratio: RATIO_FIRST,
                tried: (0, 0),
            },
            scratch: Vec::new(),
            base: Position::ZERO,
            left_out: 0,
        }
    }

    /// The broker counts from `base` on, and `left_out` positions more: batches end with its
    /// epochs too.
    pub fn count_from(&mut self, base: Position, left_out: u64) {
        (self.base, self.left_out) = (base, left_out);
    }

    /// Position of the first open record, or of the next one if there is none.
    pub fn first(&self) -> Position {
        self.open.first()
    }

    /// Position of the next record.
    pub fn next(&self) -> Position {
        self.open.next()
    }

    /// Position of the first record that is not durable.
    pub fn fresh_first(&self) -> Position {
        self.fresh.first()
    }

    /// Whether no record is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether every open record is durable.
    pub fn is_durable(&self) -> bool {
        self.fresh.is_empty()
    }

    /// Bytes that the open records take, uncompressed.
    pub fn uncompressed_bytes(&self) -> usize {
        self.open.bytes()
    }

    /// Bytes of the records that are not durable, uncompressed.
    pub fn fresh_bytes(&self) -> usize {
        self.fresh.bytes()
    }

    /// Bytes that the open records will take, compressed: an estimate.
    pub fn compressed_bytes(&self) -> usize {
        self.estimate.bytes(self.open.bytes())
    }

    /// When the first open record came.
    pub fn opened_at(&self) -> Option<Millis> {
        self.opened_at
    }

    /// Timestamp of the first open record, ms.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.open.oldest_ms()
    }

    /// Whether an event of `event_bytes` still fits; if not, seal first.
    pub fn has_room(&self, event_bytes: usize) -> bool {
        let bytes = self.open.bytes() + event_bytes + RECORD_OVERHEAD_BYTES;
        self.is_empty() || (bytes <= BATCH_UNCOMPRESSED_BYTES_MAX && self.records_left() > 0)
    }

    /// Adds a record at [`Self::next`]; it is not durable yet. With an error nothing is added.
    pub fn push<'r>(
        &mut self,
        now: Millis,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'r str, Option<&'r [u8]>)> + Clone,
    ) -> Result<(), RecordError> {
        self.open.push(timestamp, key, value, headers.clone())?;
        if let Err(error) = self.fresh.push(timestamp, key, value, headers) {
            self.open.truncate(self.open.len() - 1, &mut self.scratch);
            return Err(error);
        }
        self.opened_at.get_or_insert(now);
        Ok(())
    }

    /// Closes the batch if it is full. Call until `None` after each push.
    pub fn poll_full(&mut self, compressor: &mut Compressor) -> Option<SealedBatch> {
        let bytes = self.open.bytes();
        let is_limit = self.records_left() == 0 || bytes > UNCOMPRESSED_FULL_BYTES;
        if self.is_empty() || !(is_limit || self.estimate.reaches(bytes, self.target_bytes)) {
            return None;
        }
        let size = self.compress_all(compressor);
        if !is_limit && precise(size) < precise(self.target_bytes) * FULL_AT {
            return None;
        }
        Some(self.close(compressor, size))
    }

    /// Closes the batch however small it is; more than one may come of it. Call until `None`.
    pub fn poll_seal(&mut self, compressor: &mut Compressor) -> Option<SealedBatch> {
        if self.is_empty() {
            return None;
        }
        let size = self.compress_all(compressor);
        Some(self.close(compressor, size))
    }

    /// The records that are not yet durable, as one batch with their positions, appended to `out`;
    /// nothing if there are none. They stay fresh until [`Self::made_durable`].
    pub fn encode_fresh_into(&self, compressor: &mut Compressor, out: &mut Vec<u8>) {
        self.fresh.encode_into(compressor, out);
    }

    /// All open records, durable or not, as one batch, appended to `out`.
    pub fn encode_open_into(&self, compressor: &mut Compressor, out: &mut Vec<u8>) {
        self.open.encode_into(compressor, out);
    }

    /// Every record so far is durable.
    pub fn made_durable(&mut self) {
        self.fresh.clear(self.open.next());
    }

    /// A commit failed: forgets the records from `at` on. `sealed` are the batches that were
    /// closed for that commit, in order; what they hold below `at` is open again.
    pub fn roll_back(&mut self, now: Millis, sealed: &[SealedBatch], at: Position) {
        if let Some(first) = sealed.first() {
            // What is open now lay behind them, and some of it may be durable too.
            self.scratch.clear();
            self.open.encode_plain_into(&mut self.scratch);
            let rest = bytes::Bytes::copy_from_slice(&self.scratch);
            self.open.clear(first.first);
            for batch in sealed.iter().map(|batch| &batch.bytes).chain([&rest]) {
                self.open.take_from(batch, at);
            }
        } else {
            let keep = usize::try_from(at.since(self.first())).unwrap_or(usize::MAX);
            self.open.truncate(keep, &mut self.scratch);
        }
        self.opened_at = (!self.open.is_empty()).then_some(now);
        self.estimate.forget();
        self.made_durable();
    }

    /// Takes the records of `batch`, which lie in the journal, from [`Self::next`] on: they are
    /// durable. A batch that begins behind it is left alone.
    pub fn reopen(&mut self, now: Millis, batch: &bytes::Bytes) {
        self.open.take_from(batch, Position::END);
        self.opened_at = (!self.open.is_empty()).then_some(now);
        self.made_durable();
    }

    /// The next record stands at `at`: positions below were lost or lie elsewhere. Only while no
    /// record is open.
    pub fn skip_to(&mut self, at: Position) {
        debug_assert!(self.is_empty(), "a batch has no holes");
        self.open.clear(at);
        self.fresh.clear(at);
    }

    /// How many more records the batch may have: positions of a batch share one epoch.
    fn records_left(&self) -> u64 {
        let in_batch = (BATCH_RECORDS_MAX as u64).saturating_sub(self.open.len() as u64);
        let in_epoch = self.epoch_records();
        in_epoch
            .saturating_sub(self.open.len() as u64)
            .min(in_batch)
    }

    /// How many records a batch that begins with the open ones may have at most.
    fn epoch_records(&self) -> u64 {
        let first = self.first();
        let there = Position(first.since(self.base) + self.left_out);
        first
            .records_left_in_epoch()
            .min(there.records_left_in_epoch())
    }

    /// Compresses all open records into the scratch; gives the size.
    fn compress_all(&mut self, compressor: &mut Compressor) -> usize {
        self.scratch.clear();
        self.open.encode_into(compressor, &mut self.scratch);
        let size = self.scratch.len();
        self.estimate.learn(self.open.bytes(), size);
        size
    }

    /// Compresses the first `count` open records into the scratch; gives the size.
    fn compress_front(&mut self, compressor: &mut Compressor, count: usize) -> usize {
        let front = self.open.front(count, &mut self.scratch);
        self.scratch.clear();
        front.encode_into(compressor, &mut self.scratch);
        self.scratch.len()
    }

    /// Closes the batch whose `size` bytes lie in the scratch, or as much of it as fits.
    fn close(&mut self, compressor: &mut Compressor, mut size: usize) -> SealedBatch {
        let (first, mut count) = (self.first(), self.open.len());
        // More are open only where the broker counts otherwise than it did when they came.
        let count_max = usize::try_from(self.epoch_records()).unwrap_or(usize::MAX);
        if count > count_max {
            count = count_max;
            size = self.compress_front(compressor, count);
        }
        while size > self.target_bytes && count > 1 {
            let fitting = precise(count) * precise(self.target_bytes) * TRY_AT / precise(size);
            count = whole(fitting).clamp(1, count - 1);
            size = self.compress_front(compressor, count);
        }
        let bytes = bytes::Bytes::copy_from_slice(&self.scratch);
        let next = Position(first.0 + count as u64);
        self.open.cut(count, &mut self.scratch);
        let durable = usize::try_from(next.since(self.fresh.first())).unwrap_or(usize::MAX);
        self.fresh.cut(durable, &mut self.scratch);
        if self.open.is_empty() {
            self.opened_at = None;
            self.fresh.clear(next);
        }
        self.estimate.forget();
        self.scratch.shrink_to(2 * self.target_bytes);
        SealedBatch { first, next, bytes }
    }
}

/// How large the open batch will be, compressed.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    ratio: f64,
    /// The last attempt on this batch: bytes before and after compression.
    tried: (usize, usize),
}

impl Estimate {
    fn bytes(&self, uncompressed: usize) -> usize {
        let (before, after) = self.tried;
        after + whole(precise(uncompressed.saturating_sub(before)) * self.ratio)
    }

    fn reaches(&self, uncompressed: usize, target: usize) -> bool {
        precise(self.bytes(uncompressed)) >= precise(target) * TRY_AT
    }

    fn learn(&mut self, before: usize, after: usize) {
        self.ratio = (precise(after) / precise(before.max(1))).clamp(0.001, 1.0);
        self.tried = (before, after);
    }

    /// A new batch begins; the ratio is likely to stay.
    fn forget(&mut self) {
        self.tried = (0, 0);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of batches are far below 2^52"
)]
fn precise(number: usize) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a float saturates"
)]
fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests;
