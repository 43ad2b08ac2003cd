//! Writing anew what stays.

use std::ops::ControlFlow;

use headwater_broker_core::keyed::{Changed, Fate, Newest, decide};
use headwater_broker_core::segments::Run;
use headwater_store::StoreError;
use headwater_store::segment::SegmentBatch;
use headwater_wire::batch::{Codec, Compressor, Header};

use super::Keyed;
use crate::backend::compaction::Compactor;
use crate::backend::compaction::write::{NewSegment, Writing};
use crate::validate::Validator;

/// A batch that changes is compressed at this level.
const ZSTD_LEVEL: i32 = 1;

impl Compactor {
    /// Writes what stays of these runs. A segment ends where compaction ends.
    pub(super) fn copy_newest(
        &mut self,
        keyed: &Keyed,
        runs: &[Run],
        newest: &Newest,
        tombstones_to: i64,
    ) -> Result<Vec<NewSegment>, StoreError> {
        let reader = self.reader();
        let mut writing = Writing::new(self, keyed.shard);
        let mut codec = Recoder::new();
        let mut has_ended = false;
        reader.each_batch(keyed, runs, |batch| {
            if batch.base_offset() >= newest.covered_to() && !has_ended {
                has_ended = true;
                writing.close()?;
            }
            if let Some(kept) = codec.keep(batch, newest, tombstones_to) {
                writing.put(&kept.entry(keyed.shard, keyed.id), &kept.bytes)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        writing.finish()
    }
}

/// Opens batches and closes them again.
struct Recoder {
    validator: Validator,
    zstd: Compressor,
    payload: Vec<u8>,
}

impl Recoder {
    fn new() -> Self {
        Self {
            validator: Validator::default(),
            zstd: Compressor::new(ZSTD_LEVEL),
            payload: Vec::new(),
        }
    }

    /// What becomes of a batch. One that cannot be understood stays.
    fn keep(
        &mut self,
        batch: SegmentBatch,
        newest: &Newest,
        tombstones_to: i64,
    ) -> Option<SegmentBatch> {
        let Ok(records) = self.validator.records(&batch.header, &batch.bytes) else {
            return Some(batch);
        };
        match decide(&batch.header, records, newest, tombstones_to) {
            Ok(Fate::Whole) | Err(_) => Some(batch),
            Ok(Fate::Gone) => None,
            Ok(Fate::Changed(changed)) => {
                let bytes = self.seal(&batch.header, &changed);
                let header = Header::parse_exact(&bytes).ok()?;
                Some(SegmentBatch {
                    header,
                    bytes: bytes.into(),
                    ..batch
                })
            }
        }
    }

    /// Whatever its producer used, a batch that was compressed is compressed with zstd.
    fn seal(&mut self, before: &Header, changed: &Changed) -> Vec<u8> {
        let was_compressed = before.codec() != Ok(Codec::None);
        if !was_compressed || changed.records.is_empty() {
            return changed.seal(Codec::None, &changed.records);
        }
        self.payload.clear();
        self.zstd.compress_into(&changed.records, &mut self.payload);
        changed.seal(Codec::Zstd, &self.payload)
    }
}
