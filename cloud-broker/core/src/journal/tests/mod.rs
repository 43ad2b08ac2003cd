use bytes::Bytes;
use headwater_wire::batch::{BatchBuilder, Codec, Producer, records};
use headwater_wire::uplink::{LostRange, Position, producer_id};

mod deletion;
mod lanes;

use super::*;
use crate::catalog::StreamSpec;
use crate::submit::{LaneBatch, PlainRecord, Repair, RepairReason, Request, Resume};
use crate::{LaneName, LaneOutcome, Refusal};

pub(in crate::journal) const EVENTS: StreamId = [9; 16];

/// An empty journal with the stream `events` of two partitions, and `by-topic` of two.
pub(in crate::journal) fn journal() -> Journal {
    let settings = Settings {
        epochs: vec![3; 16],
        lanes_per_device: 2,
    };
    let recovered = Recovery::default()
        .finish(vec!["events".to_owned()], settings)
        .unwrap();
    let mut journal = recovered.journal;
    journal.begin(Millis(0));
    journal.create_stream(
        EVENTS,
        StreamSpec {
            partitions: 2,
            ..StreamSpec::new("events")
        },
    );
    let partition_by = catalog::PartitionBy::Topic;
    let by_topic = StreamSpec {
        partitions: 2,
        partition_by,
        ..StreamSpec::new("by-topic")
    };
    journal.create_stream([8; 16], by_topic);
    journal.finish();
    journal.commit();
    journal
}

pub(in crate::journal) fn partition(journal: &Journal, number: u32) -> PartitionId {
    journal.catalog().partition(&EVENTS, number).unwrap()
}

pub(in crate::journal) fn batch(producer: Producer, count: usize, salt: u64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder
            .push(5, Some(b"k"), Some(&salt.to_be_bytes()), [])
            .unwrap();
    }
    let mut bytes = Vec::new();
    builder.finish_into(producer, &mut bytes);
    bytes
}

pub(in crate::journal) fn name(device: &str, generation: u32) -> LaneName {
    let [device, stream, lane] = [device, "events", "main"].map(str::to_owned);
    LaneName {
        device,
        stream,
        lane,
        generation,
    }
}

pub(in crate::journal) fn id(name: &LaneName) -> i64 {
    producer_id(&name.device, &name.stream, &name.lane, name.generation)
}

pub(in crate::journal) fn lane_batch(
    name: &LaneName,
    connection: u64,
    first: u64,
    count: usize,
    salt: u64,
) -> LaneBatch {
    let bytes = batch(Position(first).producer(id(name)).unwrap(), count, salt);
    let header = Header::parse_exact(&bytes).unwrap();
    LaneBatch {
        name: name.clone(),
        connection,
        bytes: bytes.into(),
        header,
        topics: Vec::new(),
    }
}

pub(in crate::journal) fn loss(
    name: &LaneName,
    connection: u64,
    from: u64,
    to: u64,
    salt: u64,
) -> LaneBatch {
    let range = LostRange {
        from: Position(from),
        to: Position(to),
    }
    .to_string();
    let key = format!("$hw/loss/{}/{}", name.device, name.stream);
    keyed(
        name,
        connection,
        to - 1,
        &key,
        &[("hw-lost", Some(range.as_bytes()))],
        salt,
    )
}

fn keyed(
    name: &LaneName,
    connection: u64,
    position: u64,
    key: &str,
    headers: &[(&str, Option<&[u8]>)],
    salt: u64,
) -> LaneBatch {
    let mut builder = BatchBuilder::new();
    let value = salt.to_be_bytes();
    builder
        .push(
            5,
            Some(key.as_bytes()),
            Some(&value),
            headers.iter().copied(),
        )
        .unwrap();
    let mut bytes = Vec::new();
    builder.finish_into(Position(position).producer(id(name)).unwrap(), &mut bytes);
    let header = Header::parse_exact(&bytes).unwrap();
    LaneBatch {
        name: name.clone(),
        connection,
        bytes: bytes.into(),
        header,
        topics: Vec::new(),
    }
}

pub(in crate::journal) fn resume(name: &LaneName, connection: u64) -> Request {
    let name = name.clone();
    Request::Resume(Resume {
        name,
        connection,
        oldest: 0,
        next: 0,
        predecessor: None,
    })
}

/// Bytes that no compressor makes smaller.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = seed + 1;
    let next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// One request in a chunk of its own.
fn ask(journal: &mut Journal, request: Request) -> LaneOutcome {
    let outcome = journal.handle_request(request).unwrap();
    journal.finish();
    journal.commit();
    outcome
}

fn refused(journal: &mut Journal, batch: LaneBatch) -> Refusal {
    match ask(journal, Request::Batch(batch)) {
        LaneOutcome::Refused(refusal) => refusal,
        other => panic!("a refusal was expected: {other:?}"),
    }
}

