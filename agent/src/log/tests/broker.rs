//! The broker as an oracle: takes batches as the design says, and remembers every record.

use std::collections::BTreeMap;

use headwater_agent_core::handshake::{Handshake, ResumeAnswer, TopicId};
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_wire::batch::Header;
use headwater_wire::uplink::{Position, producer_id};

use crate::log::engine::Engine;
use crate::log::reader::read_batch;
use crate::log::tail::{crc_of, lost, range};

pub(super) const TOPIC: TopicId = TopicId([7; 16]);

#[derive(Debug, Default)]
pub(super) struct Broker {
    lanes: BTreeMap<(LaneName, u32), Taken>,
    /// Highest generation of lanes that were repaired.
    generations: BTreeMap<LaneName, u32>,
    /// Whether histories may fork: then lanes are repaired, and copies send their own bytes.
    pub(super) repairs: bool,
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
        self.taken_as(lane, 0)
    }

    pub(super) fn taken_as(&self, lane: &LaneName, generation: u32) -> Taken {
        let lane = (lane.clone(), generation);
        self.lanes.get(&lane).cloned().unwrap_or_default()
    }

    /// Highest generation of a lane.
    pub(super) fn generation(&self, lane: &LaneName) -> u32 {
        self.generations.get(lane).copied().unwrap_or(0)
    }

    /// As if a lane had been repaired up to this.
    pub(super) fn set_generation(&mut self, lane: &LaneName, generation: u32) {
        self.generations.insert(lane.clone(), generation);
    }

    pub(super) fn answer(&self, lane: &LaneName, generation: u32) -> ResumeAnswer {
        let taken = self.taken_as(lane, generation);
        ResumeAnswer {
            next: taken.next,
            crc: taken.crc,
            topic_id: TOPIC,
            generation: Some(self.generation(lane)).filter(|newest| *newest > generation),
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
            let Some((mut at, generation)) = self.shake_hands(engine, &name, lane.generation)
            else {
                return;
            };
            for _ in 0..count {
                let Ok(Some(batch)) = engine.next_batch(&name, at) else {
                    break;
                };
                at = batch.next;
                self.take_as(&name, generation, &batch);
                if answers() {
                    engine.acknowledge(&name, at);
                }
            }
        }
    }

    /// Where the lane goes on, and as which generation; `None` if the log cannot say.
    fn shake_hands(
        &mut self,
        engine: &mut Engine,
        name: &LaneName,
        mut generation: u32,
    ) -> Option<(Position, u32)> {
        loop {
            match engine
                .handshake(name, &self.answer(name, generation))
                .ok()?
            {
                Handshake::Send(at) => return Some((at, generation)),
                Handshake::Fork(fork) if self.repairs => {
                    let next = self.generation(name).max(generation) + 1;
                    self.generations.insert(name.clone(), next);
                    let state = engine.repair(name, next, fork.reason()).ok()?;
                    assert_eq!(
                        (state.generation, state.predecessor),
                        (next, Some(generation))
                    );
                    generation = next;
                }
                fork @ Handshake::Fork(_) => {
                    panic!(
                        "{name}: {fork:?} at {}",
                        self.taken_as(name, generation).next
                    )
                }
            }
        }
    }

    /// Shakes hands and is sent at most `count` batches of each lane, but the link is cut before
    /// they arrive.
    pub(super) fn miss(&mut self, engine: &mut Engine, count: usize) {
        for lane in engine.lane_states() {
            let name = lane.name;
            let Ok(Handshake::Send(mut at)) =
                engine.handshake(&name, &self.answer(&name, lane.generation))
            else {
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
        if self.repairs {
            return;
        }
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
        self.take_as(name, 0, batch);
    }

    fn take_as(&mut self, name: &LaneName, generation: u32, batch: &SealedBatch) {
        self.see(name, batch);
        let header = Header::parse_exact(&batch.bytes).expect("a batch");
        let id = producer_id("gw-1", &name.stream, &name.lane, generation);
        assert_eq!(header.producer_id, id, "stamped for its generation");
        let positions = range(&batch.bytes).expect("its CRC is right");
        assert_eq!(positions.next, batch.next);
        let taken = self.lanes.entry((name.clone(), generation)).or_default();
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
