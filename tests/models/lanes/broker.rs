//! What the broker does: the lane's state out of its log, decisions, crashes, backups.

use headwater_broker_core::lanes::{Incoming, LaneDecision, Lanes};
use headwater_broker_core::state::{LaneEntry, LaneState};
use headwater_wire::uplink::{LANE_ID_BASE, Refusal};

use super::crc;
use super::state::{Answer, Broker, Holder, Logged, Publish, Records, State, set};
use super::{Mistake, Protocol};

impl Protocol {
    /// A batch or loss reaches the broker, on a connection that is still the agent's or not. Gives
    /// the answer, and how much of the log must be durable before it may leave.
    pub(super) fn deliver(
        &self,
        state: &mut State,
        publish: Publish,
        from: Holder,
    ) -> (u8, Answer) {
        let broker = &mut state.broker;
        let holder = broker.holders[usize::from(publish.generation)];
        if holder != Some(from) && !self.has(Mistake::NoFence) {
            return (0, Answer::Refused(Refusal::Stale));
        }
        let answer = self.decide(broker, &publish);
        match &answer {
            Answer::Taken {
                is_duplicate: false,
                ..
            } => self.append(broker, Logged::Entry(publish)),
            Answer::Refused(Refusal::Conflict) => {
                broker.holders[usize::from(publish.generation)] = None
            }
            _ => {}
        }
        (self.wait(broker, &answer), answer)
    }

    /// A connection opens its generation; true if that of an agent whose repair the broker forgot
    /// is reported again.
    pub(super) fn resume(
        &self,
        broker: &mut Broker,
        generation: u8,
        agent: u8,
        is_named: bool,
    ) -> (u8, Answer) {
        broker.holders[usize::from(generation)] = Some(Holder {
            agent,
            is_late: false,
        });
        if generation > 0 && is_named && broker.highest() < generation {
            self.append(broker, Logged::Report(generation));
        }
        let (next, crc) = broker.position(generation, self.bounds.ring);
        let answer = Answer::Resumed(next, crc);
        (self.wait(broker, &answer), answer)
    }

    pub(super) fn append(&self, broker: &mut Broker, logged: Logged) {
        broker.log.push(logged);
        if self.bounds.broker_crashes == 0 {
            broker.durable = broker.length();
        }
        if !self.is_apart() {
            broker.apart = broker.length();
        }
    }

    /// Whether something of an entry becomes durable apart from the entry.
    pub(super) fn is_apart(&self) -> bool {
        self.has(Mistake::StateApart) || self.has(Mistake::LossApart)
    }

    fn decide(&self, broker: &Broker, publish: &Publish) -> Answer {
        let id = id(publish.generation);
        let lanes = broker.lanes(publish.generation, self.bounds.ring);
        let next = broker.position(publish.generation, self.bounds.ring).0;
        let end = publish.end();
        let taken = |is_duplicate| Answer::Taken {
            next: end,
            is_duplicate,
        };
        let decision = lanes.decide(id, &incoming(publish));
        match decision {
            LaneDecision::Duplicate { .. } => taken(true),
            LaneDecision::Append { .. } => taken(false),
            _ if self.has(Mistake::RingOnly) => taken(false),
            _ if self.has(Mistake::BlindLoss) && publish.loss.is_some() => taken(end <= next),
            _ if self.has(Mistake::SkipsGap) && publish.first > next => taken(false),
            _ if self.has(Mistake::HoleAtWrap) && self.is_after_hole(next, publish) => taken(false),
            LaneDecision::OutOfOrder { .. } => Answer::Refused(Refusal::OutOfOrder),
            LaneDecision::Conflict { .. } => Answer::Refused(Refusal::Conflict),
            LaneDecision::Stale => Answer::Refused(Refusal::Stale),
        }
    }

    fn is_after_hole(&self, next: u8, publish: &Publish) -> bool {
        let wrap = self.bounds.wrap;
        publish.first == (next / wrap + 1) * wrap
            && next % wrap + publish.end() - publish.first > wrap
    }

    /// Every answer waits until what it speaks of is durable.
    fn wait(&self, broker: &Broker, answer: &Answer) -> u8 {
        let is_early = match answer {
            Answer::Taken { .. } => self.has(Mistake::AckEarly),
            Answer::Resumed(..) => self.has(Mistake::ResumeEarly),
            Answer::Repaired(_) | Answer::Refused(_) => false,
        };
        if is_early { 0 } else { broker.length() }
    }
}

