//! What can happen next, and what becomes of it.

use super::state::{Holder, Keep, Logged, Phase, State};
use super::{Mistake, Protocol};

/// One step; the number is the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Takes a record into the open tail, durably, and acknowledges it to its source.
    Take(u8),
    /// Seals this many records as a batch.
    Seal(u8, u8),
    /// Connects and sends `resume`, which the broker takes at once.
    Resume(u8),
    /// Publishes what comes next.
    Send(u8),
    /// Reads an answer.
    Receive(u8),
    /// Asks for the next generation.
    Repair(u8),
    /// Its connection ends; what it had sent may still arrive.
    Cut(u8),
    /// Loses its memory.
    Crash(u8),
    /// Gives up the oldest batch.
    Evict(u8),
    /// Its disk is copied.
    Image(u8),
    /// The copy is put back.
    RollBack(u8),
    /// A second agent starts from a copy of the first one's disk.
    Clone,
    /// The broker takes the next publish of a connection.
    Deliver(u8),
    /// The broker takes a publish of the connection before.
    DeliverLate(u8),
    /// What remained of the connection before is lost.
    DropLate(u8),
    /// A publish vanishes, its connection stays.
    Vanish(u8),
    /// The broker's log is durable.
    Commit,
    /// The broker loses what is not.
    CrashBroker,
    /// The broker goes on from a backup, with this many entries.
    Restore(u8),
    /// What a mistake makes possible.
    Slip(Slip),
}

/// Steps of wrong protocols only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slip {
    /// The broker forgets the lane.
    Forget,
    /// What is stored apart becomes durable.
    SyncApart,
    /// A record is sealed and sent before anything is durable.
    SealUnsynced(u8),
    /// A crash between the sealing of a batch and the tail's hearing of it.
    TearSeal(u8, u8),
    /// A crash between taking a generation and stamping the batches.
    TearRepair(u8),
}

impl Step {
    /// Something that must not be needed for the lane to drain: faults, and new records.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Seal(..)
            | Self::Resume(_)
            | Self::Send(_)
            | Self::Receive(_)
            | Self::Repair(_)
            | Self::Cut(_)
            | Self::Deliver(_)
            | Self::DeliverLate(_)
            | Self::DropLate(_)
            | Self::Commit => false,
            Self::Take(_)
            | Self::Crash(_)
            | Self::Evict(_)
            | Self::Image(_)
            | Self::RollBack(_)
            | Self::Clone
            | Self::Vanish(_)
            | Self::CrashBroker
            | Self::Restore(_)
            | Self::Slip(_) => true,
        }
    }
}

impl Protocol {
    /// All steps that are possible.
    pub(super) fn possible(&self, state: &State, steps: &mut Vec<Step>) {
        for agent in 0..u8::try_from(state.agents.len()).expect("two agents") {
            self.possible_in_log(state, agent, steps);
            self.possible_on_link(state, agent, steps);
        }
        let (broker, faults, bounds) = (&state.broker, &state.faults, &self.bounds);
        let mut push = |is_possible, step| steps.extend(Some(step).filter(|_| is_possible));
        push(broker.durable < broker.length(), Step::Commit);
        push(
            faults.broker_crashes < bounds.broker_crashes,
            Step::CrashBroker,
        );
        push(bounds.clones && state.agents.len() == 1, Step::Clone);
        push(
            self.is_apart() && broker.apart < broker.length(),
            Step::Slip(Slip::SyncApart),
        );
        let forgets = self.has(Mistake::ForgetsLane) && !faults.forgotten && !broker.log.is_empty();
        push(forgets, Step::Slip(Slip::Forget));
        if faults.restores < bounds.restores {
            steps.extend((0..broker.durable).map(Step::Restore));
        }
    }

    fn possible_in_log(&self, state: &State, a: u8, steps: &mut Vec<Step>) {
        let (agent, faults, bounds) = (&state.agents[usize::from(a)], &state.faults, &self.bounds);
        let mut push = |is_possible, step| steps.extend(Some(step).filter(|_| is_possible));
        let open = u8::try_from(agent.disk.open.len()).expect("a few records");
        let is_offered = state.book.next < bounds.records;
        push(is_offered && open < bounds.open, Step::Take(a));
        let is_early = self.has(Mistake::SendsBeforeSync) && open == 0 && is_offered;
        push(is_early, Step::Slip(Slip::SealUnsynced(a)));
        let room = bounds.wrap - agent.disk.sealed() % bounds.wrap;
        for count in 1..=bounds.batch.min(open) {
            let fits = count <= room || self.has(Mistake::HoleAtWrap);
            push(fits && agent.unsynced == 0, Step::Seal(a, count));
            push(
                fits && self.has(Mistake::KeepsSealed),
                Step::Slip(Slip::TearSeal(a, count)),
            );
        }
        let is_held = agent.oldest_batch().is_some();
        push(
            is_held && faults.evictions < bounds.evictions,
            Step::Evict(a),
        );
        push(faults.images < bounds.images, Step::Image(a));
        push(agent.image.is_some(), Step::RollBack(a));
        push(faults.agent_crashes < bounds.agent_crashes, Step::Crash(a));
    }

