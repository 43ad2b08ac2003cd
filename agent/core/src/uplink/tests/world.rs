//! The log and the broker, as simple as they can be, and a client that numbers publishes.

use std::collections::{BTreeMap, VecDeque};

use headwater_wire::batch::{BatchBuilder, Header};
use headwater_wire::uplink::{BatchRange, LaneTopic, Position, Refusal, Topic};

use super::super::*;
use super::OPTIONS;

const UUID: &str = "01020304-0506-0708-090a-0b0c0d0e0f10";

#[derive(Default)]
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) lanes: BTreeMap<LaneName, Lane>,
    pub(super) connected: bool,
    /// Publishes that the broker has not answered, by packet id.
    pub(super) open: VecDeque<(u16, String, Bytes)>,
    pub(super) packet_id: u16,
    pub(super) status_asked: usize,
    pub(super) held: BTreeMap<LaneName, String>,
    pub(super) given_up: Vec<LaneName>,
    pub(super) aside: Vec<(LaneName, Position)>,
    pub(super) most_open: usize,
    pub(super) repairs: Vec<(u32, RepairReason)>,
    /// Handshakes that will find another history.
    pub(super) forks: u32,
    /// Of every publish.
    pub(super) topics: Vec<String>,
}

pub(super) type Text = Vec<(String, String)>;
/// Packet id, reason code and user properties.
pub(super) type Reply = (u16, u8, Text);

#[derive(Default)]
pub(super) struct Lane {
    pub(super) batches: Vec<SealedBatch>,
    pub(super) acked: Position,
    /// What the broker has.
    pub(super) next: Position,
    pub(super) taken: Vec<Position>,
}

impl World {
    pub(super) fn new(lanes: &[(&str, usize)]) -> Self {
        let mut world = Self::default();
        for (stream, batches) in lanes {
            let lane = world.lanes.entry(LaneName::main(stream)).or_default();
            for first in (0..*batches as u64).map(|number| Position(number * 10)) {
                let next = Position(first.0 + 10);
                lane.batches.push(SealedBatch {
                    first,
                    next,
                    bytes: batch(first),
                });
            }
        }
        world
    }

    pub(super) fn states(&self) -> Vec<LaneState> {
        let state = |(name, lane): (&LaneName, &Lane)| {
            let end = lane.batches.last().map_or(Position(0), |batch| batch.next);
            LaneState {
                name: name.clone(),
                generation: 0,
                predecessor: None,
                oldest: Position(0),
                acked: lane.acked,
                sealed: end,
                next: end,
            }
        };
        self.lanes.iter().map(state).collect()
    }

    pub(super) fn start(&self) -> Uplink {
        let mut uplink = Uplink::new(OPTIONS, self.now);
        uplink.handle_lanes(self.now, self.states());
        uplink
    }

    /// Does what the uplink says until it says nothing.
    pub(super) fn perform(&mut self, uplink: &mut Uplink) {
        while let Some(output) = uplink.poll_output() {
            self.do_one(uplink, output);
            self.most_open = self.most_open.max(self.open.len());
        }
    }

    pub(super) fn do_one(&mut self, uplink: &mut Uplink, output: Output) {
        let now = self.now;
        match output {
            Output::Connect => {
                self.connected = true;
                uplink.handle_connected(now, Connack::default());
            }
            Output::Disconnect => self.cut(),
            Output::Publish { topic, payload } => {
                self.packet_id = self.packet_id % 100 + 1;
                self.topics.push(topic.clone());
                self.open.push_back((self.packet_id, topic, payload));
                uplink.handle_sent(now, self.packet_id);
            }
            Output::Read {
                connection,
                lane,
                from,
            } => {
                let found = self.lanes[&lane]
                    .batches
                    .iter()
                    .find(|batch| batch.first == from);
                uplink.handle_batch(now, connection, &lane, Ok(found.cloned()));
            }
            Output::Handshake {
                connection,
                lane,
                answer,
            } => {
                if self.forks > 0 {
                    self.forks -= 1;
                    let fork = Ok(Handshake::Fork(crate::handshake::Fork::Ahead));
                    return uplink.handle_handshake(now, connection, &lane, fork);
                }
                self.lanes.get_mut(&lane).unwrap().acked = answer.next;
                let from = Ok(Handshake::Send(answer.next));
                uplink.handle_handshake(now, connection, &lane, from);
            }
            Output::Repair {
                connection,
                lane,
                generation,
                reason,
            } => {
                self.repairs.push((generation, reason));
                let mut states = self.states().into_iter();
                let mut state = states.find(|state| state.name == lane).unwrap();
                state.generation = generation;
                state.predecessor = Some(0);
                uplink.handle_repaired(now, connection, Ok(state));
            }
            Output::Acknowledge { lane, up_to } => {
                let lane = self.lanes.get_mut(&lane).unwrap();
                assert!(
                    lane.acked < up_to && up_to <= lane.next,
                    "acknowledged in order"
                );
                lane.acked = up_to;
            }
            Output::SetAside { lane, first } => self.aside.push((lane, first)),
            Output::GiveUp { lane } => self.given_up.push(lane),
            Output::Hold { lane, error } => drop(self.held.insert(lane, error)),
            Output::Release { lane } => drop(self.held.remove(&lane)),
            Output::Link(up) => assert!(!up || self.connected),
            Output::Status => {
                self.status_asked += 1;
                uplink.handle_status(now, Bytes::from_static(b"{}"));
            }
        }
    }

