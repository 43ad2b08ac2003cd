//! What agents do, and what is done to them.

use headwater_agent_core::handshake::ResumeAnswer;
use headwater_agent_core::refusal::{self, Fate, Reconnect, Refused, judge};
use headwater_wire::uplink::{Position, Refusal};

use super::disk::TOPIC_ID;
use super::state::{
    Agent, Answer, Disk, Holder, Keep, Logged, NO_RECORD, Phase, Publish, Records, State, set,
    set_of,
};
use super::{Mistake, Protocol};

impl Protocol {
    pub(super) fn seal(&self, disk: &mut Disk, count: u8, drains: bool) {
        let records: Vec<u8> = disk.open[..count.into()].to_vec();
        if drains {
            disk.open.drain(..usize::from(count));
        }
        let wrap = self.bounds.wrap;
        let sealed = disk.sealed();
        disk.push(records);
        if sealed % wrap + count > wrap {
            disk.entries.last_mut().expect("just pushed").first = (sealed / wrap + 1) * wrap;
        }
    }

    pub(super) fn connect(&self, state: &mut State, a: u8) {
        let agent = &mut state.agents[usize::from(a)];
        let is_named = !self.has(Mistake::NoPredecessor)
            && (!self.has(Mistake::ReportsLater) || agent.disk.is_unreported);
        let answer = self.resume(&mut state.broker, agent.disk.generation, a, is_named);
        agent.answers.push(answer);
        agent.phase = Phase::Resuming;
    }

    pub(super) fn send(&self, state: &mut State, a: u8) {
        let agent = &mut state.agents[usize::from(a)];
        let number = state.book.losses;
        // A loss that is not stored is made again, with other bytes.
        let stored = self.has(Mistake::RemakesLoss).then(|| agent.disk.clone());
        let publish = agent
            .disk
            .read(agent.cursor, number)
            .expect("something to be sent");
        if publish.loss == Some(number) {
            state.book.losses += 1;
            agent.disk = stored.unwrap_or_else(|| std::mem::take(&mut agent.disk));
        }
        agent.cursor = publish.end();
        if self.has(Mistake::TrimsOnSending) {
            agent.disk.trim_sent(publish.end());
        }
        agent.sent.push(publish);
    }

    pub(super) fn receive(&self, state: &mut State, a: u8) {
        let agent = &mut state.agents[usize::from(a)];
        let (_, answer) = agent.answers.remove(0);
        match answer {
            Answer::Resumed(next, crc) => self.take_resumed(state, a, next, crc),
            Answer::Taken { next, .. } if next > agent.disk.acked() => {
                agent.disk.acknowledge(next, self.bounds.grace);
            }
            Answer::Taken { .. } => {}
            Answer::Refused(kind) => {
                assert!(shakes_hands_again(kind), "{kind} ends the connection");
                self.cut(state, a);
            }
            Answer::Repaired(generation) => self.take_generation(state, a, generation),
        }
    }

    pub(super) fn ask_for_repair(&self, state: &mut State, a: u8) {
        let highest = state.broker.highest();
        let generation = highest.max(state.agents[usize::from(a)].disk.generation) + 1;
        self.append(&mut state.broker, Logged::Report(generation));
        let answer = (state.broker.length(), Answer::Repaired(generation));
        state.agents[usize::from(a)].answers.push(answer);
        state.agents[usize::from(a)].phase = Phase::Repairing;
    }

    /// The connection ends.
    pub(super) fn cut(&self, state: &mut State, a: u8) {
        let agent = &mut state.agents[usize::from(a)];
        if agent.phase != Phase::Down {
            let sent = std::mem::take(&mut agent.sent);
            agent.late = if agent.is_broken { Vec::new() } else { sent };
        }
        agent.answers.clear();
        (agent.phase, agent.is_broken, agent.cursor) = (Phase::Down, false, 0);
        let has_late = !agent.late.is_empty();
        for held in &mut state.broker.holders {
            *held = match *held {
                Some(holder) if holder.agent != a => Some(holder),
                Some(holder) if has_late && !holder.is_late => Some(Holder {
                    is_late: true,
                    ..holder
                }),
                _ => None,
            };
        }
    }

