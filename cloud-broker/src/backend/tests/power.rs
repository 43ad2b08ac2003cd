//! Power loss by seed: what anybody was told, or has read, is there afterwards, once and in order.

use std::collections::BTreeMap;

use super::*;

const SEEDS: u64 = 40;
const LIVES: usize = 5;
const STEPS: usize = 12;

#[test]
fn nothing_acknowledged_or_read_is_lost_or_doubled() {
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        for _ in 0..LIVES {
            world.live();
            let change = 1 + world.chance.below(80);
            world.site.fall(change);
            world.check();
        }
        world.finish();
    }
}

/// An agent's lane as far as the broker sees it. Record n of it has the value `<device> n`.
struct Agent {
    name: LaneName,
    connection: u64,
    /// Everything below was acknowledged.
    acked: u64,
    /// Everything below was sent.
    sent: u64,
    /// First position of each batch that was sealed; they never change.
    sealed: Vec<u64>,
}

/// A Kafka producer with idempotence, one batch at a time; and a client that publishes.
#[derive(Default)]
struct Numbered {
    acked: u64,
    sent: u64,
}

struct World {
    site: Site,
    chance: Chance,
    connections: u64,
    agents: Vec<Agent>,
    producer: Numbered,
    publisher: Numbered,
    published: Vec<u64>,
    /// What was read, by partition and offset.
    seen: BTreeMap<(PartitionId, i64), String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut site = Site::new(seed);
        site.compact_after(1 + seed % 7);
        site.options.recent_bytes = if seed.is_multiple_of(2) { 0 } else { 1 << 20 };
        site.start().unwrap();
        let agent = |name| Agent {
            name: lane(name),
            connection: 0,
            acked: 0,
            sent: 0,
            sealed: Vec::new(),
        };
        Self {
            site,
            chance: Chance::new(seed),
            connections: 0,
            agents: vec![agent("gw-1"), agent("gw-2")],
            producer: Numbered::default(),
            publisher: Numbered::default(),
            published: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// One life: works until its steps are over or the power fails.
    fn live(&mut self) {
        self.site.power_off_at(1 + self.chance.below(60));
        let inbox = self.site.backend().inbox();
        for at in 0..self.agents.len() {
            if !self.shake_hands(at, &inbox) {
                return;
            }
        }
        for _ in 0..STEPS {
            if !self.step(&inbox) {
                return;
            }
            self.read();
        }
        if self.chance.below(2) == 0 {
            self.site.backend().stop();
        }
    }

    fn shake_hands(&mut self, at: usize, inbox: &Inbox) -> bool {
        self.connections += 1;
        let agent = &mut self.agents[at];
        agent.connection = self.connections;
        let (durable, answers) = ask(inbox, |submit| {
            submit.resume(1, resume(&agent.name, agent.connection))
        });
        if !durable {
            return false;
        }
        let [LaneOutcome::Resumed { next, .. }] = answers[..] else {
            panic!("{answers:?}")
        };
        assert!(
            agent.acked <= next && next <= agent.sent,
            "the broker knows what it said"
        );
        (agent.acked, agent.sent) = (next, next);
        true
    }

    /// Everybody sends something, all at once; then the answers come, or not.
    fn step(&mut self, inbox: &Inbox) -> bool {
        let mut submit = inbox.lock();
        for at in 0..self.agents.len() {
            for _ in 0..self.chance.below(3) {
                let count = 1 + self.chance.below(4);
                let batch = self.agents[at].next_batch(count);
                submit.lane_batch(at as u64, batch);
            }
        }
        let publishes = self.chance.below(4);
        let partition = self.site.events().partition_for_client("publisher");
        for n in self.publisher.sent..self.publisher.sent + publishes {
            publish(
                &mut submit,
                partition,
                "publisher/t",
                &format!("publisher {n}"),
            );
        }
        let ticket = submit.ticket();
        drop(submit);
        self.publisher.sent += publishes;
        let appended = self.append();
        let (durable, answers) = wait(settle(inbox, ticket));
        if !durable || !appended {
            return false;
        }
        self.published
            .extend(self.publisher.acked..self.publisher.sent);
        self.publisher.acked = self.publisher.sent;
        self.agents
            .iter_mut()
            .for_each(|agent| agent.acked = agent.sent);
        let good = |answer: &LaneOutcome| matches!(answer, LaneOutcome::Appended { .. });
        assert!(answers.iter().all(good), "{answers:?}");
        true
    }

    /// The producer sends its next batch, or the last one again.
    fn append(&mut self) -> bool {
        let again = self.producer.sent > 0 && self.chance.below(3) == 0;
        let n = self.producer.sent - u64::from(again);
        let base_sequence = i32::try_from(n).unwrap();
        let producer = Producer {
            id: 5,
            epoch: 0,
            base_sequence,
        };
        let partition = self.site.events().partition_for_client("producer");
        let batch = batch(producer, &[&format!("producer {n}")]);
        match wait(self.site.backend().append(partition, batch)) {
            Ok(appended) => {
                assert!(!again || appended.duplicate, "sent twice, appended once");
                self.producer.sent = n + 1;
                self.producer.acked = n + 1;
                true
            }
            Err(AppendError::Unavailable(_)) => {
                self.producer.sent = self.producer.sent.max(n + 1);
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn read(&mut self) {
        for partition in self.site.events().partitions.clone() {
            // The power may have failed behind the last commit.
            for (offset, _, value) in self.site.try_records(partition).unwrap_or_default() {
                self.seen.insert((partition, offset), value);
            }
        }
    }

    /// After a start: all is there, once and in order.
    fn check(&mut self) {
        let mut by_client: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for partition in self.site.events().partitions.clone() {
            for (offset, _, value) in self.site.records(partition) {
                let seen = self.seen.insert((partition, offset), value.clone());
                assert!(
                    seen.is_none_or(|seen| seen == value),
                    "what was read has changed"
                );
                let (client, n) = value.split_once(' ').unwrap();
                by_client
                    .entry(client.to_owned())
                    .or_default()
                    .push(n.parse().unwrap());
            }
        }
        let numbers = |client: &str| by_client.get(client).cloned().unwrap_or_default();
        for agent in &self.agents {
            let found = numbers(&agent.name.device);
            let end = u64::try_from(found.len()).unwrap();
            assert_eq!(found, (0..end).collect::<Vec<_>>(), "once and in order");
            assert!(agent.acked <= end && end <= agent.sent, "and no hole");
        }
        let found = numbers("producer");
        let end = u64::try_from(found.len()).unwrap();
        assert_eq!(found, (0..end).collect::<Vec<_>>(), "once and in order");
        assert!(self.producer.acked <= end && end <= self.producer.sent);
        // What the log has of an unanswered batch, the producer learns when it sends it again.
        self.producer.sent = end;
        let found = numbers("publisher");
        assert!(found.is_sorted(), "in order");
        assert!(
            self.published
                .iter()
                .all(|n| found.binary_search(n).is_ok()),
            "none lost"
        );
        // A plain client publishes again under a new number here, to tell the copies apart.
        self.publisher.acked = self.publisher.sent;
    }

    /// Everything drains once the power stays.
    fn finish(&mut self) {
        let inbox = self.site.backend().inbox();
        for at in 0..self.agents.len() {
            assert!(self.shake_hands(at, &inbox));
        }
        assert!(self.step(&inbox));
        self.site.restart();
        self.check();
        let inbox = self.site.backend().inbox();
        for at in 0..self.agents.len() {
            assert!(self.shake_hands(at, &inbox));
            self.send_last_again(at, &inbox);
        }
    }

    fn send_last_again(&mut self, at: usize, inbox: &Inbox) {
        let agent = &self.agents[at];
        let below = |first: &&u64| **first < agent.acked;
        let Some(first) = agent.sealed.iter().rev().find(below) else {
            return;
        };
        let batch = agent.batch(*first, agent.end_of(*first));
        let (_, answers) = ask(inbox, |submit| submit.lane_batch(1, batch));
        assert_eq!(answers, [LaneOutcome::Duplicate { next: agent.acked }]);
    }
}

impl Agent {
    /// The next batch to send: one that was sealed before, or a new one.
    fn next_batch(&mut self, count: u64) -> LaneBatch {
        let first = self.sent;
        if !self.sealed.contains(&first) {
            self.sealed.push(first);
            self.sent = first + count;
        } else {
            self.sent = self.end_of(first).max(first + 1);
        }
        self.sealed.push(self.sent);
        self.sealed.dedup();
        self.batch(first, self.sent)
    }

    fn end_of(&self, first: u64) -> u64 {
        self.sealed
            .iter()
            .copied()
            .find(|other| *other > first)
            .unwrap_or(first)
    }

    fn batch(&self, first: u64, end: u64) -> LaneBatch {
        let values: Vec<_> = (first..end)
            .map(|n| format!("{} {n}", self.name.device))
            .collect();
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        lane_batch(&self.name, self.connection, first, &values)
    }
}
