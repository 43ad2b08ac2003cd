//! What an agent's log does: seal, acknowledge, evict, declare, compare histories, repair.

use headwater_agent_core::handshake::{Decision, ResumeAnswer, TopicId, View, decide};
use headwater_wire::uplink::Position;

use super::crc;
use super::state::{Agent, Disk, Entry, Keep, NO_RECORD, Publish};

impl Disk {
    /// Position to be sealed next.
    pub(super) fn sealed(&self) -> u8 {
        self.entries.last().map_or(0, Entry::end)
    }

    /// Everything below is acknowledged, as far as the agent knows.
    pub(super) fn acked(&self) -> u8 {
        let is_done = |entry: &&Entry| matches!(entry.keep, Keep::Acked | Keep::Trimmed);
        self.entries.iter().rfind(is_done).map_or(0, Entry::end)
    }

    pub(super) fn push(&mut self, records: Vec<u8>) {
        self.entries.push(Entry {
            first: self.sealed(),
            records,
            loss: None,
            was_sent: false,
            keep: Keep::Held,
        });
    }

    /// The broker holds everything below `next`; `grace` acknowledged entries are kept.
    pub(super) fn acknowledge(&mut self, next: u8, grace: u8) {
        for entry in &mut self.entries {
            let is_below = entry.end() <= next;
            entry.keep = match entry.keep {
                Keep::Held if is_below => Keep::Acked,
                Keep::Evicted if is_below => Keep::Trimmed,
                Keep::Acked if !is_below => Keep::Held,
                other => other,
            };
        }
        let acked = self
            .entries
            .iter()
            .filter(|entry| entry.keep == Keep::Acked);
        let excess = acked.count().saturating_sub(usize::from(grace));
        for at in 0..self.entries.len() {
            if self.entries[at].keep == Keep::Acked && self.below(at) < excess {
                self.trim(at);
            }
        }
    }

    /// Gives up an entry; the broker may name it, if it was ever sent.
    pub(super) fn evict(&mut self, at: usize) {
        if self.entries[at].was_sent {
            self.remember(at);
        }
        self.entries[at].keep = Keep::Evicted;
    }

    /// What is to be sent at `cursor`. What was evicted there is declared lost first, under
    /// `number`, in a batch that is stored before it is sent.
    pub(super) fn read(&mut self, cursor: u8, number: u8) -> Option<Publish> {
        let at = self.entries.iter().position(|entry| entry.end() > cursor)?;
        if self.entries[at].keep == Keep::Evicted {
            let evicted = self.entries[at..].iter();
            let evicted = evicted.take_while(|entry| entry.keep == Keep::Evicted);
            let end = evicted.last().map_or(cursor, Entry::end);
            self.put_loss(cursor, end, number);
            return self.read(cursor, number);
        }
        let entry = &mut self.entries[at];
        entry.was_sent = true;
        Some(Publish {
            generation: self.generation,
            first: entry.first,
            records: entry.records.clone(),
            loss: entry.loss,
        })
    }

    /// What the broker's answer to `resume` means, and does; true if the histories have forked.
    pub(super) fn handshake(&mut self, view: &View, answer: &ResumeAnswer, number: u8) -> bool {
        let next = small(answer.next);
        match decide(view, answer) {
            Decision::Repair(_) => return true,
            Decision::Declare { from, to, .. } => self.put_loss(small(from), small(to), number),
            Decision::Send(_) => {
                if let Some(cut) = self
                    .entries
                    .iter()
                    .find(|entry| entry.first < next && next < entry.end())
                    && cut.loss.is_some()
                {
                    self.put_loss(next, cut.end(), number);
                }
            }
        }
        self.arrived_after_all(next, answer.crc);
        false
    }

    /// The log as the decision wants it, for an answer that says `next`.
    pub(super) fn view(&self, next: u8) -> View {
        let held = self.entries.iter().filter(|entry| entry.is_here());
        let ends = held.clone().filter(|entry| entry.end() == next);
        let remembered = self.remembered.iter().filter(|(end, _)| *end == next);
        let below: Vec<u32> = remembered
            .map(|(_, crc)| *crc)
            .chain(ends.map(|entry| crc::of_entry(self.generation, entry)))
            .collect();
        let not_gone = self
            .entries
            .iter()
            .filter(|entry| entry.keep != Keep::Trimmed);
        let oldest = not_gone
            .clone()
            .next()
            .map_or_else(|| self.sealed(), |entry| entry.first);
        let at_boundary = !below.is_empty()
            || next == self.sealed()
            || not_gone.clone().any(|entry| entry.first == next);
        View {
            base: Position::ZERO,
            acked: Position(self.acked().into()),
            oldest: Position(oldest.into()),
            sealed: Position(self.sealed().into()),
            below,
            at_boundary,
            topic_id: Some(TOPIC_ID),
        }
    }

