//! Opening: what the journal and the segments hold becomes the lanes again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_agent_core::loss::Loss;
use headwater_agent_core::rate::Rate;
use headwater_wire::batch::Compressor;
use headwater_wire::time::Millis;
use headwater_wire::uplink::{BatchRange, LossReason, LostRange, Position};

use super::cursor::Cursors;
use super::lane::Entry;
use super::{Engine, Lane, Rates};
use crate::log::device::{IDENTITY_FILE, Identity};
use crate::log::error::{OpenError, is_damage};
use crate::log::lock::{DirLock, hold};
use crate::log::options::{LogOptions, MAX_BYTES_MIN};
use crate::log::segments::{Reader, SEGMENT_RECORDS_MAX, Segments, Store, parse_dir_name};
use crate::log::space::Meter;
use crate::log::tail::{Journal, LaneRecord, Section, is_journal_file, lost, range};

/// What the journal says of a lane.
#[derive(Default)]
struct Tail {
    record: LaneRecord,
    sealed: Vec<SealedBatch>,
    losses: Vec<SealedBatch>,
    /// Open records, by batches that never travel.
    events: Vec<SealedBatch>,
}

impl Tail {
    /// Of a lane of which the journal says nothing, though there are segments: everything in them
    /// may have been sent.
    fn unknown() -> Self {
        Self {
            record: LaneRecord {
                sent: Position::END,
                ..LaneRecord::default()
            },
            ..Self::default()
        }
    }

    /// No position below may be given out again. The journal says how far it went; where it does
    /// not, a last segment that is `damaged` from there on may have had any number of records.
    fn floor(&self, damaged: Option<Position>) -> Position {
        let record = &self.record;
        let reached = damaged.map(|first| match record.sent {
            Position::END => Position(first.0.saturating_add(SEGMENT_RECORDS_MAX)),
            sent => sent,
        });
        record.open_first.max(reached.unwrap_or(Position(0)))
    }
}

/// Where a lane's segments end.
struct SegmentsEnd {
    at: Position,
    /// From where on the last one is damaged, and why nothing of it can be read.
    damage: Option<(Position, Option<io::Error>)>,
}

fn end_of(segments: &mut Segments, tail: &Tail, gone: Position) -> io::Result<SegmentsEnd> {
    let record = &tail.record;
    let sealed = tail.sealed.first();
    let in_tail = sealed.map_or(record.open_first, |batch| batch.first);
    let in_tail = in_tail.max(gone);
    match segments.recover((record.fence_serial, record.fence_at), gone) {
        Ok(last) => {
            let at = last.map_or(in_tail, |last| last.next);
            let damage = segments.is_cut().then_some((at, None));
            Ok(SegmentsEnd { at, damage })
        }
        Err(error) if is_damage(&error) => {
            let at = segments.last_first().unwrap_or(in_tail);
            Ok(SegmentsEnd {
                at,
                damage: Some((at, Some(error))),
            })
        }
        Err(error) => Err(error),
    }
}

