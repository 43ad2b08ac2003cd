//! What groups may use.

use super::*;

fn refusal(desk: &mut Desk, join: Join) -> Option<GroupError> {
    let token = desk.join(join);
    desk.joined(token).map(|result| result.unwrap_err().error)
}

#[test]
fn names_and_times_are_checked() {
    let mut desk = Desk::new();
    let named = |group: &str| Join {
        group: group.to_owned(),
        ..old_join("a")
    };
    assert_eq!(
        refusal(&mut desk, named("")),
        Some(GroupError::InvalidGroup)
    );
    assert_eq!(
        refusal(&mut desk, named(&"x".repeat(NAME_BYTES_MAX + 1))),
        Some(GroupError::InvalidGroup)
    );
    for session_ms in [5999, SESSION_MS_MAX + 1, -1] {
        let join = Join {
            session_ms,
            ..old_join("a")
        };
        assert_eq!(refusal(&mut desk, join), Some(GroupError::InvalidSession));
    }
    let without = Join {
        protocols: Vec::new(),
        ..old_join("a")
    };
    assert_eq!(
        refusal(&mut desk, without),
        Some(GroupError::InconsistentProtocol)
    );
    assert!(
        desk.groups.groups.is_empty() && desk.groups.deadline().is_none(),
        "nothing is kept of them"
    );
    let odd = Join {
        client_id: "é".repeat(200),
        rebalance_ms: -1,
        ..old_join("a")
    };
    let token = desk.join(odd);
    desk.wait(FIRST_WAIT_MS);
    assert!(desk.joined(token).unwrap().is_ok());
}

#[test]
fn members_groups_and_bytes_are_bounded() {
    let mut desk = Desk::with(Limits {
        groups: 2,
        members: 2,
        group_bytes: 10_000,
        ..Limits::default()
    });
    let members = desk.stable(&["a", "b"]);
    assert_eq!(refusal(&mut desk, old_join("c")), Some(GroupError::Full));
    let large = Join {
        protocols: vec![("range".to_owned(), Bytes::from(vec![0; 10_000]))],
        ..again(&members[0], "a")
    };
    assert_eq!(refusal(&mut desk, large), Some(GroupError::Full));
    let other = |group: &str| Join {
        group: group.to_owned(),
        id_required: true,
        ..old_join("a")
    };
    assert_eq!(
        refusal(&mut desk, other("second")),
        Some(GroupError::MemberIdRequired)
    );
    assert_eq!(refusal(&mut desk, other("third")), Some(GroupError::Full));
    desk.wait(SESSION_MS.into());
    assert_eq!(
        refusal(&mut desk, other("third")),
        Some(GroupError::MemberIdRequired)
    );
}

#[test]
fn an_assignment_that_is_too_large_is_refused() {
    let mut desk = Desk::with(Limits {
        group_bytes: 10_000,
        ..Limits::default()
    });
    let token = desk.join(old_join("a"));
    desk.wait(FIRST_WAIT_MS);
    let joined = desk.joined(token).unwrap().unwrap();
    let large = "x".repeat(10_000);
    let token = desk.sync(&joined, &[(&joined.member, &large)]);
    assert_eq!(
        desk.synced(token),
        Some(Err(GroupError::AssignmentTooLarge))
    );
    let token = desk.sync(&joined, &[(&joined.member, "x")]);
    assert_eq!(desk.part(token), "x");
}

#[test]
fn what_goes_gives_its_bytes_back() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a", "b"]);
    assert_eq!(desk.commit(caller(&members[0]), 5), Ok(()));
    let bytes = desk.groups.out.bytes;
    assert!(bytes > 1500, "{bytes}");
    desk.restart();
    assert_eq!(desk.groups.out.bytes, bytes, "a restart counts the same");
    members
        .iter()
        .for_each(|member| desk.leave(&member.member, None).unwrap());
    desk.wait(RETENTION_MS);
    assert_eq!((desk.groups.out.bytes, desk.groups.groups.len()), (0, 0));
}

fn commit_of(positions: Vec<Position>) -> Request {
    let offsets = (0..).zip(positions);
    let offsets = offsets.map(|(partition, position)| (STREAM, partition, position));
    Request::Commit(Commit {
        caller: outsider(),
        offsets: offsets.collect(),
    })
}

