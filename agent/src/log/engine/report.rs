//! Figures for `status`.

use std::collections::BTreeMap;

use headwater_wire::batch::Header;
use headwater_wire::uplink::Position;

use super::{Engine, Lane};
use crate::log::segments::Reader;
use crate::log::status::{LaneStatus, LogStatus};

impl Engine {
    /// Everything, as of now.
    pub(in crate::log) fn status(&mut self) -> LogStatus {
        let now = self.now();
        let budget = self.budget();
        let free = budget.max_bytes.saturating_sub(budget.used);
        let overflow_s = self.rates.intake_bytes.seconds_for(now, free);
        let mut lanes = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes.values_mut() {
            let oldest_ms = lane.oldest_ms(&mut self.reader);
            let held = lane.durable.since(lane.acked);
            let events = held.saturating_sub(lane.given_up_events());
            lanes.push(LaneStatus {
                name: lane.name.clone(),
                generation: lane.record.generation,
                oldest: lane.known_end(lane.oldest()),
                next: lane.known_end(lane.durable),
                acked: lane.known_end(lane.acked),
                events,
                bytes: lane.backlog_bytes(),
                oldest_ms,
                drain_s: self.rates.acked_events.seconds_for(now, events),
                overflow_s,
                lost_events: lane.record.lost_events + lane.refused_events(),
                held: lane.held.clone(),
                forked: lane.forked.clone(),
            });
        }
        LogStatus {
            bytes: budget.used,
            max_bytes: budget.max_bytes,
            written_bytes: self.meter.bytes(),
            synced_commits: self.synced_commits,
            syncs: self.meter.syncs(),
            lost: self.lost(),
            lanes,
            alarms: self.alarms.clone(),
        }
    }
}

impl Engine {
    /// What the lanes lost, by reason.
    fn lost(&self) -> BTreeMap<&'static str, u64> {
        let mut sum = BTreeMap::new();
        for (reason, events) in self.lanes.values().flat_map(|lane| &lane.lost) {
            *sum.entry(*reason).or_default() += events;
        }
        sum
    }
}

impl Lane {
    /// Compressed bytes of what is not acknowledged; of a segment that is partly acknowledged, the
    /// part that its positions say.
    fn backlog_bytes(&self) -> u64 {
        let mut first = self.segments.first().unwrap_or_default();
        let mut bytes = 0;
        for segment in self.segments.ledger(self.segments_end()) {
            let all = segment.end.since(first).max(1);
            let left = segment.end.since(self.acked.max(first)).min(all);
            let part = u128::from(segment.bytes) * u128::from(left) / u128::from(all);
            bytes += u64::try_from(part).unwrap_or(u64::MAX);
            first = segment.end;
        }
        let small = self
            .small
            .iter()
            .filter(|entry| entry.batch.next > self.acked);
        let small: usize = small.map(|entry| entry.batch.bytes.len()).sum();
        bytes + (small + self.batcher.compressed_bytes()) as u64
    }

    /// Timestamp of the oldest event that is not acknowledged. Read once for each position.
    fn oldest_ms(&mut self, reader: &mut Reader) -> Option<i64> {
        if self.acked >= self.batcher.first() {
            return self.batcher.oldest_ms();
        }
        match self.oldest_ms {
            Some((at, oldest_ms)) if at == self.acked => Some(oldest_ms),
            _ => {
                let oldest_ms = self.base_timestamp(reader, self.acked)?;
                self.oldest_ms = Some((self.acked, oldest_ms));
                Some(oldest_ms)
            }
        }
    }

    pub(super) fn base_timestamp(&self, reader: &mut Reader, at: Position) -> Option<i64> {
        let small = self.small.iter().find(|entry| entry.batch.first == at);
        let bytes = match small {
            Some(entry) => entry.batch.bytes.clone(),
            None => self.segments.read(reader, at).ok()??,
        };
        Header::parse(&bytes)
            .ok()
            .map(|header| header.base_timestamp)
    }
}
