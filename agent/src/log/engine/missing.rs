//! A lane whose stream does not exist, where the settings say that nothing waits for it.

use headwater_agent_core::batcher::Batcher;
use headwater_agent_core::lane::LaneName;
use headwater_agent_core::loss::Loss;
use headwater_wire::uplink::{LossReason, producer_id};

use super::uplink::no_lane;
use super::{Engine, Lane};
use crate::log::error::ReadError;

impl Engine {
    /// Gives up all that is not acknowledged, the open batch included. As with what is evicted,
    /// that is noted in the lane's record, durable before anything is removed, and declared once
    /// the lane can be sent. Only between commits: then all events are durable.
    pub(in crate::log) fn give_up(&mut self, name: &LaneName) -> Result<(), ReadError> {
        let (now, target_bytes) = (self.now(), self.options.batch_bytes);
        let device = &self.identity.device;
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        let (from, to) = (lane.acked.max(lane.record.evicted), lane.durable);
        if from >= to {
            return Ok(());
        }
        let before = (lane.record.clone(), lane.losses.clone());
        lane.remember_sent(&mut self.reader, from, to);
        lane.remember_sent_small();
        for range in lane.not_declared(from, to) {
            let described = lane.describe(&mut self.reader, range);
            lane.give_up(Loss {
                reason: LossReason::Refused,
                ..described
            });
        }
        let id = producer_id(device, &name.stream, &name.lane, lane.record.generation);
        let empty = Batcher::new(id, to, target_bytes);
        let open = std::mem::replace(&mut lane.batcher, empty);
        lane.count_as_known();
        lane.record.evicted = to;
        lane.is_dirty = true;
        if let Err(error) = self.store_frame(now) {
            if let Some(lane) = self.lanes.get_mut(name) {
                (lane.record, lane.losses) = before;
                lane.batcher = open;
            }
            return Err(ReadError::Io(error));
        }
        let events = to.since(from);
        let text = format!("{name}: the stream does not exist, {events} events are given up");
        self.alarm("missing-stream", text);
        self.changed = true;
        let lane = self.lanes.get_mut(name).ok_or_else(|| no_lane(name))?;
        lane.small.clear();
        let all = lane.segments.ledger(to).len();
        let removed = lane.segments.remove_oldest(&mut self.reader, all);
        removed.map_err(|error| ReadError::Io(super::shared(error)))
    }
}

impl Lane {
    /// Of the batches in the journal, those that the broker may name.
    fn remember_sent_small(&mut self) {
        let sent = self.record.sent;
        let small = self.small.iter().map(|entry| &entry.batch);
        let sent: Vec<_> = small.filter(|batch| batch.first < sent).cloned().collect();
        sent.iter().for_each(|batch| self.remember(batch));
    }

    /// Events that were refused, or given up for want of a stream, and of which the broker has not
    /// confirmed to know.
    pub(super) fn refused_events(&self) -> u64 {
        let given_up = self.record.given_up.iter();
        let refused = given_up.filter(|loss| loss.reason == LossReason::Refused);
        refused.map(Loss::events).sum::<u64>() + self.unconfirmed(LossReason::Refused)
    }

    /// Events above `acked` that are not here any more.
    pub(super) fn given_up_events(&self) -> u64 {
        let above = |loss: &Loss| loss.range.to.since(loss.range.from.max(self.acked));
        let given_up = self.record.given_up.iter();
        given_up
            .filter(|loss| loss.range.to > self.acked)
            .map(above)
            .sum()
    }
}