/// What was found wrong, to be told.
type Alarms = Vec<(&'static str, String)>;

impl Engine {
    /// Opens the log, or creates it. When this returns, a checkpoint holds everything live.
    pub(in crate::log) fn open(options: LogOptions) -> Result<Self, OpenError> {
        let max_bytes = options.max_bytes;
        if max_bytes < MAX_BYTES_MIN {
            let least = MAX_BYTES_MIN;
            return Err(OpenError::TooSmall { max_bytes, least });
        }
        let dir = options.dir.clone();
        let lock = lock(&options)?;
        let fail = |source| OpenError::Io {
            file: dir.clone(),
            source,
        };
        let names = options.disk.list(&dir).map_err(fail)?;
        let identity = identity(&options, &names)?;
        let meter = Meter::default();
        let (journal, found) =
            Journal::open(&options.disk, dir.clone(), identity.id, meter.clone())?;
        let mut alarms = Alarms::new();
        alarms.extend(
            found
                .damage
                .iter()
                .map(|damage| ("damaged", damage.to_string())),
        );
        let (mut tails, cursors) = read_tails(found.frames, &mut alarms);
        for name in names.iter().filter_map(|name| parse_dir_name(name)) {
            tails.entry(name).or_insert_with(Tail::unknown);
        }
        let mut engine = Self::empty(options, identity, journal, meter, lock);
        engine.cursors = cursors;
        engine.recover(tails, &mut alarms).map_err(fail)?;
        for (code, text) in alarms {
            engine.alarm(code, text);
        }
        engine.tell_repairs();
        Ok(engine)
    }

    fn empty(
        options: LogOptions,
        identity: Identity,
        journal: Journal,
        meter: Meter,
        lock: Arc<DirLock>,
    ) -> Self {
        let now = options.clock.now();
        let store = Store {
            disk: options.disk.clone(),
            dir: options.dir.clone(),
            log_id: identity.id,
            meter: meter.clone(),
        };
        Self {
            compressor: Compressor::new(options.zstd_level),
            rates: Rates {
                intake_bytes: Rate::new(now),
                acked_events: Rate::new(now),
            },
            options,
            identity,
            store,
            journal,
            lanes: BTreeMap::new(),
            cursors: Cursors::default(),
            reader: Reader::default(),
            meter,
            link_up: false,
            synced_commits: 0,
            alarms: Vec::new(),
            changed: true,
            retry_at: None,
            _lock: lock,
        }
    }

    fn recover(&mut self, tails: BTreeMap<LaneName, Tail>, alarms: &mut Alarms) -> io::Result<()> {
        let now = self.now();
        for (name, tail) in tails {
            self.limit_writers(&name);
            let lane = self.recover_lane(now, name, tail, alarms)?;
            self.lanes.insert(lane.name.clone(), lane);
        }
        self.checkpoint(now).map_err(io::Error::other)?;
        self.journal.prepare();
        Ok(())
    }

    fn recover_lane(
        &mut self,
        now: Millis,
        name: LaneName,
        mut tail: Tail,
        alarms: &mut Alarms,
    ) -> io::Result<Lane> {
        let gone = tail.record.trimmed.max(tail.record.evicted);
        tail.sealed.retain(|batch| batch.next > gone);
        let mut segments = Segments::open(self.store.clone(), name.clone())?;
        let SegmentsEnd { at, damage } = end_of(&mut segments, &tail, gone)?;
        let floor = tail.floor(damage.as_ref().map(|damage| damage.0));
        let (device, batch_bytes) = (&self.identity.device, self.options.batch_bytes);
        let mut lane = Lane::new(device, name, tail.record, segments, batch_bytes);
        lane.batcher.skip_to(at);
        lane.recover_losses(tail.losses);
        // What was declared lost before is not found once more.
        if let Some((first, Some(error))) = damage
            && !lane.not_declared(first, Position(first.0 + 1)).is_empty()
        {
            let text = format!("{}: last segment is damaged: {error}", lane.name);
            alarms.push(("damaged", text));
        }
        self.reopen(now, &mut lane, at, (tail.sealed, tail.events), alarms)?;
        self.skip(&mut lane, floor, alarms)?;
        lane.durable = lane.batcher.next();
        let acked = lane.record.acked.min(lane.sealed());
        lane.acknowledge(now, acked.max(lane.oldest()));
        lane.read_to = lane.acked;
        Ok(lane)
    }

    /// Takes what the journal holds of a lane behind its segments, which end at `from`: sealed
    /// batches, then events.
    fn reopen(
        &mut self,
        now: Millis,
        lane: &mut Lane,
        from: Position,
        (sealed, events): (Vec<SealedBatch>, Vec<SealedBatch>),
        alarms: &mut Alarms,
    ) -> io::Result<()> {
        for batch in sealed.into_iter().filter(|batch| batch.next > from) {
            self.skip(lane, batch.first, alarms)?;
            lane.batcher.skip_to(batch.next);
            lane.small.push_back(Entry::new(batch));
        }
        for batch in events.iter().filter(|batch| batch.next > from) {
            self.skip(lane, batch.first, alarms)?;
            lane.batcher.reopen(now, &batch.bytes);
        }
        Ok(())
    }

    /// Goes on at `to`. Positions in between that nothing holds are declared lost.
    fn skip(&mut self, lane: &mut Lane, to: Position, alarms: &mut Alarms) -> io::Result<()> {
        let from = lane.batcher.next();
        if to <= from {
            return Ok(());
        }
        while let Some(batch) = lane.batcher.poll_seal(&mut self.compressor) {
            lane.small.push_back(Entry::new(batch));
        }
        let declared = lane
            .losses
            .iter()
            .map(|loss| (loss.batch.first, loss.batch.next));
        let given_up = &lane.record.given_up;
        let given_up = given_up.iter().map(|loss| (loss.range.from, loss.range.to));
        let is_known = declared
            .chain(given_up)
            .any(|(first, next)| first <= from && to <= next);
        if !is_known {
            let range = LostRange { from, to };
            let reason = LossReason::Damaged;
            let loss = Loss {
                range,
                reason,
                first_ms: None,
                last_ms: None,
                crc: None,
            };
            alarms.push((
                "damaged",
                format!("{}: positions {range} are gone", lane.name),
            ));
            let wall_ms = self.options.clock.wall_ms().max(0);
            let batch = lane.loss_batch(&self.identity.device, &loss, wall_ms)?;
            lane.put_loss(batch);
        }
        lane.batcher.skip_to(to);
        Ok(())
    }
}

fn lock(options: &LogOptions) -> Result<Arc<DirLock>, OpenError> {
    match &options.lock {
        Some(held) => Ok(Arc::clone(held)),
        None => hold(&*options.disk, &options.dir).map(Arc::new),
    }
}

/// The log's name for itself: read, or made if the directory holds no log.
fn identity(options: &LogOptions, names: &[String]) -> Result<Identity, OpenError> {
    if let Some(identity) = Identity::read(&*options.disk, &options.dir)? {
        return Ok(identity);
    }
    let is_of_log = |name: &&String| is_journal_file(name) || parse_dir_name(name).is_some();
    if let Some(name) = names.iter().find(is_of_log) {
        return Err(OpenError::Damaged {
            file: options.dir.join(IDENTITY_FILE),
            what: format!("it is missing, though {name} is there"),
        });
    }
    Identity::create(&*options.disk, &options.dir, &options.device).map_err(|source| {
        OpenError::Io {
            file: options.dir.join(IDENTITY_FILE),
            source,
        }
    })
}

/// What the frames say of each lane, in order, and of the sources' cursors.
fn read_tails(frames: Vec<Bytes>, alarms: &mut Alarms) -> (BTreeMap<LaneName, Tail>, Cursors) {
    let mut tails: BTreeMap<LaneName, Tail> = BTreeMap::new();
    let mut cursors = Cursors::default();
    for mut body in frames {
        while !body.is_empty() {
            let Some(section) = Section::decode(&mut body) else {
                alarms.push((
                    "damaged",
                    "Journal frame has a section that is not known".into(),
                ));
                break;
            };
            match section {
                Section::State(name, record) => tails.entry(name).or_default().record = record,
                Section::Sealed(name, batch) => {
                    let range = range(&batch);
                    tails
                        .entry(name)
                        .or_default()
                        .sealed
                        .extend(entry(range, &batch));
                }
                Section::Loss(name, batch) => {
                    let range = lost(&batch);
                    tails
                        .entry(name)
                        .or_default()
                        .losses
                        .extend(entry(range, &batch));
                }
                Section::Events(name, batch) => {
                    let range = range(&batch);
                    tails
                        .entry(name)
                        .or_default()
                        .events
                        .extend(entry(range, &batch));
                }
                Section::Cursor(source, cursor) => cursors.recover(source, &cursor),
            }
        }
    }
    (tails, cursors)
}

/// A copy, since the bytes are part of a frame that would stay in memory with it.
fn entry(range: Option<BatchRange>, batch: &[u8]) -> Option<SealedBatch> {
    let BatchRange { first, next } = range?;
    Some(SealedBatch {
        first,
        next,
        bytes: Bytes::copy_from_slice(batch),
    })
}