    /// Goes on under a new generation, from position 0: what is not acknowledged is stamped anew,
    /// and what is evicted or declared and not confirmed is taken along. Positions that a batch
    /// would have to leave out at the end of an epoch are declared, under `number`.
    pub(super) fn repair(&mut self, generation: u8, wrap: u8, number: u8) {
        let old = std::mem::take(&mut self.entries);
        for entry in old
            .into_iter()
            .filter(|entry| matches!(entry.keep, Keep::Held | Keep::Evicted))
        {
            let is_lost = entry.loss.is_some() || entry.keep == Keep::Evicted;
            let room = wrap - self.sealed() % wrap;
            if !is_lost && usize::from(room) < entry.records.len() {
                self.push(vec![NO_RECORD; room.into()]);
                self.last_mut().loss = Some(number);
            }
            self.push(entry.records);
            if is_lost {
                self.last_mut().keep = Keep::Evicted;
            }
        }
        self.generation = generation;
        self.remembered.clear();
    }

    /// A loss, made now and durable, in place of whatever lies in its range.
    fn put_loss(&mut self, from: u8, to: u8, number: u8) {
        self.split(from);
        self.split(to);
        let mut records = vec![NO_RECORD; (to - from).into()];
        let mut place = |entry: &Entry| {
            let is_inside = from <= entry.first && entry.end() <= to;
            if is_inside {
                let at = usize::from(entry.first - from);
                records[at..at + entry.records.len()].copy_from_slice(&entry.records);
            }
            !is_inside
        };
        self.entries.retain(&mut place);
        let at = self.entries.partition_point(|entry| entry.first < from);
        let loss = Entry {
            first: from,
            records,
            loss: Some(number),
            was_sent: false,
            keep: Keep::Held,
        };
        self.entries.insert(at, loss);
    }

    /// Makes `at` a boundary between entries: what is below it went its own way.
    fn split(&mut self, at: u8) {
        let Some(index) = self
            .entries
            .iter()
            .position(|entry| entry.first < at && at < entry.end())
        else {
            return;
        };
        let mut below = self.entries[index].clone();
        let above = &mut self.entries[index];
        above.records = below.records.split_off((at - below.first).into());
        above.first = at;
        (below.keep, below.loss) = (Keep::Trimmed, None);
        self.entries.insert(index, below);
    }

    /// The broker's last entry is the batch in whose place a loss was declared.
    fn arrived_after_all(&mut self, next: u8, crc: Option<u32>) {
        let generation = self.generation;
        let mine = self.entries.iter_mut().find(|entry| entry.end() == next);
        if let Some(entry) = mine
            && entry.loss.is_some()
            && entry.keep == Keep::Held
            && Some(crc::of_entry(generation, entry)) != crc
        {
            (entry.keep, entry.loss) = (Keep::Trimmed, None);
        }
    }

    fn trim(&mut self, at: usize) {
        self.remember(at);
        self.entries[at].keep = Keep::Trimmed;
        let end = self.entries[at].end();
        self.remembered.retain(|(other, _)| *other >= end);
    }

    fn remember(&mut self, at: usize) {
        let header = (
            self.entries[at].end(),
            crc::of_entry(self.generation, &self.entries[at]),
        );
        if !self.remembered.contains(&header) {
            self.remembered.push(header);
            self.remembered.sort_unstable();
        }
    }

    /// Acknowledged entries that lie below this one, and are kept.
    fn below(&self, at: usize) -> usize {
        self.entries[..at]
            .iter()
            .filter(|entry| entry.keep == Keep::Acked)
            .count()
    }

    fn last_mut(&mut self) -> &mut Entry {
        self.entries.last_mut().expect("just pushed")
    }
}

impl Entry {
    /// Its bytes lie on the disk.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.keep, Keep::Held | Keep::Acked)
    }
}

impl Agent {
    /// Records that its disk still answers for, or could.
    pub(super) fn records(&self) -> impl Iterator<Item = &u8> {
        let sealed = self.disk.entries.iter().flat_map(|entry| &entry.records);
        sealed.chain(&self.disk.open)
    }
}

/// The stream's identity: it is never made again here.
pub(super) const TOPIC_ID: TopicId = TopicId([1; 16]);

fn small(position: Position) -> u8 {
    u8::try_from(position.0).expect("a few positions")
}