fn accepted(answer: Answer) -> bool {
    match answer {
        Answer::Commit(Ok(results)) => results.iter().all(Result::is_ok),
        Answer::Commit(Err(GroupError::CommitTooLarge)) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn positions_are_bounded_as_the_limit_says() {
    let mut desk = Desk::with(Limits {
        offsets: 10,
        ..Limits::default()
    });
    let mut commit =
        |positions| accepted(desk.told(commit_of(vec![Position::default(); positions])));
    assert!(!commit(11) && commit(7) && commit(10) && !commit(11) && commit(10));
    assert_eq!(desk.fetch().len(), 10);
    let mut desk = Desk::with(Limits {
        bytes: 1000,
        ..Limits::default()
    });
    assert!(!accepted(
        desk.told(commit_of(vec![Position::default(); 3]))
    ));
    assert!(desk.groups.groups.is_empty());
}

#[test]
fn a_commit_writes_no_more_than_it_may() {
    let mut desk = Desk::new();
    let words = |bytes| Position {
        metadata: "x".repeat(bytes),
        ..Position::default()
    };
    let one = Record::offset_bytes("g", "");
    let many = (COMMIT_BYTES_MAX - one) / (one + METADATA_BYTES_MAX);
    let rest = COMMIT_BYTES_MAX - many * (one + METADATA_BYTES_MAX) - one;
    let mut positions = vec![words(METADATA_BYTES_MAX); many];
    positions.push(words(rest + 1));
    assert!(!accepted(desk.told(commit_of(positions.clone()))));
    positions[many] = words(rest);
    desk.prompt = false;
    desk.ask(commit_of(positions));
    let written = desk.writes[0].records.iter().map(Record::bytes);
    assert_eq!(written.sum::<usize>(), COMMIT_BYTES_MAX);
}

#[test]
fn while_the_log_is_slow_no_more_is_begun() {
    let mut desk = Desk::with(Limits {
        writing_bytes: 500,
        ..Limits::default()
    });
    let members = desk.stable(&["a"]);
    desk.prompt = false;
    let mut busy = 0;
    for offset in 0..100 {
        let token = desk.ask(Request::Commit(commit(caller(&members[0]), 0, offset)));
        busy += match desk.answer(token) {
            Some(answer) => {
                assert_eq!(answer, Answer::Commit(Err(GroupError::Busy)));
                1
            }
            None => 0,
        };
    }
    let bytes = |write: &Write| write.records.iter().map(Record::bytes).sum::<usize>();
    let under_way = desk.writes.iter().map(bytes).sum::<usize>();
    assert!((500..600).contains(&under_way) && busy > 80, "{under_way}");
    assert_eq!(refusal(&mut desk, old_join("b")), Some(GroupError::Busy));
    assert_eq!(desk.beat(&members[0]), Ok(()), "who is there stays");
    while desk.write(true).is_some() {}
    desk.prompt = true;
    assert_eq!(desk.commit(caller(&members[0]), 7), Ok(()));
}

#[test]
fn a_group_of_many_positions_is_forgotten_in_parts() {
    let mut desk = Desk::with(Limits {
        offsets: 30_000,
        bytes: 1 << 30,
        ..Limits::default()
    });
    let name = "g".repeat(NAME_BYTES_MAX);
    let in_part = COMMIT_BYTES_MAX / Record::offset_bytes(&name, "");
    for at in 0..3 {
        let mut caller = outsider();
        caller.group.clone_from(&name);
        let first = u32::try_from(at * in_part).unwrap();
        let offsets = (first..).take(in_part);
        let offsets = offsets.map(|partition| (STREAM, partition, Position::default()));
        let offsets = offsets.collect();
        assert!(accepted(
            desk.told(Request::Commit(Commit { caller, offsets }))
        ));
    }
    assert!(desk.log.len() == 3 * in_part);
    desk.prompt = false;
    let token = desk.ask(Request::Delete { groups: vec![name] });
    assert_eq!((desk.writes.len(), desk.answer(token)), (3, None));
    while desk.write(true).is_some() {}
    desk.settle();
    assert_eq!(desk.answer(token), Some(Answer::Delete(vec![Ok(())])));
    assert!(desk.log.is_empty() && desk.groups.groups.is_empty());
}