    pub(super) fn crash(&self, state: &mut State, a: u8) {
        let agent = &mut state.agents[usize::from(a)];
        let synced = agent.disk.entries.len() - usize::from(agent.unsynced);
        agent.disk.entries.truncate(synced);
        agent.unsynced = 0;
        for entry in agent
            .disk
            .entries
            .iter_mut()
            .filter(|entry| entry.keep == Keep::Acked)
        {
            entry.keep = Keep::Held;
        }
        let is_empty = agent
            .disk
            .entries
            .iter()
            .all(|entry| entry.keep == Keep::Trimmed);
        if self.has(Mistake::ForgetsPosition) && is_empty {
            agent.disk.entries.clear();
        }
        agent.disk.is_unreported = false;
        self.cut(state, a);
        state.faults.agent_crashes += 1;
    }

    /// An older copy of the disk is put back; false if it is the same.
    pub(super) fn roll_back(&self, state: &mut State, a: u8) -> bool {
        let agent = &mut state.agents[usize::from(a)];
        let Some(image) = agent.image.take().filter(|image| **image != agent.disk) else {
            return false;
        };
        let known = set(agent.records());
        agent.disk = *image;
        let broker = &state.broker;
        let gone = known
            & !set(broker
                .events(broker.durable)
                .chain(broker.lost(broker.durable)));
        state.book.may_be_lost |= gone;
        state.book.excused |= gone & !state.held();
        state.faults.rollbacks += 1;
        self.cut(state, a);
        true
    }

    fn take_resumed(&self, state: &mut State, a: u8, next: u8, crc: Option<u32>) {
        let agent = &mut state.agents[usize::from(a)];
        let mut view = agent.disk.view(next);
        if self.has(Mistake::NoCrc) {
            view.below = crc.into_iter().collect();
            view.at_boundary = true;
        }
        let answer = ResumeAnswer {
            next: Position(next.into()),
            crc,
            topic_id: TOPIC_ID,
            generation: None,
        };
        let number = state.book.losses;
        if agent.disk.handshake(&view, &answer, number) {
            agent.phase = Phase::Forked;
            if self.has(Mistake::ReportsLater) {
                let generation = state.broker.highest() + 1;
                self.take_generation(state, a, generation);
                state.agents[usize::from(a)].disk.is_unreported = true;
            }
            return;
        }
        let is_made = |entry: &super::state::Entry| entry.loss == Some(number);
        if let Some(loss) = agent.disk.entries.iter_mut().find(|entry| is_made(entry)) {
            state.book.losses += 1;
            if self.has(Mistake::AckedForEver)
                && loss
                    .records
                    .iter()
                    .all(|r| state.faults.evictions == 0 && *r < NO_RECORD)
            {
                loss.records.fill(NO_RECORD);
            }
        }
        agent.disk.acknowledge(next, self.bounds.grace);
        (agent.phase, agent.cursor) = (Phase::Up, next);
    }

    fn take_generation(&self, state: &mut State, a: u8, generation: u8) {
        let restored = state.faults.restores > 0;
        let in_log = set(state.broker.events(state.broker.length()));
        let agent = &mut state.agents[usize::from(a)];
        let is_done = |keep| matches!(keep, Keep::Acked | Keep::Trimmed);
        let records = |is_wanted: &dyn Fn(Keep) -> bool| {
            let entries = agent
                .disk
                .entries
                .iter()
                .filter(|entry| is_wanted(entry.keep));
            set(entries.flat_map(|entry| &entry.records))
        };
        // The report says: what the old generation had may have been lost by the broker.
        if restored {
            state.book.excused |= records(&is_done) & !in_log;
        }
        state.book.restamped |= records(&|keep| !is_done(keep)) | set(&agent.disk.open);
        state.book.was_repaired = true;
        if self.has(Mistake::DropsEvicted) {
            agent
                .disk
                .entries
                .retain(|entry| entry.keep != Keep::Evicted);
        }
        let wrap = if self.has(Mistake::AcrossWrap) {
            u8::MAX
        } else {
            self.bounds.wrap
        };
        agent.disk.repair(generation, wrap, state.book.losses);
        state.book.losses += 1;
        self.cut(state, a);
    }
}

