//! Reading a partition's segments from one end to the other.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use headwater_broker_core::segments::Run;
use headwater_store::segment::SegmentBatch;
use headwater_store::{ErrorKind, StoreError};

use super::Keyed;
use crate::backend::compaction::Compactor;
use crate::backend::compaction::write::Pace;
use crate::backend::shared::Shared;

/// Reads beside the compactor, which writes.
pub(super) struct Reader {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

impl Compactor {
    pub(super) fn reader(&self) -> Reader {
        Reader {
            shared: Arc::clone(&self.shared),
            stop: self.stop_switch(),
        }
    }
}

impl Reader {
    /// Gives every batch of these runs, in order, until `each` has enough. What is damaged is
    /// passed over.
    pub(super) fn each_batch(
        &self,
        keyed: &Keyed,
        runs: &[Run],
        mut each: impl FnMut(SegmentBatch) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut pace = Pace::new(self.shared.options.compaction_thread);
        for run in runs {
            let object = &run.segment;
            let segment = self.shared.segments.open(&object.name, object.bytes);
            let opened = segment.and_then(|segment| {
                let index = segment.index(keyed.id)?;
                Ok(index.map(|index| (segment, index)))
            });
            let (segment, index) = match opened {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) if matches!(error.kind, ErrorKind::Damaged | ErrorKind::NotFound) => {
                    self.shared.lose(keyed.partition, run.from..run.end, &error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for block in index.from_offset(keyed.start) {
                if self.stop.load(Ordering::Acquire) {
                    let what = "Compaction was interrupted in shard";
                    return Err(StoreError::new(ErrorKind::Io, what, keyed.shard));
                }
                let began = Instant::now();
                let found = segment.read_block(keyed.id, block)?;
                for lost in found.lost {
                    let offsets = lost.from..lost.to;
                    self.shared.lose(keyed.partition, offsets, &lost.place);
                }
                let bytes = found.batches.iter().map(|batch| batch.bytes.len()).sum();
                for batch in found.batches {
                    if each(batch)?.is_break() {
                        return Ok(());
                    }
                }
                pace.wrote(bytes, began);
            }
        }
        Ok(())
    }
}
