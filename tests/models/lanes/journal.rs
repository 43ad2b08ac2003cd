//! The broker's own journal beside the model's broker: the same random steps, and every answer
//! must be the same. What the model leaves out (bindings, bytes, chunks that fail) is in here.

use std::collections::BTreeMap;

use headwater_agent_core::lane::LaneName as AgentLane;
use headwater_agent_core::loss::Loss;
use headwater_broker_core::journal::{Journal, Recovery, Settings};
use headwater_broker_core::submit::{Buffer, LaneBatch, Repair, RepairReason, Request, Resume};
use headwater_broker_core::{LaneName, LaneOutcome, StreamSpec};
use headwater_wire::batch::{BatchBuilder, Header};
use headwater_wire::time::Millis;
use headwater_wire::uplink::{LossReason, LostRange, Position, producer_id};
use stateright::Model;

use super::crc;
use super::state::{Answer, Holder, Phase, Publish, State};
use super::{Protocol, Step};
use crate::rng::Rng;

const DEVICE: &str = "gw-1";
const STREAM: &str = "events";

/// Takes at most `steps` random steps; gives how many of them asked the broker something.
///
/// # Errors
/// The step at which the journal said something else than the model.
pub fn compare(protocol: &Protocol, seed: u64, steps: usize) -> Result<usize, String> {
    let mut random = Rng::new(seed);
    let mut state = State::default();
    let mut shadow = Shadow::new();
    let mut possible = Vec::new();
    let mut asked = 0;
    for number in 0..steps {
        possible.clear();
        protocol.actions(&state, &mut possible);
        let step = draw(&mut random, &possible);
        let next = protocol.next_state(&state, step);
        let Some(next) = next.filter(|next| protocol.within_boundary(next)) else {
            break;
        };
        asked += usize::from(
            shadow
                .follow(&state, step, &next)
                .map_err(|error| format!("Seed {seed}, step {number}, {step:?}: {error}"))?,
        );
        state = next;
    }
    Ok(asked)
}

fn draw(random: &mut Rng, possible: &[Step]) -> Step {
    let count = u64::try_from(possible.len()).expect("a few steps");
    possible[usize::try_from(random.below(count)).expect("below the length")]
}

struct Shadow {
    journal: Journal,
    /// The real CRC for each of the model's.
    crcs: BTreeMap<u32, u32>,
    /// Number of each agent's connection, and of the one before it.
    connections: [(u64, u64); 2],
    next_connection: u64,
}

impl Shadow {
    fn new() -> Self {
        let settings = Settings {
            epochs: vec![1],
            lanes_per_device: 64,
        };
        let recovered = Recovery::default().finish(vec![STREAM.to_owned()], settings);
        let mut journal = recovered.expect("an empty log").journal;
        journal.begin(Millis(0));
        journal.create_stream([1; 16], StreamSpec::new(STREAM));
        journal.finish();
        journal.commit();
        journal.begin(Millis(0));
        Self {
            journal,
            crcs: BTreeMap::new(),
            connections: [(0, 0); 2],
            next_connection: 1,
        }
    }

