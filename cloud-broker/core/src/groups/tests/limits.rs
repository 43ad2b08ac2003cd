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

#[test]
fn commits_are_bounded() {
    let mut desk = Desk::with(Limits {
        offsets: 10,
        ..Limits::default()
    });
    let mut many = commit(outsider(), 0, 5);
    many.offsets = (0..21)
        .map(|partition| (STREAM, partition, Position::default()))
        .collect();
    let refused = Answer::Commit(Err(GroupError::CommitTooLarge));
    assert_eq!(desk.told(Request::Commit(many)), refused);
    let mut desk = Desk::with(Limits {
        bytes: 1000,
        ..Limits::default()
    });
    let mut many = commit(outsider(), 0, 5);
    many.offsets = (0..3)
        .map(|partition| (STREAM, partition, Position::default()))
        .collect();
    assert_eq!(desk.told(Request::Commit(many)), refused);
    assert!(desk.groups.groups.is_empty());
}
