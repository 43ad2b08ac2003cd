//! The broker as an oracle: takes batches as the design says, and remembers every record.

use std::collections::BTreeMap;

use headwater_agent_core::handshake::{Handshake, ResumeAnswer, TopicId};
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_wire::uplink::Position;

use crate::log::engine::Engine;
use crate::log::reader::read_batch;
use crate::log::tail::{crc_of, lost, range};

pub(super) const TOPIC: TopicId = TopicId([7; 16]);

#[derive(Debug, Default)]
pub(super) struct Broker {
    lanes: BTreeMap<LaneName, Taken>,
    /// Every batch that was ever handed out, by its position: the same bytes each time.
    sent: BTreeMap<(LaneName, Position), SealedBatch>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Taken {
    pub(super) next: Position,
    pub(super) crc: Option<u32>,
    /// Keys in order.
    pub(super) keys: Vec<String>,
    pub(super) losses: Vec<(Position, Position)>,
    /// How many keys lie before each of them.
    pub(super) before: Vec<usize>,
}

impl Broker {
    pub(super) fn taken(&self, lane: &LaneName) -> Taken {
        self.lanes.get(lane).cloned().unwrap_or_default()
    }

    pub(super) fn answer(&self, lane: &LaneName) -> ResumeAnswer {
        let taken = self.taken(lane);
        ResumeAnswer {
            next: taken.next,
            crc: taken.crc,
            topic_id: TOPIC,
            generation: None,
        }
    }

    /// Shakes hands and takes at most `count` batches of each lane. Whether the agent hears of
    /// each is up to `answers`.
    pub(super) fn drain(
        &mut self,
        engine: &mut Engine,
        count: usize,
        mut answers: impl FnMut() -> bool,
    ) {
        for lane in engine.lane_states() {
            let name = lane.name;
            let Ok(handshake) = engine.handshake(&name, &self.answer(&name)) else {
                return;
            };
            let Handshake::Send(mut at) = handshake else {
                panic!("{name} forked: {handshake:?} at {}", self.taken(&name).next);
            };
            for _ in 0..count {
                let Ok(Some(batch)) = engine.next_batch(&name, at) else {
                    break;
                };
                at = batch.next;
                self.take(&name, &batch);
                if answers() {
                    engine.acknowledge(&name, at);
                }
            }
        }
    }

    /// Shakes hands and is sent at most `count` batches of each lane, but the link is cut before
    /// they arrive.
    pub(super) fn miss(&mut self, engine: &mut Engine, count: usize) {
        for lane in engine.lane_states() {
            let name = lane.name;
            let Ok(Handshake::Send(mut at)) = engine.handshake(&name, &self.answer(&name)) else {
                return;
            };
            for _ in 0..count {
                let Ok(Some(batch)) = engine.next_batch(&name, at) else {
                    break;
                };
                at = batch.next;
                self.see(&name, &batch);
            }
        }
    }

    /// Whoever is sent a position again is sent the same bytes, unless what lay there is declared
    /// lost since.
    fn see(&mut self, name: &LaneName, batch: &SealedBatch) {
        let before = self.sent.insert((name.clone(), batch.first), batch.clone());
        if let Some(before) = before {
            let is_declared = lost(&batch.bytes).is_some() && lost(&before.bytes).is_none();
            assert!(
                before == *batch || is_declared,
                "position {} was sent with other bytes",
                batch.first
            );
        }
    }

    pub(super) fn take(&mut self, name: &LaneName, batch: &SealedBatch) {
        self.see(name, batch);
        let taken = self.lanes.entry(name.clone()).or_default();
        if batch.next <= taken.next {
            return;
        }
        assert_eq!(batch.first, taken.next, "batches tile the lane");
        taken.next = batch.next;
        taken.crc = Some(crc_of(&batch.bytes));
        if let Some(loss) = lost(&batch.bytes) {
            taken.losses.push((loss.first, loss.next));
            taken.before.push(taken.keys.len());
            return;
        }
        assert!(range(&batch.bytes).is_some(), "its CRC is right");
        read_batch(name, batch.first, &batch.bytes, &mut |record| {
            let key = record.key.expect("events have keys");
            taken
                .keys
                .push(String::from_utf8(key.to_vec()).expect("keys are text"));
        });
    }
}