#[test]
fn plain_publishes_become_one_batch_for_each_partition() {
    let mut journal = journal();
    let ids = [0, 1].map(|number| partition(&journal, number));
    let mut buffer = Buffer::default();
    for n in 0..100 {
        let value = format!("value {n}");
        let headers = [("mqtt-client", Some(&b"c"[..]))];
        let record = PlainRecord {
            topic: "a/b",
            value: value.as_bytes(),
            headers,
        };
        assert!(buffer.publish(ids[n % 2], record));
    }
    assert!(buffer.bytes() > 0 && buffer.records() == 100);
    journal.begin(Millis(77));
    assert!(journal.take(&mut buffer, &mut Vec::new()));
    let draft = journal.finish().unwrap();
    journal.commit();
    assert_eq!(draft.entries.len(), 2);
    for entry in &draft.entries {
        let bytes = &draft.payload[entry.pos as usize..][..entry.len as usize];
        let header = Header::parse_exact(bytes).unwrap();
        assert_eq!(
            (header.record_count, header.leader_epoch, entry.count),
            (50, 3, 50)
        );
        assert_eq!((header.base_timestamp, header.max_timestamp), (77, 77));
        assert!(header.total_bytes() < 700, "compressed");
        assert!(crate::bloom::may_contain(
            &entry.topics,
            crate::bloom::hash(b"a/b")
        ));
    }
}

#[test]
fn small_and_incompressible_batches_stay_as_they_are() {
    let mut journal = journal();
    let id = partition(&journal, 0);
    let noise = noise(1, 5000);
    for value in [&b"small"[..], &noise, &noise] {
        let mut buffer = Buffer::default();
        buffer.publish(
            id,
            PlainRecord {
                topic: "t",
                value,
                headers: [],
            },
        );
        journal.begin(Millis(1));
        journal.take(&mut buffer, &mut Vec::new());
        let draft = journal.finish().unwrap();
        journal.commit();
        let header = Header::parse_exact(&draft.payload).unwrap();
        assert_eq!(header.codec(), Ok(Codec::None));
        let record = records(&header, batch::payload(&header, &draft.payload)).next();
        assert_eq!(record.unwrap().unwrap().value, Some(value));
    }
}

#[test]
fn a_large_buffer_fills_several_chunks_in_order() {
    let mut journal = journal();
    let id = partition(&journal, 0);
    let mut buffer = Buffer::default();
    for n in 0..20 {
        let value = noise(n, 300_000);
        assert!(buffer.publish(
            id,
            PlainRecord {
                topic: "t",
                value: &value,
                headers: []
            }
        ));
    }
    let json = Bytes::from_static(b"{}");
    buffer.request(
        5,
        Request::Status {
            device: "gw-1".to_owned(),
            json,
        },
    );
    let (mut answers, mut counts, mut done) = (Vec::new(), Vec::new(), false);
    while !done {
        journal.begin(Millis(1));
        done = journal.take(&mut buffer, &mut answers);
        let draft = journal.finish().unwrap();
        journal.commit();
        assert!(draft.payload.len() < CHUNK_BYTES_MAX + 1_000_000);
        let events = draft.entries.iter().filter(|entry| entry.topic == EVENTS);
        counts.extend(events.map(|entry| (entry.base_offset, entry.count)));
    }
    let expected: Vec<_> = (0..10).map(|n| (2 * n, 2)).collect();
    assert_eq!(
        counts, expected,
        "split below the 1 MiB that Kafka clients fetch"
    );
    assert_eq!(
        answers,
        [Answer {
            token: 5,
            outcome: LaneOutcome::Kept
        }]
    );
    buffer.clear();
    assert!(buffer.is_empty() && buffer.bytes() == 0);
}

#[test]
fn failing_takes_everything_back() {
    let mut journal = journal();
    let gw = name("gw-1", 0);
    ask(&mut journal, resume(&gw, 1));
    ask(&mut journal, Request::Batch(lane_batch(&gw, 1, 0, 1, 1)));
    let states = |journal: &Journal| {
        (0..16)
            .map(|shard| journal.snapshot(shard))
            .collect::<Vec<_>>()
    };
    let before = states(&journal);
    let (streams, parts) = (journal.catalog().partitions(), journal.log.parts.len());
    journal.begin(Millis(1000));
    journal.create_stream([1; 16], StreamSpec::new("made"));
    journal.handle_request(Request::Batch(lane_batch(&gw, 1, 1, 1, 1)));
    let other = name("gw-2", 0);
    journal.handle_request(resume(&other, 2));
    journal.handle_request(Request::Batch(lane_batch(&other, 2, 0, 1, 1)));
    let json = Bytes::from_static(b"{}");
    journal.handle_request(Request::Status {
        device: "gw-1".to_owned(),
        json,
    });
    let producer = Producer {
        id: 1,
        epoch: 0,
        base_sequence: 0,
    };
    let made = partition(&journal, 1);
    journal
        .append(made, &batch(producer, 1, 1), Vec::new())
        .unwrap();
    assert!(journal.finish().is_some());
    journal.fail();
    assert_eq!(states(&journal), before);
    assert_eq!(
        (journal.catalog().partitions(), journal.log.parts.len()),
        (streams, parts)
    );
    assert!(journal.catalog().by_name("made").is_none());
    assert_eq!(journal.commit(), Changes::default());
    assert_eq!(
        refused(&mut journal, lane_batch(&gw, 1, 1, 1, 1)),
        Refusal::Stale
    );
}