impl Broker {
    /// Entries in its log.
    pub(super) fn length(&self) -> u8 {
        u8::try_from(self.log.len()).expect("a few entries")
    }

    /// The highest generation that it knows.
    pub(super) fn highest(&self) -> u8 {
        let generation = |logged: &Logged| match logged {
            Logged::Entry(publish) => publish.generation,
            Logged::Report(generation) => *generation,
        };
        self.log.iter().map(generation).max().unwrap_or(0)
    }

    /// A lane's next position, and the CRC of the entry before it.
    pub(super) fn position(&self, generation: u8, ring: u8) -> (u8, Option<u32>) {
        let (next, crc) = self.lanes(generation, ring).position(id(generation));
        (u8::try_from(next).expect("a few positions"), crc)
    }

    /// Batches in the first `length` entries of the log.
    pub(super) fn events(&self, length: u8) -> impl DoubleEndedIterator<Item = &u8> + Clone {
        self.records(length, false)
    }

    /// Batches of one generation.
    pub(super) fn events_of(&self, generation: u8) -> impl Iterator<Item = &u8> {
        let entries = self.log.iter().filter_map(move |logged| match logged {
            Logged::Entry(entry) if entry.generation == generation => Some(entry),
            Logged::Entry(_) | Logged::Report(_) => None,
        });
        let batches = entries.filter(|entry| entry.loss.is_none());
        batches.flat_map(|entry| &entry.records)
    }

    /// What the first `length` entries of the log declare lost.
    pub(super) fn lost(&self, length: u8) -> impl DoubleEndedIterator<Item = &u8> + Clone {
        self.records(length, true)
    }

    /// It starts again with the first `length` entries: memory and connections are gone.
    pub(super) fn cut_to(&mut self, length: u8) -> Records {
        let cut = self.log.split_off(length.into());
        self.durable = length;
        self.apart = self.apart.min(length);
        self.unknown &= (1 << length) - 1;
        self.holders = Default::default();
        let records = cut.iter().filter_map(|logged| match logged {
            Logged::Entry(publish) => Some(&publish.records),
            Logged::Report(_) => None,
        });
        set(records.flatten())
    }

    /// The state of one lane, as the program keeps it, with the newest `ring` entries.
    fn lanes(&self, generation: u8, ring: u8) -> Lanes {
        let is_known = |at: usize| self.unknown & (1 << at) == 0;
        let known = self.log.iter().enumerate().filter(|(at, _)| is_known(*at));
        let mut entries: Vec<LaneEntry> = known
            .filter_map(|(_, logged)| match logged {
                Logged::Entry(publish) if publish.generation == generation => Some(entry(publish)),
                _ => None,
            })
            .collect();
        let next = entries
            .iter()
            .map(|entry| entry.last + 1)
            .max()
            .unwrap_or(0);
        entries.drain(..entries.len().saturating_sub(ring.into()));
        Lanes::from_state(&[LaneState {
            id: id(generation),
            next,
            arrival_ms: 0,
            entries,
        }])
    }

    fn records(&self, length: u8, lost: bool) -> impl DoubleEndedIterator<Item = &u8> + Clone {
        let records = move |logged: &'_ Logged| match logged {
            Logged::Entry(publish) => publish.loss.is_some() == lost,
            Logged::Report(_) => false,
        };
        let entries = self.log[..length.into()]
            .iter()
            .filter(move |logged| records(logged));
        entries.flat_map(|logged| match logged {
            Logged::Entry(publish) => publish.records.as_slice(),
            Logged::Report(_) => &[],
        })
    }
}

fn id(generation: u8) -> i64 {
    LANE_ID_BASE + i64::from(generation)
}

fn incoming(publish: &Publish) -> Incoming {
    Incoming {
        first: publish.first.into(),
        last: u64::from(publish.end()) - 1,
        crc: crc::of_publish(publish),
        loss: publish.loss.is_some(),
    }
}

fn entry(publish: &Publish) -> LaneEntry {
    let Incoming {
        first, last, crc, ..
    } = incoming(publish);
    LaneEntry {
        first,
        last,
        base_offset: 0,
        crc,
    }
}
