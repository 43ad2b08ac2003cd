//! Memory for answers to consumers: shared, bounded, and never waited for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which memory is counted.
const UNIT_BYTES: usize = 1 << 10;

/// What all answers together may hold.
#[derive(Debug)]
pub(super) struct Memory(Arc<Semaphore>);

/// What one answer holds, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT_BYTES)))
    }

    /// Up to `bytes`; less, down to nothing, if there is less.
    pub(super) fn take(&self, bytes: usize) -> Room {
        let mut units = bytes.div_ceil(UNIT_BYTES);
        while units > 0 {
            let wanted = u32::try_from(units).unwrap_or(u32::MAX);
            if let Ok(permit) = Arc::clone(&self.0).try_acquire_many_owned(wanted) {
                return Room {
                    bytes: bytes.min(units * UNIT_BYTES),
                    permit: Some(permit),
                };
            }
            units /= 4;
        }
        Room {
            bytes: 0,
            permit: None,
        }
    }
}

impl Room {
    /// How many bytes the answer should stay within.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back what the answer, now known, does not need.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        if let Some(permit) = &mut self.permit {
            let needed = self.bytes.div_ceil(UNIT_BYTES);
            drop(permit.split(permit.num_permits().saturating_sub(needed)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_and_the_last_get_less() {
        let memory = Memory::new(100 * UNIT_BYTES);
        let mut first = memory.take(80 * UNIT_BYTES);
        assert_eq!(first.bytes(), 80 * UNIT_BYTES);
        let second = memory.take(40 * UNIT_BYTES);
        assert_eq!(second.bytes(), 10 * UNIT_BYTES);
        let all = [memory.take(10 * UNIT_BYTES), memory.take(1)];
        assert_eq!(all.map(|room| room.bytes()), [10 * UNIT_BYTES, 0]);
        first.shrink_to(UNIT_BYTES + 1);
        assert_eq!(first.bytes(), UNIT_BYTES + 1);
        assert_eq!(memory.take(90 * UNIT_BYTES).bytes(), 22 * UNIT_BYTES);
        drop((first, second));
        assert_eq!(memory.take(100 * UNIT_BYTES).bytes(), 100 * UNIT_BYTES);
        assert_eq!(memory.take(0).bytes(), 0);
    }
}
