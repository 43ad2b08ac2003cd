//! Agents' requests, as the interface has them.

use headwater_wire::batch::{self, records};

use super::*;

#[test]
fn refusals_that_need_no_state() {
    let mut journal = journal();
    let gw = name("gw-1", 0);
    let no_stream = LaneName {
        stream: "nope".to_owned(),
        ..gw.clone()
    };
    let internal = LaneName {
        stream: "__lanes".to_owned(),
        ..gw.clone()
    };
    let by_topic = LaneName {
        stream: "by-topic".to_owned(),
        ..gw.clone()
    };
    assert_eq!(
        refused(&mut journal, lane_batch(&no_stream, 1, 0, 1, 1)),
        Refusal::NoStream
    );
    assert_eq!(
        refused(&mut journal, lane_batch(&internal, 1, 0, 1, 1)),
        Refusal::NoStream
    );
    assert_eq!(
        refused(&mut journal, lane_batch(&by_topic, 1, 0, 1, 1)),
        Refusal::PartitionedByTopic
    );
    let foreign = LaneBatch {
        name: gw.clone(),
        ..lane_batch(&name("gw-2", 0), 1, 0, 1, 1)
    };
    assert_eq!(refused(&mut journal, foreign), Refusal::NotYours);
    assert_eq!(
        refused(&mut journal, lane_batch(&gw, 1, 0, 1, 1)),
        Refusal::Stale
    );
    let crossing = lane_batch(&gw, 1, (1 << 31) - 1, 2, 1);
    assert_eq!(refused(&mut journal, crossing), Refusal::Corrupt);
    let foreign_loss = keyed(&gw, 1, 4, "$hw/loss/gw-2/events", &[], 1);
    assert_eq!(refused(&mut journal, foreign_loss), Refusal::ForbiddenKey);
    let no_range = keyed(&gw, 1, 4, "$hw/loss/gw-1/events", &[], 1);
    assert_eq!(refused(&mut journal, no_range), Refusal::Corrupt);
    let elsewhere = [("hw-lost", Some(&b"0-4"[..]))];
    let elsewhere = keyed(&gw, 1, 4, "$hw/loss/gw-1/events", &elsewhere, 1);
    assert_eq!(refused(&mut journal, elsewhere), Refusal::Corrupt);
    let status = Bytes::from(vec![b' '; STATUS_BYTES_MAX + 1]);
    let outcome = ask(
        &mut journal,
        Request::Status {
            device: "gw-1".to_owned(),
            json: status,
        },
    );
    assert_eq!(outcome, LaneOutcome::Refused(Refusal::Corrupt));
}

#[test]
fn a_conflict_closes_the_lane_until_it_is_resumed() {
    let mut journal = journal();
    let gw = name("gw-1", 0);
    ask(&mut journal, resume(&gw, 1));
    ask(&mut journal, Request::Batch(lane_batch(&gw, 1, 0, 3, 1)));
    let other = || lane_batch(&gw, 1, 0, 3, 2);
    assert_eq!(
        refused(&mut journal, other()),
        Refusal::Conflict { next: 3 }
    );
    assert_eq!(refused(&mut journal, other()), Refusal::Stale);
    ask(&mut journal, resume(&gw, 1));
    assert_eq!(
        refused(&mut journal, other()),
        Refusal::Conflict { next: 3 }
    );
    ask(&mut journal, resume(&gw, 2));
    assert_eq!(
        refused(&mut journal, other()),
        Refusal::Stale,
        "another connection took over"
    );
    let batch = lane_batch(&gw, 2, 3, 1, 1);
    assert_eq!(
        ask(&mut journal, Request::Batch(batch)),
        LaneOutcome::Appended { next: 4 }
    );
    journal.handle_request(Request::Closed { connection: 2 });
    assert_eq!(
        refused(&mut journal, lane_batch(&gw, 2, 4, 1, 1)),
        Refusal::Stale
    );
}

#[test]
fn lanes_are_bounded() {
    let mut journal = journal();
    let lane = |lane: &str| LaneName {
        lane: lane.to_owned(),
        ..name("gw-1", 0)
    };
    for made in ["a", "b"] {
        ask(&mut journal, resume(&lane(made), 1));
        ask(
            &mut journal,
            Request::Batch(lane_batch(&lane(made), 1, 0, 1, 1)),
        );
    }
    let refusal = LaneOutcome::Refused(Refusal::TooManyLanes);
    assert_eq!(ask(&mut journal, resume(&lane("c"), 1)), refusal);
    assert!(matches!(
        ask(&mut journal, resume(&lane("b"), 2)),
        LaneOutcome::Resumed { .. }
    ));
    let repair = Repair {
        name: lane("c"),
        connection: 1,
        reason: RepairReason::Clone,
    };
    assert_eq!(ask(&mut journal, Request::Repair(repair)), refusal);
    // Lanes that never hold anything are bounded for each connection.
    let unheard = |n: u32| LaneName {
        lane: format!("l{n}"),
        ..name("gw-2", 0)
    };
    for n in 0..4 {
        assert!(matches!(
            ask(&mut journal, resume(&unheard(n), 9)),
            LaneOutcome::Resumed {
                next: 0,
                crc: None,
                ..
            }
        ));
    }
    assert_eq!(ask(&mut journal, resume(&unheard(4), 9)), refusal);
}