    pub(super) fn cut(&mut self) {
        self.open.clear();
        self.connected = false;
    }

    /// The broker takes the oldest publish; `None` if there is none.
    pub(super) fn answer(&mut self) -> Option<Reply> {
        let (id, topic, payload) = self.open.pop_front()?;
        let (reason, text) = self.decide(&topic, &payload);
        Some((id, reason, text))
    }

    pub(super) fn decide(&mut self, topic: &str, payload: &[u8]) -> (u8, Text) {
        let (reason, text) = match Topic::parse(topic).expect("a topic of ours") {
            Topic::Status => (0, Vec::new()),
            Topic::Resume(LaneTopic { stream, .. }) => {
                let next = self.lanes[&LaneName::main(stream)].next.0.to_string();
                let crc = ("crc", "00000000".to_owned());
                (0, vec![("next", next), ("topic_id", UUID.to_owned()), crc])
            }
            Topic::Batch(LaneTopic { stream, .. }) => {
                let lane = self.lanes.get_mut(&LaneName::main(stream)).unwrap();
                let header = Header::parse_exact(payload).unwrap();
                let range = BatchRange::of(&header).unwrap();
                if range.first > lane.next {
                    (0x83, vec![("error", "out-of-order".to_owned())])
                } else {
                    if range.first == lane.next {
                        lane.next = range.next;
                        lane.taken.push(range.first);
                    }
                    (0, vec![("next", lane.next.0.to_string())])
                }
            }
            Topic::Repair(lane) => {
                let next = (lane.generation + 1).to_string();
                (0, vec![("generation", next)])
            }
        };
        let text = text.into_iter().map(|(key, value)| (key.to_owned(), value));
        (reason, text.collect())
    }

    pub(super) fn answer_all(&mut self, uplink: &mut Uplink) {
        self.perform(uplink);
        while let Some((id, reason, text)) = self.answer() {
            uplink.handle_answer(self.now, id, reason, &text);
            self.perform(uplink);
        }
    }

    /// Answers the first batch in flight with a refusal, and everything before it as usual.
    pub(super) fn refuse_batch(&mut self, uplink: &mut Uplink, refusal: Refusal) {
        self.perform(uplink);
        loop {
            let (_, topic, _) = self.open.front().expect("a batch is in flight");
            if matches!(Topic::parse(topic), Ok(Topic::Batch(_))) {
                break;
            }
            let (id, reason, text) = self.answer().unwrap();
            uplink.handle_answer(self.now, id, reason, &text);
            self.perform(uplink);
        }
        let (id, _, _) = self.open.pop_front().unwrap();
        let text = [("error", refusal.as_str()), ("retry_ms", "1000")];
        let text: Vec<_> = text
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        uplink.handle_answer(self.now, id, refusal.reason_code(), &text);
        self.perform(uplink);
    }

    pub(super) fn pass(&mut self, uplink: &mut Uplink, ms: i64) {
        self.now = self.now.plus(ms);
        uplink.handle_timeout(self.now);
        self.perform(uplink);
    }

    pub(super) fn assert_drained(&self) {
        for (name, lane) in &self.lanes {
            let firsts: Vec<_> = lane.batches.iter().map(|batch| batch.first).collect();
            assert_eq!(lane.taken, firsts, "{name}");
            assert_eq!(lane.acked, lane.next, "{name}");
        }
    }
}

pub(super) fn batch(first: Position) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..10 {
        builder.push(0, Some(b"k"), Some(b"v"), []).unwrap();
    }
    let mut out = Vec::new();
    builder.finish_into(first.producer(1 << 52).unwrap(), &mut out);
    out.into()
}
