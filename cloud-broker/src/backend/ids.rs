//! Producer ids that are never given twice: blocks of them are reserved in a register before the
//! first of a block is given.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use headwater_store::format::Rest;
use headwater_store::format::producer_ids::ProducerIds as Reserved;
use headwater_store::traits::Registers;
use headwater_store::{ErrorKind, Outcome, StoreError, WriteId};
use headwater_wire::uplink::LANE_ID_BASE;

use super::random;

const NAME: &str = "producer-ids";
const BLOCK_IDS: i64 = 1000;

/// The block that is being given out.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// An id of the block, if one is left.
    pub(super) fn next(&self) -> Option<i64> {
        self.block
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    }

    /// An id, from a new block if need be. Blocks on the store.
    pub(super) fn reserve(&self, registers: &dyn Registers) -> Result<i64, StoreError> {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if block.is_empty() {
            *block = reserve_block(registers)?;
        }
        block
            .next()
            .ok_or_else(|| StoreError::new(ErrorKind::Invalid, "No id is left in", NAME))
    }
}

fn reserve_block(registers: &dyn Registers) -> Result<Range<i64>, StoreError> {
    loop {
        let write_id = WriteId(random());
        let read = registers.read(NAME)?;
        let (rev, next, rest) = match &read {
            Some(read) => {
                let reserved = Reserved::decode(&read.value).map_err(|error| {
                    StoreError::new(ErrorKind::Damaged, "Cannot read", NAME).because(error)
                })?;
                (reserved.rev, reserved.next, reserved.rest)
            }
            None => (0, 0, Rest::new()),
        };
        let end = next.saturating_add(BLOCK_IDS).min(LANE_ID_BASE);
        let reserved = Reserved {
            rev: rev.saturating_add(1),
            write_id,
            next: end,
            rest,
        };
        let value = reserved.encode();
        let outcome = match read {
            Some(read) => registers.cas(NAME, &read.version, &value)?,
            None => registers.create(NAME, &value)?,
        };
        match outcome {
            Outcome::Mine => return Ok(next..end),
            // Somebody else took the block, or it is not known who: ask for another.
            Outcome::Theirs(_) | Outcome::Unknown => {}
        }
    }
}
