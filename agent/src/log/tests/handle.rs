//! The handle and the thread behind it.

use std::time::Duration;

use headwater_agent_core::lane::LaneName;
use headwater_wire::uplink::Position;

use super::event;
use crate::log::{AppendError, Event, Log, LogOptions};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

#[test]
fn appends_are_in_the_order_of_their_calls_whoever_waits() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(LogOptions::new(dir.path(), "gw-1")).unwrap();
    assert_eq!(log.device(), "gw-1");
    let waiting: Vec<_> = (0..50)
        .map(|number| log.append("events", vec![event(number)]))
        .collect();
    block_on(async {
        for append in waiting.into_iter().rev() {
            append.await.unwrap();
        }
    });
    let lanes = log.lanes();
    assert_eq!(
        (lanes[0].next, lanes[0].sealed),
        (Position(50), Position(0))
    );
    drop(log);
    let mut keys = Vec::new();
    let options = LogOptions::new(dir.path(), "gw-1");
    crate::log::read_records(options, |record| keys.push(record.key.unwrap())).unwrap();
    assert_eq!(
        keys,
        (0..50).map(|number| event(number).key).collect::<Vec<_>>()
    );
}

#[test]
fn a_stopped_log_answers_everybody_and_frees_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(LogOptions::new(dir.path(), "gw-1")).unwrap();
    let mut watch = log.watch();
    let last = log.append("events", vec![event(1)]);
    block_on(async {
        log.stop().await;
        last.await.expect("what was in line is finished");
        while watch.changed().await {}
        let late = log.append("events", vec![event(2)]).await;
        assert!(matches!(late, Err(AppendError::Stopped)));
        assert!(
            log.next_batch(&LaneName::main("events"), Position(0))
                .await
                .is_err()
        );
        assert!(log.status().await.lanes.is_empty());
        log.stop().await;
        Log::open(LogOptions::new(dir.path(), "other"))
            .unwrap()
            .stop()
            .await;
    });
    assert_eq!(
        crate::log::device_of(dir.path()).unwrap().as_deref(),
        Some("gw-1")
    );
}

#[test]
fn what_is_too_large_or_named_wrongly_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(LogOptions::new(dir.path(), "gw-1")).unwrap();
    let large = Event {
        value: vec![0; 240_000].into(),
        ..event(1)
    };
    let error = log.append("events", vec![large]).wait().unwrap_err();
    assert!(error.to_string().starts_with("Event has 2400"), "{error}");
    let many = Event {
        headers: vec![(String::new(), None); 60_000],
        ..event(1)
    };
    assert!(matches!(
        log.append("events", vec![many]).wait(),
        Err(AppendError::TooLarge { .. })
    ));
    for name in ["", "a/b", "..", &"x".repeat(201)] {
        let error = log.append(name, vec![event(1)]).wait().unwrap_err();
        assert!(matches!(error, AppendError::Stream(_)), "{error}");
    }
    assert!(log.lanes().is_empty());
    let just = Event {
        value: vec![7; 239_000].into(),
        ..event(1)
    };
    log.append("events", vec![just]).wait().unwrap();
}

#[test]
fn small_batches_leave_by_age_while_the_link_is_up_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        batch_age: Duration::from_millis(1),
        commit_interval: Duration::from_millis(1),
        ..LogOptions::new(dir.path(), "gw-1")
    };
    let log = Log::open(options).unwrap();
    let lane = LaneName::main("events");
    let mut watch = log.watch();
    block_on(async {
        log.append("events", vec![event(1)]).await.unwrap();
        log.status().await;
        assert_eq!(log.next_batch(&lane, Position(0)).await.unwrap(), None);
        log.set_link(true);
        while log.lanes()[0].sealed == Position(0) {
            assert!(watch.changed().await);
        }
        let batch = log
            .next_batch(&lane, Position(0))
            .await
            .unwrap()
            .expect("it is sealed");
        assert_eq!(batch.next, Position(1));
        log.acknowledge(&lane, batch.next);
        let status = log.status().await;
        assert_eq!(
            (status.lanes[0].events, status.lanes[0].acked),
            (0, Position(1))
        );
        log.hold(&lane, "Broker refused".into());
        assert_eq!(
            log.status().await.lanes[0].held.as_deref(),
            Some("Broker refused")
        );
        log.release(&lane);
        assert_eq!(log.status().await.lanes[0].held, None);
    });
}
