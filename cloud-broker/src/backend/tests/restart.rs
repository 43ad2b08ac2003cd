//! What a start finds again: everything committed, and every decision about duplicates.

use super::*;

const PRODUCER: Producer = Producer {
    id: 5,
    epoch: 0,
    base_sequence: 0,
};

fn at(sequence: i32) -> Producer {
    Producer {
        base_sequence: sequence,
        ..PRODUCER
    }
}

#[test]
fn offsets_go_on_and_records_stay() {
    let mut site = Site::open(1);
    let partition = site.events().partitions[2];
    let mut expected = Vec::new();
    for round in 0..6 {
        let inbox = site.backend().inbox();
        let value = format!("published {round}");
        assert!(ask(&inbox, |submit| publish(submit, partition, "t", &value)).0);
        let appended = wait(
            site.backend()
                .append(partition, batch(Producer::NONE, &["b"])),
        );
        assert_eq!(appended.unwrap().base_offset, 2 * round + 1);
        expected.extend([value, "b".to_owned()]);
        let epoch = site.backend().bounds(partition).epoch;
        if round % 2 == 0 {
            site.restart()
        } else {
            site.lose_power()
        }
        assert_eq!(site.backend().bounds(partition).epoch, epoch + 1);
        assert_eq!(values(&site.records(partition)), expected);
    }
}

#[test]
fn arrival_never_goes_back() {
    let mut site = Site::open(1);
    let partition = site.events().partitions[2];
    let arrival = |site: &Site| {
        let inbox = site.backend().inbox();
        ask(&inbox, |submit| publish(submit, partition, "t", "v"));
        let end = site.backend().bounds(partition).end;
        site.backend().read(partition, end - 1, 0).unwrap()[0].arrival_ms
    };
    assert_eq!(arrival(&site), 1000);
    site.now.store(500, Ordering::Relaxed);
    assert_eq!(arrival(&site), 1000);
    site.restart();
    assert_eq!(arrival(&site), 1000);
    site.now.store(2000, Ordering::Relaxed);
    assert_eq!(arrival(&site), 2000);
}

#[test]
fn producers_are_remembered() {
    let mut site = Site::open(1);
    let partition = site.events().partitions[0];
    let append = |site: &Site, producer| {
        wait(
            site.backend()
                .append(partition, batch(producer, &["a", "b"])),
        )
    };
    for n in 0..3 {
        assert_eq!(
            append(&site, at(2 * n)).unwrap().base_offset,
            2 * i64::from(n)
        );
        if n % 2 == 0 {
            site.restart()
        } else {
            site.kill()
        }
        let again = append(&site, at(2 * n)).unwrap();
        assert_eq!(
            (again.base_offset, again.duplicate),
            (2 * i64::from(n), true)
        );
        assert_eq!(append(&site, at(100)), Err(AppendError::OutOfOrderSequence));
    }
    let newer = Producer {
        epoch: 1,
        ..PRODUCER
    };
    assert_eq!(append(&site, newer).unwrap().base_offset, 6);
    site.restart();
    assert_eq!(append(&site, at(6)), Err(AppendError::InvalidProducerEpoch));
    assert_eq!(site.records(partition).len(), 8);
}

#[test]
fn duplicates_in_one_chunk_are_attached() {
    let site = Site::open(1);
    let partition = site.events().partitions[0];
    let backend = site.backend();
    wait(async {
        let first = backend
            .submit(partition, batch(PRODUCER, &["a"]), Vec::new())
            .await
            .unwrap();
        let again = backend
            .submit(partition, batch(PRODUCER, &["a"]), Vec::new())
            .await
            .unwrap();
        let (first, again) = (first.await.unwrap(), again.await.unwrap());
        assert_eq!(
            (first.base_offset, again.base_offset, again.duplicate),
            (0, 0, true)
        );
    });
    assert_eq!(site.records(partition).len(), 1);
}

#[test]
fn what_clients_may_not_append_is_refused() {
    let site = Site::open(1);
    let (backend, partition) = (site.backend(), site.events().partitions[0]);
    let lane = Producer {
        id: uplink::LANE_ID_BASE,
        ..PRODUCER
    };
    let append = |partition, bytes| wait(backend.append(partition, bytes));
    assert_eq!(
        append(partition, batch(lane, &["a"])),
        Err(AppendError::InvalidRecord)
    );
    assert_eq!(
        append(partition, Bytes::from_static(b"x")),
        Err(AppendError::InvalidRecord)
    );
    let unknown = PartitionId(9999);
    assert_eq!(
        append(unknown, batch(PRODUCER, &["a"])),
        Err(AppendError::NoPartition)
    );
    let internal = backend.catalog().by_name("__lanes").unwrap().partitions[0];
    assert_eq!(
        append(internal, batch(PRODUCER, &["a"])),
        Err(AppendError::NoPartition)
    );
    let large = batch(Producer::NONE, &[&"x".repeat(9 << 20)]);
    assert_eq!(append(partition, large), Err(AppendError::TooLarge));
}