    /// Does what the step did to the broker, and compares; false if it did nothing to it.
    fn follow(&mut self, before: &State, step: Step, after: &State) -> Result<bool, String> {
        match step {
            Step::Deliver(a) | Step::DeliverLate(a) => {
                let is_late = matches!(step, Step::DeliverLate(_));
                self.deliver(before, a, is_late, after)?;
                self.close_late(after, a);
            }
            Step::Resume(a) => self.resume(before, a, after)?,
            Step::Repair(a) => self.repair(before, a, after)?,
            Step::Commit => {
                self.journal.finish();
                self.journal.commit();
                self.journal.begin(Millis(0));
            }
            Step::CrashBroker => {
                self.journal.fail();
                self.journal.begin(Millis(0));
            }
            Step::Cut(a) | Step::Crash(a) | Step::RollBack(a) => {
                self.cut(before, a);
                self.close_late(after, a);
            }
            Step::Receive(a) if after.agents[usize::from(a)].phase == Phase::Down => {
                self.cut(before, a);
                self.close_late(after, a);
            }
            Step::DropLate(a) => self.close_late(after, a),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn deliver(
        &mut self,
        before: &State,
        a: u8,
        is_late: bool,
        after: &State,
    ) -> Result<(), String> {
        let agent = &before.agents[usize::from(a)];
        let queue = if is_late { &agent.late } else { &agent.sent };
        let publish = &queue[0];
        let (current, late) = self.connections[usize::from(a)];
        let connection = if is_late { late } else { current };
        let batch = self.batch(publish, connection);
        let outcome = self.ask(Request::Batch(batch));
        let is_appended = after.broker.log.len() > before.broker.log.len();
        if matches!(outcome, LaneOutcome::Appended { .. }) != is_appended {
            return Err(format!("{outcome:?}, in the model appended: {is_appended}"));
        }
        let answer = &after.agents[usize::from(a)].answers;
        match (answer.last(), outcome) {
            _ if is_late => Ok(()),
            (
                Some((
                    _,
                    Answer::Taken {
                        is_duplicate: false,
                        next,
                    },
                )),
                LaneOutcome::Appended { next: other },
            ) if u64::from(*next) == other => Ok(()),
            (
                Some((
                    _,
                    Answer::Taken {
                        is_duplicate: true, ..
                    },
                )),
                LaneOutcome::Duplicate { .. },
            ) => Ok(()),
            (Some((_, Answer::Refused(kind))), LaneOutcome::Refused(refusal))
                if kind.as_str() == refusal.error() =>
            {
                Ok(())
            }
            (answer, outcome) => Err(format!("{outcome:?}, in the model {answer:?}")),
        }
    }

    fn resume(&mut self, before: &State, a: u8, after: &State) -> Result<(), String> {
        let (current, _) = self.connections[usize::from(a)];
        self.connections[usize::from(a)] = (self.next_connection, current);
        self.next_connection += 1;
        let generation = before.agents[usize::from(a)].disk.generation;
        let outcome = self.ask(Request::Resume(Resume {
            name: name(generation),
            connection: self.connections[usize::from(a)].0,
            oldest: 0,
            next: 0,
            predecessor: generation.checked_sub(1).map(u32::from),
        }));
        let answer = after.agents[usize::from(a)].answers.last();
        match (answer, outcome) {
            (
                Some((_, Answer::Resumed(next, crc))),
                LaneOutcome::Resumed {
                    next: other,
                    crc: real,
                    ..
                },
            ) if u64::from(*next) == other && crc.map(|crc| self.crcs[&crc]) == real => Ok(()),
            (answer, outcome) => Err(format!("{outcome:?}, in the model {answer:?}")),
        }
    }

    fn repair(&mut self, before: &State, a: u8, after: &State) -> Result<(), String> {
        let generation = before.agents[usize::from(a)].disk.generation;
        let outcome = self.ask(Request::Repair(Repair {
            name: name(generation),
            connection: self.connections[usize::from(a)].0,
            reason: RepairReason::Rollback,
        }));
        let answer = after.agents[usize::from(a)].answers.last();
        match (answer, outcome) {
            (
                Some((_, Answer::Repaired(generation))),
                LaneOutcome::Repaired { generation: other },
            ) if u32::from(*generation) == other => Ok(()),
            (answer, outcome) => Err(format!("{outcome:?}, in the model {answer:?}")),
        }
    }

    /// The connection is late from now on, and the one before it is gone.
    fn cut(&mut self, before: &State, a: u8) {
        if before.agents[usize::from(a)].phase == Phase::Down {
            return;
        }
        let (current, late) = self.connections[usize::from(a)];
        self.tell(Request::Closed { connection: late });
        self.connections[usize::from(a)] = (0, current);
    }

    /// Nothing comes any more from the connection before: the broker notices.
    fn close_late(&mut self, after: &State, a: u8) {
        let held = after.broker.holders.iter().flatten();
        let is_late = |holder: &&Holder| holder.agent == a && holder.is_late;
        if held.filter(is_late).count() == 0 {
            let (_, late) = self.connections[usize::from(a)];
            self.tell(Request::Closed { connection: late });
        }
    }

    fn ask(&mut self, request: Request) -> LaneOutcome {
        self.tell(request).expect("an answer")
    }

    fn tell(&mut self, request: Request) -> Option<LaneOutcome> {
        let mut buffer = Buffer::default();
        buffer.request(0, request);
        let mut answers = Vec::new();
        assert!(
            self.journal.take(&mut buffer, &mut answers),
            "a small chunk"
        );
        answers.pop().map(|answer| answer.outcome)
    }

    fn batch(&mut self, publish: &Publish, connection: u64) -> LaneBatch {
        let bytes = bytes_of(publish);
        let header = Header::parse_exact(&bytes).expect("a batch");
        self.crcs.insert(crc::of_publish(publish), header.crc);
        LaneBatch {
            name: name(publish.generation),
            connection,
            bytes: bytes.into(),
            header,
            topics: Vec::new(),
        }
    }
}

/// The batch as an agent would send it.
fn bytes_of(publish: &Publish) -> Vec<u8> {
    let first = Position(publish.first.into());
    if let Some(number) = publish.loss {
        let loss = Loss {
            range: LostRange {
                from: first,
                to: Position(publish.end().into()),
            },
            reason: LossReason::Overflow,
            first_ms: None,
            last_ms: None,
            crc: None,
        };
        let lane = AgentLane::main(STREAM);
        let batch = loss.batch(DEVICE, &lane, publish.generation.into(), number.into());
        return batch.expect("a short record").bytes.to_vec();
    }
    let mut builder = BatchBuilder::new();
    for record in &publish.records {
        builder
            .push(0, Some(b"gw-1/t"), Some(&[*record]), [])
            .expect("a short record");
    }
    let id = producer_id(DEVICE, STREAM, "main", publish.generation.into());
    let mut bytes = Vec::new();
    builder.finish_into(first.producer(id).expect("a small position"), &mut bytes);
    bytes
}

fn name(generation: u8) -> LaneName {
    LaneName {
        device: DEVICE.to_owned(),
        stream: STREAM.to_owned(),
        lane: "main".to_owned(),
        generation: generation.into(),
    }
}
