//! Consumer groups over a log that loses its power, fails to sync, and ends in order.

use headwater_broker_core::StreamId;
use headwater_broker_core::groups::{
    Answer, Caller, Commit, GroupError, Join, Joined, Limits, Position, Request, Sync,
};

use super::*;

fn open() -> Site {
    let mut site = Site::new(1);
    site.options.groups = Limits {
        first_wait_ms: 0,
        ..Limits::default()
    };
    site.start().unwrap();
    site
}

fn ask(site: &Site, request: Request) -> Answer {
    wait(site.backend().coordinator().ask(request)).expect("it runs")
}

fn commit(site: &Site, stream: StreamId, caller: Caller, offset: i64) -> Result<(), GroupError> {
    let position = Position {
        offset,
        leader_epoch: 1,
        metadata: "words".to_owned(),
    };
    let offsets = vec![(stream, 0, position)];
    match ask(site, Request::Commit(Commit { caller, offsets })) {
        Answer::Commit(result) => result.and_then(|results| results[0]),
        other => panic!("{other:?}"),
    }
}

fn offset(site: &Site) -> Option<i64> {
    let (group, wanted) = ("g".to_owned(), None);
    match ask(site, Request::Fetch { group, wanted }) {
        Answer::Fetch(found) => found.first().map(|(_, position)| position.offset),
        other => panic!("{other:?}"),
    }
}

fn outsider() -> Caller {
    Caller {
        group: "g".to_owned(),
        generation: -1,
        ..Caller::default()
    }
}

/// A group of one member that has its part.
fn member(site: &Site) -> Joined {
    let join = Join {
        group: "g".to_owned(),
        fresh: "1".to_owned(),
        session_ms: 60_000,
        rebalance_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
        ..Join::default()
    };
    let Answer::Join(Ok(joined)) = ask(site, Request::Join(join)) else {
        panic!("it cannot join");
    };
    let sync = Sync {
        caller: caller(&joined),
        assignments: vec![(joined.member.clone(), Bytes::from_static(b"part"))],
        ..Sync::default()
    };
    assert!(matches!(
        ask(site, Request::Sync(sync)),
        Answer::Sync(Ok(_))
    ));
    joined
}

fn caller(joined: &Joined) -> Caller {
    Caller {
        group: "g".to_owned(),
        generation: joined.generation,
        member: joined.member.clone(),
        instance: None,
    }
}

#[test]
fn what_a_group_was_told_outlives_the_power() {
    let mut site = open();
    let stream = site.events().id;
    let joined = member(&site);
    for round in 0..4 {
        assert_eq!(commit(&site, stream, caller(&joined), round), Ok(()));
        match round {
            0 => site.lose_power(),
            1 => site.kill(),
            // In order, so that a snapshot has it.
            _ => site.restart(),
        }
        assert_eq!(offset(&site), Some(round));
        let beat = ask(&site, Request::Heartbeat(caller(&joined)));
        assert_eq!(beat, Answer::Heartbeat(Ok(())), "its generation goes on");
    }
}

#[test]
fn a_commit_that_cannot_be_written_is_refused() {
    let site = open();
    let stream = site.events().id;
    assert_eq!(commit(&site, stream, outsider(), 1), Ok(()));
    site.disk.plan(FaultPlan {
        fail_sync: Some(1),
        ..FaultPlan::default()
    });
    let refused = Err(GroupError::NotAvailable);
    assert_eq!(
        (commit(&site, stream, outsider(), 2), offset(&site)),
        (refused, Some(1))
    );
    assert_eq!(
        (commit(&site, stream, outsider(), 3), offset(&site)),
        (Ok(()), Some(3))
    );
}

#[test]
fn a_deleted_stream_takes_its_positions_along() {
    let mut site = open();
    let stream = site.events().id;
    assert_eq!(commit(&site, stream, outsider(), 1), Ok(()));
    wait(site.backend().delete_stream(stream)).unwrap();
    while offset(&site).is_some() {}
    site.restart();
    assert_eq!(ask(&site, Request::List), Answer::List(Vec::new()));
}
