//! Streams that are deleted, made again, and read back.

use super::*;
use crate::tail_index::Place;

/// What was written, as a store would hold it.
#[derive(Default)]
struct Log(Vec<Draft>);

impl Log {
    /// Commits the open chunk and opens the next.
    fn commit(&mut self, journal: &mut Journal) -> Changes {
        self.0.extend(journal.finish());
        let changes = journal.commit();
        journal.begin(Millis(0));
        changes
    }

    /// Reads everything back, on top of snapshots that were taken after `covered` chunks.
    fn recover(&self, snapshots: &[ShardState], covered: usize) -> Recovered {
        let mut recovery = Recovery::default();
        snapshots
            .iter()
            .for_each(|state| recovery.load(state.clone()));
        for (seq, draft) in (0..).zip(&self.0) {
            for entry in &draft.entries {
                let (pos, len) = (entry.pos, entry.len);
                let place = Place {
                    journal: 0,
                    seq,
                    pos,
                    len,
                };
                let is_covered = usize::try_from(seq).unwrap() < covered;
                if recovery.handle_entry(entry, place, is_covered).unwrap() {
                    read_internal(&mut recovery, draft, entry);
                }
            }
        }
        let settings = Settings {
            epochs: vec![4; 16],
            lanes_per_device: 2,
        };
        recovery
            .finish(vec!["events".to_owned()], settings)
            .unwrap()
    }
}

fn read_internal(recovery: &mut Recovery, draft: &Draft, entry: &crate::Entry) {
    let bytes = &draft.payload[entry.pos as usize..][..entry.len as usize];
    let header = Header::parse_exact(bytes).unwrap();
    let mut payload = batch::payload(&header, bytes).to_vec();
    if header.codec() == Ok(Codec::Zstd) {
        let compressed = std::mem::take(&mut payload);
        let mut decompressor = batch::Decompressor::new();
        let opened = decompressor.decompress_into(&compressed, &mut payload, 1 << 20);
        opened.unwrap();
    }
    for record in records(&header, &payload) {
        let record = record.unwrap();
        let offset = entry.base_offset + i64::from(record.offset_delta);
        let key = record.key.unwrap();
        recovery.handle_record(entry, offset, record.timestamp, key, record.value);
    }
}

fn snapshots(journal: &Journal) -> Vec<ShardState> {
    (0..16).map(|shard| journal.snapshot(shard)).collect()
}

/// A journal with a batch of a producer and one of a lane in `events`.
fn with_data() -> (Journal, Log, PartitionId) {
    let mut journal = journal_in(&mut Log::default());
    let (mut log, place) = (Log::default(), partition(&journal, 0));
    // The streams of `journal` were not kept: make them again as changes.
    for stream in ["events", "by-topic"] {
        let stream = Arc::clone(journal.catalog().by_name(stream).unwrap());
        journal.create_stream(stream.id, stream.spec.clone());
    }
    let producer = Producer {
        id: 7,
        epoch: 0,
        base_sequence: 0,
    };
    journal
        .append(place, &batch(producer, 2, 1), Vec::new())
        .unwrap();
    let gw = name("gw-1", 0);
    assert!(journal.handle_request(resume(&gw, 1)).is_some());
    let appended = journal.handle_request(Request::Batch(lane_batch(&gw, 1, 0, 3, 1)));
    assert_eq!(appended, Some(LaneOutcome::Appended { next: 3 }));
    log.commit(&mut journal);
    (journal, log, place)
}

fn journal_in(log: &mut Log) -> Journal {
    let mut journal = journal();
    journal.begin(Millis(0));
    log.commit(&mut journal);
    journal
}

#[test]
fn a_deleted_stream_takes_nothing_and_lets_everything_go() {
    let (mut journal, mut log, place) = with_data();
    let gw = name("gw-1", 0);
    assert!(journal.delete_stream(&EVENTS));
    assert!(!journal.delete_stream(&EVENTS), "once");
    let refused = journal.append(place, &batch(Producer::NONE, 1, 1), Vec::new());
    assert_eq!(refused, Err(AppendRefusal::NoPartition));
    let mut buffer = Buffer::default();
    let headers: [(&str, Option<&[u8]>); 0] = [];
    let record = PlainRecord {
        topic: "t",
        value: b"v",
        headers,
    };
    buffer.publish(place, record);
    assert!(journal.take(&mut buffer, &mut Vec::new()));
    for request in [resume(&gw, 1), Request::Batch(lane_batch(&gw, 1, 3, 1, 1))] {
        let outcome = journal.handle_request(request);
        assert_eq!(outcome, Some(LaneOutcome::Refused(Refusal::NoStream)));
    }
    let changes = log.commit(&mut journal);
    assert!(changes.catalog && changes.lanes.is_empty());
    assert_eq!(changes.deleted, ["events"]);
    assert_eq!(journal.bindings.lanes_of("gw-1"), 0);
    let states = snapshots(&journal);
    let left: Vec<_> = states.iter().flat_map(|state| &state.partitions).collect();
    assert!(left.iter().all(|state| state.topic != EVENTS));
    let records = left.iter().flat_map(|state| &state.records);
    let keys: Vec<_> = records.map(|record| record.key.as_slice()).collect();
    assert_eq!(keys, [b"by-topic"], "neither the stream nor its binding");
}