    fn possible_on_link(&self, state: &State, a: u8, steps: &mut Vec<Step>) {
        let agent = &state.agents[usize::from(a)];
        let mut push = |is_possible, step| steps.extend(Some(step).filter(|_| is_possible));
        push(agent.phase == Phase::Down, Step::Resume(a));
        push(agent.phase != Phase::Down, Step::Cut(a));
        push(
            agent.phase == Phase::Forked && !agent.is_broken,
            Step::Repair(a),
        );
        let under_way = agent.sent.len() + agent.answers.len();
        let has_room = under_way < self.bounds.window.into() && agent.cursor < agent.disk.sealed();
        push(
            agent.phase == Phase::Up && !agent.is_broken && has_room,
            Step::Send(a),
        );
        let answer = agent.answers.first();
        let may_leave = answer.is_some_and(|(needed, _)| *needed <= state.broker.durable);
        push(may_leave, Step::Receive(a));
        let tears = self.has(Mistake::TornRepair) && agent.phase == Phase::Repairing;
        push(tears && may_leave, Step::Slip(Slip::TearRepair(a)));
        push(!agent.sent.is_empty(), Step::Deliver(a));
        push(
            !agent.sent.is_empty() && state.faults.vanished < self.bounds.vanished,
            Step::Vanish(a),
        );
        push(!agent.late.is_empty(), Step::DeliverLate(a));
        push(!agent.late.is_empty(), Step::DropLate(a));
    }

    /// Takes a step; false if it leads nowhere.
    pub(super) fn take(&self, state: &mut State, step: Step) -> bool {
        match step {
            Step::Take(a) => state.take_record(a),
            Step::Seal(a, count) => self.seal(&mut state.agents[usize::from(a)].disk, count, true),
            Step::Resume(a) => self.connect(state, a),
            Step::Send(a) => self.send(state, a),
            Step::Receive(a) => self.receive(state, a),
            Step::Repair(a) => self.ask_for_repair(state, a),
            Step::Cut(a) => self.cut(state, a),
            Step::Crash(a) => self.crash(state, a),
            Step::Evict(a) => state.evict(a),
            Step::Image(a) => state.copy_disk(a),
            Step::RollBack(a) => return self.roll_back(state, a),
            Step::Clone => state.clone_agent(),
            Step::Deliver(a) | Step::DeliverLate(a) => {
                self.arrive(state, a, matches!(step, Step::DeliverLate(_)))
            }
            Step::DropLate(a) => state.drop_late(a),
            Step::Vanish(a) => {
                state.agents[usize::from(a)].sent.remove(0);
                state.faults.vanished += 1;
            }
            Step::Commit => state.broker.durable = state.broker.length(),
            Step::CrashBroker => self.crash_broker(state),
            Step::Restore(length) => state.restore(length),
            Step::Slip(slip) => self.slip(state, slip),
        }
        if self.has(Mistake::NoHeaders) {
            state
                .agents
                .iter_mut()
                .for_each(|agent| agent.disk.remembered.clear());
        }
        true
    }

    fn arrive(&self, state: &mut State, a: u8, is_late: bool) {
        let agent = &mut state.agents[usize::from(a)];
        let queue = if is_late {
            &mut agent.late
        } else {
            &mut agent.sent
        };
        let publish = queue.remove(0);
        let answer = self.deliver(state, publish, Holder { agent: a, is_late });
        if !is_late {
            state.agents[usize::from(a)].answers.push(answer);
        } else if state.agents[usize::from(a)].late.is_empty() {
            state.drop_late(a);
        }
    }

    fn crash_broker(&self, state: &mut State) {
        state.break_links();
        state.faults.broker_crashes += 1;
        let durable = state.broker.durable;
        let apart = state.broker.apart.min(durable);
        state.broker.cut_to(durable);
        for at in apart..durable {
            match &mut state.broker.log[usize::from(at)] {
                _ if self.has(Mistake::StateApart) => state.broker.unknown |= 1 << at,
                Logged::Entry(loss) if loss.loss.is_some() => loss.forget_records(),
                Logged::Entry(_) | Logged::Report(_) => {}
            }
        }
        state.broker.apart = durable;
    }

    fn slip(&self, state: &mut State, slip: Slip) {
        match slip {
            Slip::Forget => {
                state.broker.unknown = (1 << state.broker.length()) - 1;
                state.faults.forgotten = true;
            }
            Slip::SyncApart => state.broker.apart = state.broker.length(),
            Slip::SealUnsynced(a) => {
                let agent = &mut state.agents[usize::from(a)];
                agent.disk.push(vec![state.book.next]);
                agent.unsynced += 1;
                state.book.next += 1;
            }
            Slip::TearSeal(a, count) => {
                self.seal(&mut state.agents[usize::from(a)].disk, count, false);
                self.cut(state, a);
            }
            Slip::TearRepair(a) => {
                state.tear_repair(a);
                self.cut(state, a);
            }
        }
    }
}

impl State {
    fn evict(&mut self, a: u8) {
        let agent = &mut self.agents[usize::from(a)];
        let oldest = agent.oldest_batch().expect("a batch that is held");
        self.book.may_be_lost |= super::state::set(&agent.disk.entries[oldest].records);
        agent.disk.evict(oldest);
        self.faults.evictions += 1;
    }
}

impl super::state::Agent {
    /// The oldest batch that is held and may be given up.
    fn oldest_batch(&self) -> Option<usize> {
        self.disk
            .entries
            .iter()
            .position(|entry| entry.keep == Keep::Held && entry.loss.is_none())
    }
}
