//! What goes in comes out, in order, and not before it is durable.

use super::*;

#[test]
fn a_new_log_has_the_configured_streams() {
    let site = Site::open(1);
    let catalog = site.backend().catalog();
    assert_eq!(
        catalog.route("a/b").map(|stream| stream.spec.name.as_str()),
        Some("events")
    );
    assert_eq!(site.events().partitions.len(), 8);
    assert_ne!(site.backend().cluster_id(), [0; 16]);
    assert!(site.backend().not_ready().is_empty());
}

#[test]
fn publishes_of_one_read_are_one_batch_in_order() {
    let site = Site::open(1);
    let (inbox, partition) = (site.backend().inbox(), site.events().partitions[3]);
    let mut tail = site.backend().tail();
    let names: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let (durable, _) = ask(&inbox, |submit| {
        names
            .iter()
            .for_each(|name| publish(submit, partition, "a/b", name));
    });
    assert!(durable);
    assert_eq!(values(&site.records(partition)), names);
    let TailStep::Commits(commits) = tail.next() else {
        panic!("a commit was expected")
    };
    let batches: Vec<_> = commits.iter().flat_map(|commit| &commit.batches).collect();
    assert_eq!(batches.len(), 1);
    assert_eq!((batches[0].base_offset, batches[0].last_offset), (0, 499));
    assert_eq!(
        (batches[0].arrival_ms, batches[0].max_timestamp),
        (1000, 1000)
    );
    assert!(batches[0].bytes.len() < 2500, "it is compressed");
    let bloom = |topic: &[u8]| {
        let hash = headwater_broker_core::bloom::hash(topic);
        headwater_broker_core::bloom::may_contain(&batches[0].topics, hash)
    };
    assert!(bloom(b"a/b") && bloom(b"a") && !bloom(b"b"));
}

#[test]
fn appends_are_in_the_order_of_submission() {
    let site = Site::open(1);
    let partition = site.events().partitions[0];
    let backend = site.backend();
    wait(async {
        let mut pending = Vec::new();
        for n in 0..100 {
            let batch = batch(Producer::NONE, &[&n.to_string(), "x"]);
            pending.push(backend.submit(partition, batch, Vec::new()).await.unwrap());
        }
        for (n, pending) in pending.into_iter().enumerate() {
            let appended = pending.await.unwrap();
            assert_eq!(appended.base_offset, 2 * i64::try_from(n).unwrap());
        }
    });
    assert_eq!(backend.bounds(partition).end, 200);
    assert_eq!(site.records(partition).len(), 200);
}

#[test]
fn reads_begin_with_the_batch_that_contains_the_offset() {
    let mut site = Site::new(1);
    site.options.recent_bytes = 0;
    site.start().unwrap();
    let (backend, partition) = (site.backend(), site.events().partitions[0]);
    for n in 0..20 {
        let batch = batch(Producer::NONE, &[&n.to_string(), "x"]);
        wait(backend.append(partition, batch)).unwrap();
    }
    let first = |offset| {
        let batches = backend.read(partition, offset, 0).unwrap();
        batches.first().map(|batch| batch.base_offset)
    };
    assert_eq!([0, 1, 2, 39].map(first), [0, 0, 2, 38].map(Some));
    assert_eq!(first(40), None);
    assert!(matches!(
        backend.read(partition, 41, 0),
        Err(ReadError::OffsetOutOfRange)
    ));
    assert!(matches!(
        backend.read(partition, -1, 0),
        Err(ReadError::OffsetOutOfRange)
    ));
    assert!(matches!(
        backend.read(PartitionId(9999), 0, 0),
        Err(ReadError::NoPartition)
    ));
    let size = backend.read(partition, 0, 0).unwrap()[0].bytes.len();
    assert_eq!(backend.read(partition, 0, 3 * size).unwrap().len(), 3);
    assert!(
        backend.read_recent(partition, 0, 0).is_none(),
        "the disk is needed"
    );
    assert_eq!(
        backend
            .read_recent(partition, 38, 0)
            .unwrap()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        backend
            .read_recent(partition, 40, 0)
            .unwrap()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn times_are_found_record_by_record() {
    let site = Site::open(1);
    let (backend, partition) = (site.backend(), site.events().partitions[0]);
    for times in [[10, 20], [5, 30], [25, 30], [1, 2]] {
        let mut builder = BatchBuilder::new();
        times
            .iter()
            .for_each(|time| builder.push(*time, None, Some(b"v"), []).unwrap());
        let mut bytes = Vec::new();
        builder.finish_into(Producer::NONE, &mut bytes);
        wait(backend.append(partition, bytes.into())).unwrap();
    }
    let find = |time| backend.offset_for_time(partition, time).unwrap();
    assert_eq!(
        [0, 10, 11, 21, 30].map(find),
        [(0, 10), (0, 10), (1, 20), (3, 30), (3, 30)].map(Some)
    );
    assert_eq!(find(31), None);
    assert_eq!(backend.latest_by_time(partition).unwrap(), Some((3, 30)));
    assert_eq!(
        backend.latest_by_time(site.events().partitions[1]).unwrap(),
        None
    );
}

#[test]
fn a_watch_misses_nothing() {
    let site = Site::open(1);
    let (backend, partitions) = (site.backend(), site.events().partitions.clone());
    let watch = backend.watch(&partitions[..2]);
    wait(async {
        backend
            .append(partitions[1], batch(Producer::NONE, &["a"]))
            .await
            .unwrap();
        watch.changed().await;
        backend
            .append(partitions[7], batch(Producer::NONE, &["b"]))
            .await
            .unwrap();
        let silent = watch.changed();
        let appended = backend.append(partitions[0], batch(Producer::NONE, &["c"]));
        let (_, appended) = tokio::join!(silent, appended);
        appended.unwrap();
    });
}

#[test]
fn streams_are_created_once() {
    let mut site = Site::open(1);
    let spec = StreamSpec {
        partitions: 3,
        ..StreamSpec::new("made")
    };
    let made = wait(site.backend().create_stream(spec.clone())).unwrap();
    assert!(matches!(
        wait(site.backend().create_stream(spec)),
        Err(CreateError::Exists)
    ));
    let wrong = StreamSpec::new("__x");
    assert!(matches!(
        wait(site.backend().create_stream(wrong)),
        Err(CreateError::Spec(_))
    ));
    wait(
        site.backend()
            .append(made.partitions[2], batch(Producer::NONE, &["a"])),
    )
    .unwrap();
    site.kill();
    let again = site.backend().catalog();
    let again = again.by_name("made").unwrap();
    assert_eq!((again.id, again.partitions.len()), (made.id, 3));
    assert_eq!(values(&site.records(again.partitions[2])), ["a"]);
}

#[test]
fn configured_streams_change_and_stay() {
    let mut site = Site::open(1);
    let id = site.events().id;
    site.options.streams[0].partitions = 4;
    site.options.streams[0].retention_ms = None;
    site.options.streams.push(StreamSpec::new("more"));
    site.restart();
    let events = site.events();
    assert_eq!((events.id, events.partitions.len()), (id, 8));
    assert_eq!(events.spec.retention_ms, None);
    site.options.streams.clear();
    site.restart();
    assert!(site.backend().catalog().by_name("more").is_some());
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut site = Site::open(1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        for _ in 0..1001 {
            let id = wait(site.backend().producer_id()).unwrap();
            assert!(seen.insert(id) && (0..uplink::LANE_ID_BASE).contains(&id));
        }
        site.lose_power();
    }
}