#[test]
fn a_repair_reserves_the_next_generation_and_reports_it() {
    let mut journal = journal();
    let gw = name("gw-1", 0);
    ask(&mut journal, resume(&gw, 1));
    ask(&mut journal, Request::Batch(lane_batch(&gw, 1, 0, 1, 1)));
    let repair = || {
        Request::Repair(Repair {
            name: gw.clone(),
            connection: 1,
            reason: RepairReason::Rollback,
        })
    };
    assert_eq!(
        journal.handle_request(repair()),
        Some(LaneOutcome::Repaired { generation: 1 })
    );
    assert_eq!(
        journal.handle_request(repair()),
        Some(LaneOutcome::Repaired { generation: 2 })
    );
    let draft = journal.finish().unwrap();
    let changes = journal.commit();
    assert_eq!(
        changes
            .lanes
            .last()
            .map(|moved| (moved.name.generation, moved.next)),
        Some((2, 0))
    );
    let entry = draft
        .entries
        .iter()
        .find(|entry| entry.topic == EVENTS)
        .unwrap();
    let bytes = &draft.payload[entry.pos as usize..][..entry.len as usize];
    let header = Header::parse_exact(bytes).unwrap();
    let record = records(&header, batch::payload(&header, bytes))
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(record.key, Some(&b"$hw/repair/gw-1/events"[..]));
    let value: serde_json::Value = serde_json::from_slice(record.value.unwrap()).unwrap();
    let expected = serde_json::json!(
        {"lane": "main", "from_generation": 0, "to_generation": 1, "reason": "rollback"});
    assert_eq!(value, expected);
    let LaneOutcome::Resumed {
        next, generation, ..
    } = ask(&mut journal, resume(&gw, 1))
    else {
        panic!("resumed was expected")
    };
    assert_eq!((next, generation), (1, Some(2)));
    let repaired = name("gw-1", 1);
    ask(&mut journal, resume(&repaired, 1));
    let outcome = ask(
        &mut journal,
        Request::Batch(lane_batch(&repaired, 1, 0, 1, 1)),
    );
    assert_eq!(outcome, LaneOutcome::Appended { next: 1 });
}

#[test]
fn a_restored_broker_gets_the_report_of_every_generation() {
    let mut journal = journal();
    let resume = |generation| {
        Request::Resume(Resume {
            name: name("gw-1", generation),
            connection: u64::from(generation),
            oldest: 0,
            next: 0,
            predecessor: Some(0),
        })
    };
    // Two copies were repaired; the broker forgot both, and hears of the later one first.
    for (generation, reports) in [(2, 1), (1, 2), (2, 2), (1, 2)] {
        let LaneOutcome::Resumed {
            generation: newer, ..
        } = ask(&mut journal, resume(generation))
        else {
            panic!("resumed was expected")
        };
        assert_eq!(newer, (generation == 1).then_some(2));
        let stream = journal.catalog().by_name("events").unwrap();
        let part = stream.partition_for_client("gw-1");
        assert_eq!(journal.log.parts[part.index()].next_offset, reports);
    }
}

#[test]
fn a_restored_broker_gets_the_report_again() {
    let mut journal = journal();
    let gw = name("gw-1", 4);
    let resume = || {
        Request::Resume(Resume {
            name: gw.clone(),
            connection: 1,
            oldest: 0,
            next: 0,
            predecessor: Some(3),
        })
    };
    let before = journal.snapshot(0);
    let LaneOutcome::Resumed {
        generation: None, ..
    } = ask(&mut journal, resume())
    else {
        panic!("resumed was expected")
    };
    let offset = |journal: &Journal| {
        let stream = journal.catalog().by_name("events").unwrap();
        let part = stream.partition_for_client("gw-1");
        journal.log.parts[part.index()].next_offset
    };
    assert_eq!(offset(&journal), 1, "a repair record");
    ask(&mut journal, resume());
    assert_eq!(offset(&journal), 1, "once");
    assert_eq!(before.shard, 0);
}