#[test]
fn internal_streams_stay() {
    let mut journal = journal_in(&mut Log::default());
    for (id, _) in catalog::internal_streams() {
        assert!(!journal.delete_stream(&id));
    }
    assert!(!journal.delete_stream(&[77; 16]));
    assert!(journal.finish().is_none());
}

#[test]
fn a_deletion_that_was_not_written_has_not_been() {
    let (mut journal, mut log, place) = with_data();
    let before = snapshots(&journal_after(&mut journal, &mut log));
    let spec = journal.catalog().by_id(&EVENTS).unwrap().spec.clone();
    journal
        .append(place, &batch(Producer::NONE, 1, 1), Vec::new())
        .unwrap();
    journal.delete_stream(&EVENTS);
    journal.create_stream([5; 16], spec);
    journal.delete_stream(&[5; 16]);
    journal.finish();
    journal.fail();
    assert_eq!(snapshots(&journal), before);
    assert_eq!(journal.catalog().by_name("events").unwrap().id, EVENTS);
    assert_eq!(journal.bindings.lanes_of("gw-1"), 1);
    journal.begin(Millis(0));
    let placed = journal.append(place, &batch(Producer::NONE, 1, 1), Vec::new());
    assert_eq!(placed.unwrap().base_offset, 2, "as if nothing had been");
}

/// A copy of the state between two chunks, by way of its snapshots.
fn journal_after(journal: &mut Journal, log: &mut Log) -> Journal {
    log.commit(journal);
    log.recover(&snapshots(journal), log.0.len()).journal
}

#[test]
fn a_stream_made_again_is_another_also_when_read_back() {
    for snapshot_after in 0..4 {
        let (mut journal, mut log, old) = with_data();
        let mut kept = (snapshots(&journal_in(&mut Log::default())), 0);
        let mut steps = 0;
        let mut step = |journal: &mut Journal, log: &mut Log| {
            log.commit(journal);
            steps += 1;
            if steps == snapshot_after {
                kept = (snapshots(journal), log.0.len());
            }
        };
        step(&mut journal, &mut log);
        journal.delete_stream(&EVENTS);
        step(&mut journal, &mut log);
        let spec = StreamSpec {
            partitions: 2,
            ..StreamSpec::new("events")
        };
        journal.create_stream([5; 16], spec);
        let gw = name("gw-1", 0);
        let stale = journal.handle_request(Request::Batch(lane_batch(&gw, 1, 3, 1, 1)));
        assert_eq!(
            stale,
            Some(LaneOutcome::Refused(Refusal::Stale)),
            "shake hands first"
        );
        let resumed = journal.handle_request(resume(&gw, 1));
        let expected = LaneOutcome::Resumed {
            next: 0,
            crc: None,
            topic_id: [5; 16],
            generation: None,
        };
        assert_eq!(resumed, Some(expected));
        let appended = journal.handle_request(Request::Batch(lane_batch(&gw, 1, 0, 1, 1)));
        assert_eq!(appended, Some(LaneOutcome::Appended { next: 1 }));
        step(&mut journal, &mut log);
        let (states, covered) = kept;
        let recovered = log.recover(&states, covered);
        let again = &recovered.journal;
        assert_eq!(snapshots(again), snapshots(&journal), "{snapshot_after}");
        assert_eq!(again.catalog().by_name("events").unwrap().id, [5; 16]);
        assert!(again.catalog().by_id(&EVENTS).is_none());
        assert_eq!(again.catalog().partitions(), recovered.indexes.len());
        assert_eq!(recovered.lanes.len(), 1);
        assert_eq!(recovered.lanes[0].next, 1);
        assert!(again.catalog().partition(&[5; 16], 0) != Some(old));
        let ends: i64 = recovered.indexes[33..]
            .iter()
            .map(|index| index.end())
            .sum();
        assert_eq!(ends, 1, "nothing of the old stream's records");
    }
}