/// The scenario of a swallowed answer: appended, not acknowledged, much happens, restarts.
#[test]
fn a_lane_is_never_forgotten() {
    let mut site = Site::new(1);
    site.compact_after(20);
    site.start().unwrap();
    let gw = lane("gw-1");
    let inbox = site.backend().inbox();
    ask(&inbox, |submit| {
        submit.resume(1, resume(&gw, 1));
        submit.lane_batch(2, lane_batch(&gw, 1, 0, &["a", "b"]));
    });
    for n in 0..100u64 {
        let other = lane(&format!("other-{n}"));
        let (_, answers) = ask(&inbox, |submit| {
            submit.resume(1, resume(&other, 2 + n));
            submit.lane_batch(2, lane_batch(&other, 2 + n, 0, &["x"]));
        });
        assert_eq!(answers[1], LaneOutcome::Appended { next: 1 });
    }
    site.restart();
    site.kill();
    let inbox = site.backend().inbox();
    let batch = lane_batch(&gw, 7, 0, &["a", "b"]);
    let crc = batch.header.crc;
    let topic_id = site.events().id;
    let (_, answers) = ask(&inbox, |submit| {
        submit.lane_batch(1, lane_batch(&gw, 7, 0, &["a", "b"]));
        submit.resume(2, resume(&gw, 7));
        submit.lane_batch(3, batch);
        submit.lane_batch(4, lane_batch(&gw, 7, 2, &["c"]));
    });
    let resumed = LaneOutcome::Resumed {
        next: 2,
        crc: Some(crc),
        topic_id,
        generation: None,
    };
    assert_eq!(
        answers,
        [
            LaneOutcome::Refused(Refusal::Stale),
            resumed,
            LaneOutcome::Duplicate { next: 2 },
            LaneOutcome::Appended { next: 3 },
        ]
    );
    let partition = site.events().partition_for_client("gw-1");
    let stored = site.records(partition);
    let mine: Vec<_> = values(&stored)
        .into_iter()
        .filter(|value| *value != "x")
        .collect();
    assert_eq!(mine, ["a", "b", "c"]);
}

#[test]
fn devices_are_seen_again() {
    let mut site = Site::open(1);
    let gw = lane("gw-1");
    let inbox = site.backend().inbox();
    let json = Bytes::from_static(b"{\"device\":\"gw-1\"}");
    let (_, answers) = ask(&inbox, |submit| {
        submit.resume(1, resume(&gw, 1));
        submit.lane_batch(2, lane_batch(&gw, 1, 0, &["a"]));
        submit.status(3, "gw-1".to_owned(), json.clone());
        let (name, reason) = (gw.clone(), RepairReason::Clone);
        submit.repair(
            4,
            Repair {
                name,
                connection: 1,
                reason,
            },
        );
    });
    assert_eq!(
        answers[2..],
        [LaneOutcome::Kept, LaneOutcome::Repaired { generation: 1 }]
    );
    let view = site.backend().devices();
    assert_eq!((view.len(), view[0].device.as_str()), (1, "gw-1"));
    assert_eq!(
        (view[0].status.as_ref(), view[0].last_seen_ms),
        (Some(&json), 1000)
    );
    assert_eq!(view[0].lanes.len(), 1);
    assert_eq!((view[0].lanes[0].generation, view[0].lanes[0].next), (1, 0));
    site.lose_power();
    assert_eq!(site.backend().devices(), view);
    site.restart();
    site.restart();
    assert_eq!(site.backend().devices(), view);
}

#[test]
fn snapshots_are_replaced_and_leave_nothing_behind() {
    let mut site = Site::new(1);
    site.compact_after(3);
    site.start().unwrap();
    let partition = site.events().partitions[0];
    for round in 0..4 {
        for n in 0..10 {
            let producer = Producer {
                base_sequence: 10 * round + n,
                ..PRODUCER
            };
            wait(site.backend().append(partition, batch(producer, &["a"]))).unwrap();
        }
        if round % 2 == 0 {
            site.restart()
        } else {
            site.lose_power()
        }
    }
    let snapshots = site
        .disk
        .files()
        .iter()
        .filter(|file| file.contains("/x/"))
        .count();
    assert!(
        snapshots <= 32,
        "two for each shard: {:?}",
        site.disk.files()
    );
    let repeated = Producer {
        base_sequence: 39,
        ..PRODUCER
    };
    let appended = wait(site.backend().append(partition, batch(repeated, &["a"]))).unwrap();
    assert_eq!((appended.base_offset, appended.duplicate), (39, true));
}

#[test]
fn a_damaged_snapshot_costs_only_time() {
    let mut site = Site::open(1);
    let partition = site.events().partitions[0];
    wait(site.backend().append(partition, batch(PRODUCER, &["a"]))).unwrap();
    site.backend().stop();
    for file in site.disk.files().iter().filter(|file| file.contains("/x/")) {
        site.disk.flip_bit(file, 300);
    }
    site.kill();
    let appended = wait(site.backend().append(partition, batch(PRODUCER, &["a"]))).unwrap();
    assert!(appended.duplicate);
}

#[test]
fn starts_without_data_leave_no_trace() {
    let mut site = Site::open(1);
    for _ in 0..10 {
        site.restart();
    }
    let store = local::open_on(site.disk.shared(), memory::options());
    drop(store);
    site.backend().stop();
    site.backend = None;
    site.disk.kill();
    let store = local::open_on(site.disk.shared(), memory::options()).unwrap();
    let claim = registers::Claim::read(&store, 3).unwrap();
    assert_eq!(claim.manifest.epoch, 11);
    assert!(
        claim.manifest.sources.len() <= 2,
        "{:?}",
        claim.manifest.sources
    );
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::on_any_disk(dir.path(), Vec::new());
    let backend = Backend::open(options.clone()).unwrap();
    let second = Backend::open(options.clone()).unwrap_err().to_string();
    let expected = format!(
        "data directory {} is in use by pid {}",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(second, expected);
    backend.stop();
    drop(backend);
    Backend::open(options).unwrap();
}
