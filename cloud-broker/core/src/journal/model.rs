//! Producers and lanes against a reference that keeps everything and forgets nothing, with
//! commits, failed writes, and crashes after which the state is rebuilt from a snapshot and the
//! entries behind it.

use std::collections::BTreeSet;

use headwater_wire::batch::Producer;
use headwater_wire::uplink::LANE_ID_BASE;

use super::tests::{EVENTS, batch, id, journal, lane_batch, loss, name, partition, resume};
use super::*;
use crate::Entry;
use crate::producers::EXPIRATION_MS;
use crate::segments::JUMP_MS;
use crate::submit::{LaneBatch, Request};
use crate::{LaneName, LaneOutcome, Refusal};

const SEEDS: u64 = 300;
const STEPS: usize = 120;

#[test]
fn decisions_are_those_of_the_reference_also_after_a_crash() {
    let mut seen = BTreeSet::new();
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.end_chunk();
        seen.extend(world.seen);
    }
    assert_eq!(
        seen.len(),
        12,
        "every row of both tables was reached: {seen:?}"
    );
}

/// One batch that was appended.
#[derive(Clone, Debug)]
struct Kept {
    partition: PartitionId,
    id: i64,
    epoch: i16,
    /// Sequences of a producer, positions of a lane.
    first: u64,
    last: u64,
    crc: u32,
    base_offset: i64,
    count: i64,
    arrival: Millis,
}