impl State {
    pub(super) fn take_record(&mut self, a: u8) {
        let record = self.book.next;
        self.book.next += 1;
        self.book.acked |= set_of(record);
        if a > 0 {
            self.book.by_clone |= set_of(record);
        }
        self.agents[usize::from(a)].disk.open.push(record);
    }

    pub(super) fn copy_disk(&mut self, a: u8) {
        let agent = &mut self.agents[usize::from(a)];
        agent.image = Some(Box::new(agent.disk.clone()));
        self.faults.images += 1;
    }

    pub(super) fn clone_agent(&mut self) {
        let disk = self.agents[0].disk.clone();
        self.agents.push(Agent {
            disk,
            ..Agent::default()
        });
    }

    /// What was still under way on the connection before is lost, and the broker notices.
    pub(super) fn drop_late(&mut self, a: u8) {
        self.agents[usize::from(a)].late.clear();
        let late = Some(Holder {
            agent: a,
            is_late: true,
        });
        self.broker
            .holders
            .iter_mut()
            .filter(|holder| **holder == late)
            .for_each(|holder| *holder = None);
    }

    /// The broker is gone; answers that had left may still be read.
    pub(super) fn break_links(&mut self) {
        let durable = self.broker.durable;
        for agent in &mut self.agents {
            agent.sent.clear();
            agent.late.clear();
            let left = agent
                .answers
                .iter()
                .take_while(|(needed, _)| *needed <= durable)
                .count();
            agent.answers.truncate(left);
            agent.answers.iter_mut().for_each(|(needed, _)| *needed = 0);
            agent.is_broken = agent.phase != Phase::Down;
        }
    }

    pub(super) fn restore(&mut self, length: u8) {
        self.break_links();
        let cut = self.broker.cut_to(length);
        let known = self
            .agents
            .iter()
            .fold(0, |known, agent| known | set(agent.records()));
        self.book.may_be_lost |= cut;
        self.book.excused |= cut & !known;
        self.faults.restores += 1;
    }

    pub(super) fn tear_repair(&mut self, a: u8) {
        let agent = &mut self.agents[usize::from(a)];
        if let Some((_, Answer::Repaired(generation))) = agent.answers.first() {
            agent.disk.generation = *generation;
            self.book.was_repaired = true;
        }
    }

    /// Records that an agent will send or declare.
    fn held(&self) -> Records {
        let of_agent = |agent: &Agent| {
            let entries = agent
                .disk
                .entries
                .iter()
                .filter(|entry| entry.keep != Keep::Trimmed);
            set(entries.flat_map(|entry| &entry.records)) | set(&agent.disk.open)
        };
        self.agents
            .iter()
            .fold(0, |held, agent| held | of_agent(agent))
    }
}

impl Disk {
    fn trim_sent(&mut self, end: u8) {
        let sent = self.entries.iter_mut().filter(|entry| entry.end() <= end);
        sent.filter(|entry| entry.keep == Keep::Held)
            .for_each(|entry| entry.keep = Keep::Trimmed);
    }
}

impl Publish {
    pub(super) fn forget_records(&mut self) {
        self.records.fill(NO_RECORD);
    }
}

/// Asks the agent's own table.
fn shakes_hands_again(kind: Refusal) -> bool {
    let properties = [("error".to_owned(), kind.as_str().to_owned())];
    let refusal = refusal::Refusal::parse(kind.reason_code(), &properties);
    let refused = Refused::Batch {
        verifies: true,
        again: false,
    };
    refusal.is_some_and(|refusal| {
        let verdict = judge(&refusal, refused, 0);
        verdict.reconnect == Reconnect::Now && verdict.fate == Fate::Handshake
    })
}
