//! Disks that fail or fill up: nobody is told what is not so, and it ends when the trouble does.

use std::sync::atomic::AtomicU64;

use super::*;

#[test]
fn a_failed_sync_fails_all_that_waits_and_nothing_else() {
    let mut site = Site::new(1);
    site.options.retry_ms = 60_000;
    site.start().unwrap();
    let (backend, partition) = (site.backend(), site.events().partitions[0]);
    let producer = Producer {
        id: 5,
        epoch: 0,
        base_sequence: 0,
    };
    wait(backend.append(partition, batch(producer, &["a"]))).unwrap();
    let inbox = backend.inbox();
    let gw = lane("gw-1");
    ask(&inbox, |submit| submit.resume(1, resume(&gw, 1)));

    site.disk.plan(FaultPlan {
        fail_sync: Some(1),
        ..FaultPlan::default()
    });
    let next = Producer {
        base_sequence: 1,
        ..producer
    };
    assert_eq!(
        wait(backend.append(partition, batch(next, &["b"]))),
        Err(AppendError::Unavailable(Unavailable::Failed))
    );
    assert_eq!(backend.not_ready(), ["store-failed"]);
    assert_eq!(values(&site.records(partition)), ["a"]);

    // The same again is no duplicate, and lanes must be opened anew.
    let again = wait(backend.append(partition, batch(next, &["b"]))).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (1, false));
    assert!(backend.not_ready().is_empty());
    let (_, answers) = ask(&inbox, |submit| {
        submit.lane_batch(2, lane_batch(&gw, 1, 0, &["c"]));
    });
    assert_eq!(answers, [LaneOutcome::Refused(Refusal::Stale)]);
    assert_eq!(values(&site.records(partition)), ["a", "b"]);
}

#[test]
fn an_inbox_learns_which_tickets_are_lost() {
    let site = Site::open(1);
    let (backend, partition) = (site.backend(), site.events().partitions[0]);
    let inbox = backend.inbox();
    assert!(ask(&inbox, |submit| publish(submit, partition, "t", "a")).0);
    site.disk.plan(FaultPlan {
        fail_sync: Some(1),
        ..FaultPlan::default()
    });
    let gw = lane("gw-1");
    let (durable, answers) = ask(&inbox, |submit| {
        publish(submit, partition, "t", "b");
        submit.resume(7, resume(&gw, 1));
    });
    assert_eq!((durable, answers), (false, Vec::new()));
    assert!(ask(&inbox, |submit| publish(submit, partition, "t", "c")).0);
    assert_eq!(values(&site.records(partition)), ["a", "c"]);
}

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let mut site = Site::open(1);
    let partition = site.events().partitions[0];
    wait(
        site.backend()
            .append(partition, batch(Producer::NONE, &["a"])),
    )
    .unwrap();
    let used = site.disk.files().into_iter();
    let used = used.filter_map(|file| site.disk.contents(&file));
    let used = used.map(|bytes| bytes.len() as u64).sum();
    site.disk.plan(FaultPlan {
        bytes_max: Some(used),
        ..FaultPlan::default()
    });
    let large = "x".repeat(60_000);
    let mut kept = vec!["a"];
    let mut trouble = None;
    while trouble.is_none() {
        match wait(
            site.backend()
                .append(partition, batch(Producer::NONE, &[&large])),
        ) {
            Ok(_) => kept.push(&large),
            Err(error) => trouble = Some(error),
        }
    }
    assert_eq!(
        trouble,
        Some(AppendError::Unavailable(Unavailable::DiskFull))
    );
    assert_eq!(site.backend().not_ready(), ["disk-full"]);
    assert_eq!(values(&site.records(partition)), kept, "reads go on");
    let gw = lane("gw-1");
    let inbox = site.backend().inbox();
    let (_, answers) = ask(&inbox, |submit| submit.resume(1, resume(&gw, 1)));
    let busy = LaneOutcome::Refused(Refusal::Busy { retry_ms: 1 });
    assert!(answers == [busy] || matches!(answers[..], [LaneOutcome::Resumed { .. }]));

    site.disk.plan(FaultPlan::default());
    while !site.backend().not_ready().is_empty() {
        std::thread::yield_now();
    }
    wait(
        site.backend()
            .append(partition, batch(Producer::NONE, &["b"])),
    )
    .unwrap();
    kept.push("b");
    assert_eq!(values(&site.records(partition)), kept);
    site.lose_power();
    assert_eq!(values(&site.records(partition)), kept);
}

#[test]
fn a_disk_below_its_reserve_takes_nothing() {
    let free = Arc::new(AtomicU64::new(50));
    let mut site = Site::new(1);
    let told = Arc::clone(&free);
    site.options.space = Arc::new(move || Some((told.load(Ordering::Relaxed), 1000)));
    site.start().unwrap();
    let (backend, partition) = (site.backend(), site.events().partitions[0]);
    let append = || wait(backend.append(partition, batch(Producer::NONE, &["a"])));
    append().unwrap();
    free.store(49, Ordering::Relaxed);
    while append().is_ok() {}
    assert_eq!(
        append(),
        Err(AppendError::Unavailable(Unavailable::DiskFull))
    );
    let inbox = backend.inbox();
    let record = PlainRecord {
        topic: "t",
        value: b"v",
        headers: [],
    };
    assert_eq!(inbox.lock().publish(partition, record), Err(Busy));
    free.store(1000, Ordering::Relaxed);
    while append().is_err() {}
    assert!(backend.not_ready().is_empty());
}

#[test]
fn a_stopped_log_takes_nothing() {
    let site = Site::open(1);
    let (backend, partition) = (site.backend(), site.events().partitions[0]);
    let inbox = backend.inbox();
    backend.stop();
    assert_eq!(
        wait(backend.append(partition, batch(Producer::NONE, &["a"]))),
        Err(AppendError::Unavailable(Unavailable::Stopped))
    );
    let record = PlainRecord {
        topic: "t",
        value: b"v",
        headers: [],
    };
    assert_eq!(inbox.lock().publish(partition, record), Err(Busy));
    assert_eq!(backend.not_ready(), ["stopping"]);
    assert!(site.records(partition).is_empty());
}
