//! Positions.

use super::*;

#[test]
fn a_commit_is_told_when_it_is_durable_and_seen_when_it_is_told() {
    let mut desk = Desk::new();
    desk.prompt = false;
    let token = desk.ask(Request::Commit(commit(outsider(), 0, 5)));
    assert_eq!((desk.answer(token), desk.fetch()), (None, vec![]));
    desk.write(true);
    desk.settle();
    assert_eq!(desk.answer(token), Some(Answer::Commit(Ok(vec![Ok(())]))));
    assert_eq!(desk.fetch(), [(0, 5)]);
    let token = desk.ask(Request::Commit(commit(outsider(), 0, 6)));
    desk.write(false);
    desk.settle();
    assert_eq!(
        desk.answer(token),
        Some(Answer::Commit(Err(GroupError::NotAvailable)))
    );
    assert_eq!(desk.fetch(), [(0, 5)]);
    desk.restart();
    let (group, wanted) = ("g".to_owned(), Some(vec![(STREAM, 0), (STREAM, 1)]));
    let position = Position {
        offset: 5,
        leader_epoch: 3,
        metadata: "words 5".to_owned(),
    };
    let found = desk.told(Request::Fetch { group, wanted });
    assert_eq!(found, Answer::Fetch(vec![((STREAM, 0), position)]));
}

#[test]
fn members_commit_for_their_generation_and_outsiders_while_there_are_none() {
    let mut desk = Desk::new();
    let early = Caller {
        generation: 1,
        ..outsider()
    };
    assert_eq!(
        desk.commit(early, 1),
        Err(GroupError::IllegalGeneration),
        "of a group that is not known"
    );
    let token = desk.join(old_join("a"));
    desk.wait(FIRST_WAIT_MS);
    let joined = desk.joined(token).unwrap().unwrap();
    assert_eq!(
        desk.commit(caller(&joined), 1),
        Err(GroupError::Rebalancing),
        "before the parts are given"
    );
    desk.sync(&joined, &[]);
    assert_eq!(desk.commit(caller(&joined), 1), Ok(()));
    assert_eq!(desk.commit(outsider(), 9), Err(GroupError::UnknownMember));
    let old = Caller {
        generation: joined.generation - 1,
        ..caller(&joined)
    };
    assert_eq!(desk.commit(old, 9), Err(GroupError::IllegalGeneration));
    let nobody = Caller {
        member: "nobody".to_owned(),
        ..caller(&joined)
    };
    assert_eq!(desk.commit(nobody, 9), Err(GroupError::UnknownMember));
    desk.join(old_join("b"));
    assert_eq!(
        desk.commit(caller(&joined), 2),
        Ok(()),
        "what was read before the rebalance counts"
    );
    assert_eq!(desk.fetch(), [(0, 2)]);
    assert_eq!(desk.leave(&joined.member, None), Ok(()));
}

#[test]
fn metadata_that_is_too_long_is_refused_alone() {
    let mut desk = Desk::new();
    let mut both = commit(outsider(), 0, 5);
    let mut long = commit(outsider(), 1, 6).offsets.remove(0);
    long.2.metadata = "x".repeat(METADATA_BYTES_MAX + 1);
    both.offsets.insert(0, long);
    let results = vec![Err(GroupError::MetadataTooLarge), Ok(())];
    assert_eq!(
        desk.told(Request::Commit(both)),
        Answer::Commit(Ok(results))
    );
    assert_eq!(desk.fetch(), [(0, 5)]);
}

#[test]
fn positions_without_members_are_forgotten_after_a_week() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a"]);
    assert_eq!(desk.commit(caller(&members[0]), 5), Ok(()));
    for _ in 0..4000 {
        desk.wait(i64::from(SESSION_MS) - 1);
        assert_eq!(desk.beat(&members[0]), Ok(()));
    }
    desk.leave(&members[0].member, None).unwrap();
    desk.wait(RETENTION_MS - 1);
    assert_eq!(desk.fetch(), [(0, 5)]);
    desk.restart();
    assert_eq!(desk.fetch(), [(0, 5)]);
    // The restart has not set a timer yet that is not due.
    desk.wait(120_000);
    assert_eq!((desk.fetch(), desk.describe("g")), (vec![], None));
    assert!(desk.log.is_empty(), "nor is anything left of it in the log");
}