struct World {
    seed: u64,
    random: u64,
    now: Millis,
    journal: Journal,
    /// What the reference knows: everything, and who opened which lane last.
    log: Vec<Kept>,
    open: Vec<(i64, u64)>,
    committed: usize,
    /// What a store would hold.
    snapshots: Vec<ShardState>,
    covered: usize,
    entries: Vec<Entry>,
    in_chunk: bool,
    /// Kinds of decisions that were made.
    seen: BTreeSet<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let journal = journal();
        let snapshots = (0..16).map(|shard| journal.snapshot(shard)).collect();
        Self {
            seed,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            now: Millis(1000),
            journal,
            log: Vec::new(),
            open: Vec::new(),
            committed: 0,
            snapshots,
            covered: 0,
            entries: Vec::new(),
            in_chunk: false,
            seen: BTreeSet::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn step(&mut self) {
        if !self.in_chunk {
            self.in_chunk = true;
            let jump = if self.below(40) == 0 {
                EXPIRATION_MS
            } else {
                10
            };
            // Clocks go back too.
            let step = i64::try_from(self.below(jump.unsigned_abs() + 1)).unwrap();
            self.now = self.now.plus(step - jump / 3);
            self.journal.begin(self.now);
        }
        match self.below(8) {
            0..4 => self.agent(),
            4..7 => self.producer(),
            _ => self.end_chunk(),
        }
    }

    fn end_chunk(&mut self) {
        self.in_chunk = false;
        let draft = self.journal.finish();
        if self.below(5) == 0 {
            self.journal.fail();
            self.log.truncate(self.committed);
            self.open.clear();
        } else {
            self.journal.commit();
            self.committed = self.log.len();
            self.entries
                .extend(draft.into_iter().flat_map(|draft| draft.entries));
        }
        if self.below(4) == 0 {
            self.journal.expire(self.now);
            self.snapshots = self.states();
            self.covered = self.entries.len();
        }
        if self.below(4) == 0 {
            self.crash();
        }
    }

    fn states(&self) -> Vec<ShardState> {
        (0..16).map(|shard| self.journal.snapshot(shard)).collect()
    }

    fn crash(&mut self) {
        let mut recovery = Recovery::default();
        self.snapshots
            .iter()
            .for_each(|state| recovery.load(state.clone()));
        let place = crate::tail_index::Place {
            journal: 0,
            seq: 0,
            pos: 0,
            len: 1,
        };
        for (at, entry) in self.entries.iter().enumerate() {
            recovery
                .handle_entry(entry, place, at < self.covered)
                .unwrap();
        }
        let settings = Settings {
            epochs: vec![3; 16],
            lanes_per_device: 2,
        };
        let recovered = recovery.finish(Vec::new(), settings).unwrap();
        let before = std::mem::replace(&mut self.journal, recovered.journal);
        let of_events = |journal: &Journal| -> Vec<_> {
            let states = (0..16).flat_map(|shard| journal.snapshot(shard).partitions);
            states.filter(|state| state.topic == EVENTS).collect()
        };
        assert_eq!(
            of_events(&self.journal),
            of_events(&before),
            "seed {}",
            self.seed
        );
        // Bindings lie in payloads, which this test does not keep.
        self.journal.bindings = before.bindings;
        for (at, index) in recovered.indexes.iter().enumerate() {
            let next = self.journal.log.parts[at].next_offset;
            assert_eq!(
                index.end(),
                next,
                "the high watermark is where the next record goes"
            );
        }
        self.open.clear();
    }

    // ---- Kafka producers

    fn producer(&mut self) {
        let number = u32::try_from(self.below(2)).unwrap();
        let partition = partition(&self.journal, number);
        let id = i64::try_from(self.below(3)).unwrap() - 1;
        let mine = |kept: &&Kept| (kept.partition, kept.id) == (partition, id);
        let last = self.log.iter().rfind(mine).cloned();
        let (epoch, next) = last
            .as_ref()
            .map_or((0, 0), |last| (last.epoch, (last.last + 1) % (1 << 31)));
        let epoch = epoch + [0, 0, 0, 0, 0, 1, -1][usize::try_from(self.below(7)).unwrap()];
        let first = match self.below(4) {
            0 => self.old_first(|kept| (kept.partition, kept.id) == (partition, id)),
            1 => [0, next + 1, (1 << 31) - 2][usize::try_from(self.below(3)).unwrap()],
            _ => next,
        };
        let (count, salt) = (1 + self.below(3), self.below(3));
        let sequence = i32::try_from(first % (1 << 31)).unwrap();
        let producer = match id {
            -1 => Producer::NONE,
            _ => Producer {
                id,
                epoch: epoch.max(0),
                base_sequence: sequence,
            },
        };
        let bytes = batch(producer, usize::try_from(count).unwrap(), salt);
        let header = Header::parse_exact(&bytes).unwrap();
        let arrival = self.arrival(partition);
        let expected = self.expect_producer(partition, &header, arrival);
        let placed = self.journal.append(partition, &bytes, Vec::new());
        assert_eq!(placed, expected, "seed {} {header:?}", self.seed);
        self.saw("producer", &placed.map(|placed| placed.duplicate));
        if let Ok(Placed {
            base_offset,
            duplicate: false,
            ..
        }) = placed
        {
            let first = u64::try_from(header.base_sequence.max(0)).unwrap();
            let last = u64::try_from(header.last_sequence().max(0)).unwrap();
            self.keep(partition, &header, first, last, base_offset, arrival);
        }
    }

    /// The table of `kafka.md` 3.3, row by row.
    fn expect_producer(
        &self,
        partition: PartitionId,
        header: &Header,
        arrival: Millis,
    ) -> Result<Placed, AppendRefusal> {
        let new = Ok(Placed {
            base_offset: self.end(partition),
            log_start: 0,
            duplicate: false,
        });
        let mut known: Vec<&Kept> = Vec::new();
        for kept in &self.log {
            if (kept.partition, kept.id) != (partition, header.producer_id) {
                continue;
            }
            let silent = known.last().is_some_and(|last: &&Kept| {
                kept.arrival.since(last.arrival) > EXPIRATION_MS || kept.epoch != last.epoch
            });
            if silent {
                known.clear();
            }
            known.push(kept);
        }
        let Some(last) = known.last().filter(|_| header.producer_id >= 0) else {
            return new;
        };
        if arrival.since(last.arrival) > EXPIRATION_MS {
            return new;
        }
        let first = u64::from(header.base_sequence.unsigned_abs());
        let last_sequence = u64::from(header.last_sequence().unsigned_abs());
        if header.producer_epoch < last.epoch {
            return Err(AppendRefusal::OldEpoch);
        }
        if header.producer_epoch > last.epoch {
            return if first == 0 {
                new
            } else {
                Err(AppendRefusal::OutOfOrder)
            };
        }
        let five = &known[known.len().saturating_sub(5)..];
        if let Some(same) = five
            .iter()
            .find(|kept| (kept.first, kept.last) == (first, last_sequence))
        {
            return Ok(Placed {
                base_offset: same.base_offset,
                log_start: 0,
                duplicate: true,
            });
        }
        match first == (last.last + 1) % (1 << 31) {
            true => new,
            false => Err(AppendRefusal::OutOfOrder),
        }
    }

    // ---- agents' lanes

    fn agent(&mut self) {
        let device = ["gw-1", "gw-2", "gw-3"][usize::try_from(self.below(3)).unwrap()];
        let lane = name(device, 0);
        let connection = 1 + self.below(2);
        match self.below(6) {
            0 => self.resume(&lane, connection),
            1 if self.below(4) == 0 => {
                self.open.retain(|(_, held)| *held != connection);
                self.journal.handle_request(Request::Closed { connection });
            }
            _ => {
                let batch = self.some_batch(&lane, connection);
                self.lane_batch(batch);
            }
        }
    }

    fn resume(&mut self, lane: &LaneName, connection: u64) {
        let entries = self.entries_of(id(lane));
        let next = entries.last().map_or(0, |last| last.last + 1);
        let crc = entries.last().map(|last| last.crc);
        let expected = LaneOutcome::Resumed {
            next,
            crc,
            topic_id: EVENTS,
            generation: None,
        };
        let outcome = self.journal.handle_request(resume(lane, connection));
        assert_eq!(outcome, Some(expected), "seed {}", self.seed);
        self.open.retain(|(held, _)| *held != id(lane));
        self.open.push((id(lane), connection));
    }

    /// A batch or a loss that begins at, below or above the next position.
    fn some_batch(&mut self, lane: &LaneName, connection: u64) -> LaneBatch {
        let lane_id = id(lane);
        let next = self
            .entries_of(lane_id)
            .last()
            .map_or(0, |last| last.last + 1);
        let first = match self.below(5) {
            0 => self.old_first(|kept| kept.id == lane_id),
            1 => (next + self.below(5)).saturating_sub(2),
            _ => next,
        };
        let (count, salt) = (1 + self.below(3), self.below(2));
        match self.below(4) {
            0 => loss(lane, connection, first, first + count * 3, salt),
            _ => lane_batch(
                lane,
                connection,
                first,
                usize::try_from(count).unwrap(),
                salt,
            ),
        }
    }

    fn lane_batch(&mut self, batch: LaneBatch) {
        let partition = self
            .journal
            .catalog()
            .by_name("events")
            .unwrap()
            .partition_for_client(&batch.name.device);
        let arrival = self.arrival(partition);
        let range = headwater_wire::uplink::BatchRange::of(&batch.header).unwrap();
        let payload = batch::payload(&batch.header, &batch.bytes);
        let lost = headwater_wire::uplink::loss_range(&batch.header, payload);
        let first = lost.map_or(range.first.0, |lost| lost.from.0);
        let (last, header) = (range.last().0, batch.header);
        let base_offset = self.end(partition);
        let expected = self.expect_lane(&batch, first, last, lost.is_some());
        let outcome = self.journal.handle_request(Request::Batch(batch)).unwrap();
        assert_eq!(outcome, expected, "seed {} {first}..={last}", self.seed);
        let kind = if lost.is_some() { "loss" } else { "batch" };
        match outcome {
            LaneOutcome::Appended { .. } => self.saw(kind, &"appended"),
            LaneOutcome::Duplicate { .. } => self.saw(kind, &"duplicate"),
            LaneOutcome::Refused(refusal) => self.saw(kind, &refusal.error()),
            _ => {}
        }
        match outcome {
            LaneOutcome::Appended { .. } => {
                self.keep(partition, &header, first, last, base_offset, arrival);
            }
            LaneOutcome::Refused(Refusal::Conflict { .. }) => {
                self.open.retain(|(held, _)| *held != header.producer_id);
            }
            _ => {}
        }
    }

    /// The table of `kafka.md` 3.4(6) and (7), row by row.
    fn expect_lane(&self, batch: &LaneBatch, first: u64, last: u64, loss: bool) -> LaneOutcome {
        let lane = batch.header.producer_id;
        if !self.open.contains(&(lane, batch.connection)) {
            return LaneOutcome::Refused(Refusal::Stale);
        }
        let all = self.entries_of(lane);
        let next = all.last().map_or(0, |entry| entry.last + 1);
        let five = &all[all.len().saturating_sub(5)..];
        let crc = batch.header.crc;
        if five
            .iter()
            .any(|kept| (kept.first, kept.last, kept.crc) == (first, last, crc))
        {
            return LaneOutcome::Duplicate { next };
        }
        if first == next {
            return LaneOutcome::Appended { next: last + 1 };
        }
        let refusal = if loss {
            Refusal::Stale
        } else if first > next {
            Refusal::OutOfOrder { next }
        } else if (first..=last).any(|at| {
            at >= next
                || five
                    .iter()
                    .any(|kept| (kept.first..=kept.last).contains(&at))
        }) {
            Refusal::Conflict { next }
        } else {
            Refusal::Stale
        };
        LaneOutcome::Refused(refusal)
    }

    fn saw(&mut self, kind: &str, outcome: &impl std::fmt::Debug) {
        self.seen.insert(format!("{kind} {outcome:?}"));
    }

    // ---- the reference's log

    fn entries_of(&self, lane: i64) -> Vec<&Kept> {
        self.log
            .iter()
            .filter(|kept| kept.id == lane && lane >= LANE_ID_BASE)
            .collect()
    }

    fn old_first(&mut self, mine: impl Fn(&Kept) -> bool) -> u64 {
        let mine: Vec<u64> = self
            .log
            .iter()
            .rev()
            .filter(|kept| mine(kept))
            .map(|kept| kept.first)
            .take(7)
            .collect();
        match u64::try_from(mine.len()).unwrap() {
            0 => 0,
            count => mine[usize::try_from(self.below(count)).unwrap()],
        }
    }

    fn end(&self, partition: PartitionId) -> i64 {
        let mine = self.log.iter().filter(|kept| kept.partition == partition);
        mine.map(|kept| kept.count).sum()
    }

    fn arrival(&self, partition: PartitionId) -> Millis {
        let mut mine = self.log.iter().filter(|kept| kept.partition == partition);
        let latest = mine.next_back().map(|kept| kept.arrival);
        let kept = latest.filter(|latest| latest.since(self.now) <= JUMP_MS);
        kept.map_or(self.now, |latest| latest.max(self.now))
    }

    fn keep(
        &mut self,
        partition: PartitionId,
        header: &Header,
        first: u64,
        last: u64,
        base_offset: i64,
        arrival: Millis,
    ) {
        self.log.push(Kept {
            partition,
            id: header.producer_id,
            epoch: header.producer_epoch,
            first,
            last,
            crc: header.crc,
            base_offset,
            count: i64::from(header.record_count),
            arrival,
        });
    }
}
