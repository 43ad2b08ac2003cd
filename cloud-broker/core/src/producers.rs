//! Kafka's idempotence for one partition, as Kafka has it (`kafka.md` 3.3): the newest five batches
//! of each producer id decide what is new, what is a duplicate and what is out of order.

use std::collections::BTreeMap;

use headwater_wire::batch::Header;
use headwater_wire::time::Millis;

use crate::ring::Ring;
use crate::state::{ProducerBatch, ProducerState};

/// A producer that was silent for this long is unknown again (`producer.id.expiration.ms`), ms.
pub const EXPIRATION_MS: i64 = 24 * 3600 * 1000;

/// The producers of one partition.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    by_id: BTreeMap<i64, Producer>,
}

/// What is to be done with a producer's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerDecision {
    /// It is new: append it.
    Append,
    /// It lies in the log at this offset: success, nothing is written.
    Duplicate {
        /// Offset of its first record.
        base_offset: i64,
    },
    /// A gap, older than what is remembered, or a partial overlap: 45.
    OutOfOrder,
    /// A newer epoch is known: 47.
    OldEpoch,
}

impl Producers {
    /// Decides about a batch that arrives at `now`. Batches without a producer id are always new.
    #[must_use]
    pub fn decide(&self, header: &Header, now: Millis) -> ProducerDecision {
        let known = self
            .by_id
            .get(&header.producer_id)
            .filter(|known| !known.expired(now));
        let Some(known) = known.filter(|_| header.producer_id >= 0) else {
            return ProducerDecision::Append;
        };
        if header.producer_epoch < known.epoch {
            return ProducerDecision::OldEpoch;
        }
        let expected = match known.batches.last() {
            Some(last) if header.producer_epoch == known.epoch => next_sequence(last.last_sequence),
            _ => 0,
        };
        let (first, last) = (header.base_sequence, header.last_sequence());
        if header.producer_epoch == known.epoch {
            let same = |batch: &&ProducerBatch| {
                batch.first_sequence == first && batch.last_sequence == last
            };
            if let Some(batch) = known.batches.as_slice().iter().find(same) {
                return ProducerDecision::Duplicate {
                    base_offset: batch.base_offset,
                };
            }
        }
        match first == expected {
            true => ProducerDecision::Append,
            false => ProducerDecision::OutOfOrder,
        }
    }

    /// Takes a batch that was appended, or that is read back from the log, into account.
    /// Gives what was known of the producer before.
    pub(crate) fn advance(
        &mut self,
        id: i64,
        epoch: i16,
        batch: ProducerBatch,
        arrival: Millis,
    ) -> Option<Producer> {
        let before = self.by_id.get(&id).copied();
        let fresh = Producer {
            epoch,
            arrival,
            batches: Ring::default(),
        };
        let mut after = match before {
            Some(before) if before.epoch == epoch && !before.expired(arrival) => before,
            _ => fresh,
        };
        after.arrival = arrival;
        after.batches.push(batch);
        self.by_id.insert(id, after);
        before
    }

    /// Puts back what [`Producers::advance`] gave.
    pub(crate) fn restore(&mut self, id: i64, before: Option<Producer>) {
        match before {
            Some(before) => self.by_id.insert(id, before),
            None => self.by_id.remove(&id),
        };
    }

    /// Forgets producers that are expired; no decision at or after `now` depends on them.
    pub fn expire(&mut self, now: Millis) {
        self.by_id.retain(|_, known| !known.expired(now));
    }

    /// What a snapshot holds of them.
    #[must_use]
    pub fn state(&self) -> Vec<ProducerState> {
        let state = |(id, known): (&i64, &Producer)| ProducerState {
            id: *id,
            epoch: known.epoch,
            arrival_ms: known.arrival.0,
            batches: known.batches.as_slice().to_vec(),
        };
        self.by_id.iter().map(state).collect()
    }

    /// The producers of a snapshot.
    #[must_use]
    pub fn from_state(state: &[ProducerState]) -> Self {
        let producer = |state: &ProducerState| Producer {
            epoch: state.epoch,
            arrival: Millis(state.arrival_ms),
            batches: state.batches.iter().copied().collect(),
        };
        Self {
            by_id: state
                .iter()
                .map(|state| (state.id, producer(state)))
                .collect(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Producer {
    epoch: i16,
    arrival: Millis,
    batches: Ring<ProducerBatch>,
}

impl Producer {
    fn expired(&self, now: Millis) -> bool {
        now.since(self.arrival) > EXPIRATION_MS
    }
}

/// After 2^31-1 comes 0.
fn next_sequence(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests;