#[test]
fn a_group_without_positions_does_not_stay() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a"]);
    desk.leave(&members[0].member, None).unwrap();
    desk.wait(EMPTY_MS - 1);
    assert_eq!(desk.state(), GroupState::Empty);
    desk.wait(1);
    assert_eq!((desk.describe("g"), desk.log.len()), (None, 0));
}

#[test]
fn each_position_of_an_outsider_lives_from_its_own_time_on() {
    let mut desk = Desk::new();
    desk.commit(outsider(), 5).unwrap();
    desk.wait(RETENTION_MS / 2);
    desk.told(Request::Commit(commit(outsider(), 1, 6)));
    desk.wait(RETENTION_MS / 2);
    assert_eq!(desk.fetch(), [(1, 6)]);
    desk.wait(RETENTION_MS / 2);
    assert_eq!((desk.fetch(), desk.log.len()), (vec![], 0));
}

#[test]
fn a_stream_that_is_gone_takes_its_positions_along() {
    let mut desk = Desk::new();
    desk.commit(outsider(), 5).unwrap();
    let mut other = commit(outsider(), 0, 6);
    other.offsets[0].0 = [8; 16];
    desk.told(Request::Commit(other));
    desk.groups.handle_streams(|id| *id != STREAM);
    desk.settle();
    assert_eq!(desk.fetch(), [(0, 6)]);
    desk.restart();
    assert_eq!(desk.fetch(), [(0, 6)]);
}

#[test]
fn groups_and_positions_are_deleted_when_nobody_needs_them() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a"]);
    desk.commit(caller(&members[0]), 5).unwrap();
    let delete = |names: &[&str]| Request::Delete {
        groups: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let all = Answer::Delete(vec![
        Err(GroupError::NotEmpty),
        Err(GroupError::NotFound),
        Err(GroupError::InvalidGroup),
    ]);
    assert_eq!(desk.told(delete(&["g", "other", ""])), all);
    desk.leave(&members[0].member, None).unwrap();
    desk.prompt = false;
    let late = desk.ask(Request::Commit(commit(outsider(), 1, 7)));
    let token = desk.ask(delete(&["g", "other"]));
    assert_eq!(desk.answer(token), None);
    while desk.write(true).is_some() {
        desk.settle();
    }
    assert_eq!(desk.answer(late), Some(Answer::Commit(Ok(vec![Ok(())]))));
    assert_eq!(
        desk.answer(token),
        Some(Answer::Delete(vec![Ok(()), Err(GroupError::NotFound)]))
    );
    assert_eq!(
        (desk.fetch(), desk.log.len()),
        (vec![], 0),
        "also what was on its way"
    );
    desk.restart();
    assert_eq!(desk.describe("g"), None);
}

#[test]
fn positions_in_a_stream_that_a_member_reads_stay() {
    let mut desk = Desk::new();
    let subscription = Bytes::from_static(b"\0\0\0\0\0\x01\0\x04read\0\0\0\0");
    let token = desk.join(Join {
        protocols: vec![("range".to_owned(), subscription)],
        ..old_join("a")
    });
    desk.wait(FIRST_WAIT_MS);
    let joined = desk.joined(token).unwrap().unwrap();
    desk.sync(&joined, &[]);
    desk.commit(caller(&joined), 5).unwrap();
    let delete = |name: &str| Request::DeleteOffsets {
        group: "g".to_owned(),
        partitions: vec![(STREAM, 0, name.to_owned())],
    };
    let subscribed = Answer::DeleteOffsets(Ok(vec![Err(GroupError::Subscribed)]));
    assert_eq!(
        (desk.told(delete("read")), desk.fetch()),
        (subscribed, vec![(0, 5)])
    );
    assert_eq!(
        desk.told(delete("other")),
        Answer::DeleteOffsets(Ok(vec![Ok(())]))
    );
    assert_eq!(desk.fetch(), []);
    let unknown = Request::DeleteOffsets {
        group: "nobody".to_owned(),
        partitions: Vec::new(),
    };
    assert_eq!(
        desk.told(unknown),
        Answer::DeleteOffsets(Err(GroupError::NotFound))
    );
}
