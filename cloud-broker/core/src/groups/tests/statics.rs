//! Static members.

use super::*;

fn of(instance: &str, fresh: &str) -> Join {
    Join {
        instance: Some(instance.to_owned()),
        fresh: fresh.to_owned(),
        id_required: true,
        may_skip_assignment: true,
        ..old_join(instance)
    }
}

fn static_caller(joined: &Joined, instance: &str) -> Caller {
    Caller {
        instance: Some(instance.to_owned()),
        ..caller(joined)
    }
}

/// Two static members, a leads, both with their parts.
fn stable() -> (Desk, Joined, Joined) {
    let mut desk = Desk::new();
    let tokens = [desk.join(of("a", "1")), desk.join(of("b", "1"))];
    desk.wait(FIRST_WAIT_MS_MAX);
    let [a, b] = tokens.map(|token| desk.joined(token).unwrap().unwrap());
    desk.sync(&a, &[(&a.member, "part of a"), (&b.member, "part of b")]);
    desk.answers.clear();
    (desk, a, b)
}

#[test]
fn one_that_comes_back_takes_its_place_without_a_rebalance() {
    let (mut desk, a, b) = stable();
    let token = desk.join(of("b", "2"));
    let new = desk.joined(token).unwrap().unwrap();
    assert_eq!((new.generation, new.member.as_str()), (1, "b-2"));
    assert!(!new.skip_assignment && new.members.is_empty());
    assert_eq!(desk.state(), GroupState::Stable);
    let token = desk.sync(&new, &[]);
    assert_eq!(desk.part(token), "part of b");
    assert_eq!(desk.beat(&a), Ok(()));
    for who in [static_caller(&b, "b"), caller(&b)] {
        let expected = if who.instance.is_some() {
            GroupError::Fenced
        } else {
            GroupError::UnknownMember
        };
        assert_eq!(
            desk.told(Request::Heartbeat(who.clone())),
            Answer::Heartbeat(Err(expected))
        );
        assert_eq!(desk.commit(who, 1), Err(expected));
    }
    assert_eq!(
        desk.told(Request::Heartbeat(static_caller(&new, "b"))),
        Answer::Heartbeat(Ok(()))
    );
    desk.restart();
    assert_eq!(
        desk.told(Request::Heartbeat(static_caller(&new, "b"))),
        Answer::Heartbeat(Ok(()))
    );
    assert_eq!(
        desk.told(Request::Heartbeat(static_caller(&b, "b"))),
        Answer::Heartbeat(Err(GroupError::Fenced))
    );
}

#[test]
fn a_leader_that_comes_back_has_nothing_to_assign() {
    let (mut desk, ..) = stable();
    let token = desk.join(of("a", "2"));
    let new = desk.joined(token).unwrap().unwrap();
    assert_eq!(
        (new.skip_assignment, new.leader.as_str(), new.members.len()),
        (true, "a-2", 2)
    );
    // An old client would assign, and nobody would get it.
    let token = desk.join(Join {
        may_skip_assignment: false,
        ..of("a", "3")
    });
    let old = desk.joined(token).unwrap().unwrap();
    assert_eq!(
        (old.skip_assignment, old.leader.as_str(), old.members.len()),
        (false, "a-2", 0)
    );
    assert_eq!(old.member, "a-3");
}

#[test]
fn an_id_that_is_not_durable_is_not_told() {
    let (mut desk, ..) = stable();
    desk.prompt = false;
    let token = desk.join(of("b", "2"));
    assert_eq!(desk.joined(token), None);
    desk.write(false);
    desk.settle();
    assert_eq!(
        desk.joined(token).unwrap().unwrap_err().error,
        GroupError::NotAvailable
    );
    let token = desk.join(of("b", "3"));
    desk.write(true);
    desk.settle();
    assert_eq!(desk.joined(token).unwrap().unwrap().member, "b-3");
}

#[test]
fn one_that_changes_what_it_can_do_makes_a_rebalance_if_that_matters() {
    let (mut desk, ..) = stable();
    let mut other = of("b", "2");
    other
        .protocols
        .insert(0, ("sticky".to_owned(), Bytes::new()));
    let token = desk.join(other);
    assert!(desk.joined(token).unwrap().is_ok(), "range stays chosen");
    let mut wrong = of("b", "3");
    wrong.protocols = vec![("sticky".to_owned(), Bytes::new())];
    let token = desk.join(wrong);
    assert_eq!(
        desk.joined(token).unwrap().unwrap_err().error,
        GroupError::InconsistentProtocol
    );
}

#[test]
fn two_processes_with_one_name_fence_each_other() {
    let mut desk = Desk::new();
    let first = desk.join(of("a", "1"));
    let second = desk.join(of("a", "2"));
    assert_eq!(
        desk.joined(first).unwrap().unwrap_err().error,
        GroupError::Fenced
    );
    desk.wait(FIRST_WAIT_MS_MAX);
    let joined = desk.joined(second).unwrap().unwrap();
    // While the leader's part is awaited, a newcomer makes a new generation.
    let waits = desk.sync(&joined, &[]);
    assert!(desk.synced(waits).unwrap().is_ok());
}

#[test]
fn one_that_is_away_is_kept_until_its_session_is_over() {
    let (mut desk, a, _) = stable();
    let new = desk.join(of("c", "1"));
    let token = desk.join(Join {
        member: a.member.clone(),
        ..of("a", "1")
    });
    assert_eq!(desk.joined(token), None, "b is waited for");
    desk.wait(SESSION_MS.into());
    assert_eq!(
        desk.joined(token).unwrap().unwrap().members.len(),
        2,
        "b is gone"
    );
    assert!(desk.joined(new).unwrap().is_ok());
    assert_eq!(
        desk.leave("", Some("c")),
        Ok(()),
        "an administrator needs no id"
    );
    assert_eq!(desk.leave("wrong", Some("a")), Err(GroupError::Fenced));
    assert_eq!(desk.leave(&a.member, Some("a")), Ok(()));
}

#[test]
fn members_that_are_away_and_asked_for_no_time_end_with_their_sessions() {
    let mut desk = Desk::new();
    let hurried = Join {
        rebalance_ms: -1,
        ..of("a", "1")
    };
    let tokens = [desk.join(hurried), desk.join(old_join("b"))];
    desk.wait(FIRST_WAIT_MS_MAX);
    let [a, b] = tokens.map(|token| desk.joined(token).unwrap().unwrap());
    desk.sync(&a, &[]);
    desk.sync(&b, &[]);
    assert_eq!(desk.leave(&b.member, None), Ok(()));
    desk.wait(i64::from(SESSION_MS) + 2000);
    assert_eq!(desk.state(), GroupState::Empty, "a's session is over");
}
