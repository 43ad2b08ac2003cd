//! Members come, stay and go.

use super::*;

#[test]
fn the_first_members_wait_for_each_other_and_the_first_of_them_leads() {
    let mut desk = Desk::new();
    let first = desk.join(old_join("a"));
    desk.wait(FIRST_WAIT_MS - 1);
    let second = desk.join(old_join("b"));
    desk.wait(FIRST_WAIT_MS - 1);
    assert_eq!((desk.joined(first), desk.joined(second)), (None, None));
    desk.wait(1);
    let first = desk.joined(first).unwrap().unwrap();
    let second = desk.joined(second).unwrap().unwrap();
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!(
        (&first.leader, &second.leader),
        (&first.member, &first.member)
    );
    assert_eq!(
        (first.members.len(), second.members.len()),
        (2, 0),
        "the leader alone is told"
    );
    assert_eq!(desk.state(), GroupState::CompletingRebalance);
}

#[test]
fn a_new_client_learns_its_id_first() {
    let mut desk = Desk::new();
    let asked = Join {
        id_required: true,
        ..old_join("client")
    };
    let token = desk.join(asked.clone());
    let refused = desk.joined(token).unwrap().unwrap_err();
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert_eq!(refused.member, "client-1");
    assert_eq!(desk.describe("g"), None, "an id alone makes no group");
    let join = Join {
        member: refused.member.clone(),
        ..asked.clone()
    };
    let token = desk.join(join.clone());
    desk.wait(FIRST_WAIT_MS);
    assert_eq!(desk.joined(token).unwrap().unwrap().member, refused.member);
    let token = desk.join(Join {
        member: "somebody".to_owned(),
        ..join
    });
    assert_eq!(
        desk.joined(token).unwrap().unwrap_err().error,
        GroupError::UnknownMember
    );
    // An id that nobody comes back with is given up.
    desk.join(Join {
        fresh: "2".to_owned(),
        group: "other".to_owned(),
        ..asked
    });
    assert!(desk.groups.groups.contains_key("other"));
    desk.wait(SESSION_MS.into());
    assert!(!desk.groups.groups.contains_key("other"));
}

#[test]
fn parts_are_given_when_they_are_durable() {
    let mut desk = Desk::new();
    let token = desk.join(old_join("a"));
    desk.wait(FIRST_WAIT_MS);
    let joined = desk.joined(token).unwrap().unwrap();
    desk.prompt = false;
    let token = desk.sync(&joined, &[(&joined.member, "all")]);
    assert_eq!(
        desk.beat(&joined),
        Ok(()),
        "clients begin before they have their part"
    );
    assert_eq!(desk.synced(token), None);
    desk.write(false);
    desk.settle();
    assert_eq!(desk.synced(token), Some(Err(GroupError::NotAvailable)));
    assert_eq!(desk.beat(&joined), Err(GroupError::Rebalancing));
    let token = desk.join(again(&joined, "a"));
    let joined = desk.joined(token).unwrap().unwrap();
    assert_eq!(joined.generation, 2);
    let token = desk.sync(&joined, &[(&joined.member, "all")]);
    desk.write(true);
    desk.settle();
    assert_eq!(desk.part(token), "all");
}

#[test]
fn a_member_that_the_leader_leaves_out_gets_an_empty_part() {
    let mut desk = Desk::new();
    let tokens = [desk.join(old_join("a")), desk.join(old_join("b"))];
    desk.wait(FIRST_WAIT_MS_MAX);
    let [a, b] = tokens.map(|token| desk.joined(token).unwrap().unwrap());
    let waits = desk.sync(&b, &[]);
    assert_eq!(desk.synced(waits), None, "followers wait for the leader");
    let leads = desk.sync(&a, &[(&a.member, "all"), ("nobody", "x")]);
    assert_eq!(
        (desk.part(leads).as_str(), desk.part(waits).as_str()),
        ("all", "")
    );
    let again = desk.sync(&b, &[]);
    assert_eq!(desk.part(again), "", "and may ask again");
}

#[test]
fn one_that_comes_makes_the_others_join_again() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a"]);
    let new = desk.join(old_join("b"));
    assert_eq!(desk.beat(&members[0]), Err(GroupError::Rebalancing));
    let token = desk.sync(&members[0], &[]);
    assert_eq!(desk.synced(token), Some(Err(GroupError::Rebalancing)));
    let old = desk.join(again(&members[0], "a"));
    let (old, new) = (
        desk.joined(old).unwrap().unwrap(),
        desk.joined(new).unwrap().unwrap(),
    );
    assert_eq!((old.generation, new.generation), (2, 2));
    assert_eq!(old.leader, old.member, "the leader stays");
    assert_eq!(desk.beat(&members[0]), Err(GroupError::IllegalGeneration));
}

#[test]
fn one_that_does_not_join_again_in_time_is_out() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a", "b"]);
    let new = desk.join(old_join("c"));
    let old = desk.join(again(&members[0], "a"));
    for _ in 0..5 {
        desk.wait(i64::from(REBALANCE_MS) / 5 - 1);
        assert_eq!(desk.beat(&members[1]), Err(GroupError::Rebalancing));
    }
    assert_eq!(desk.joined(new), None);
    desk.wait(10);
    assert_eq!(desk.joined(new).unwrap().unwrap().generation, 2);
    assert_eq!(desk.joined(old).unwrap().unwrap().members.len(), 2);
    assert_eq!(desk.beat(&members[1]), Err(GroupError::UnknownMember));
}

#[test]
fn silence_ends_a_session_and_a_sign_of_life_prolongs_it() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a", "b"]);
    for _ in 0..3 {
        desk.wait(i64::from(SESSION_MS) - 1);
        assert!(
            desk.beat(&members[0]) == Ok(())
                || desk.beat(&members[0]) == Err(GroupError::Rebalancing)
        );
    }
    assert_eq!(desk.beat(&members[1]), Err(GroupError::UnknownMember));
    assert_eq!(desk.state(), GroupState::PreparingRebalance);
    desk.wait(SESSION_MS.into());
    assert_eq!(desk.state(), GroupState::Empty, "nobody is left");
}

#[test]
fn who_leaves_is_out_at_once_and_each_is_told_for_itself() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a", "b"]);
    let names = vec![
        (members[1].member.clone(), None),
        ("nobody".to_owned(), None),
        (String::new(), Some("x".to_owned())),
    ];
    let leave = Leave {
        group: "g".to_owned(),
        members: names,
    };
    let unknown = Err(GroupError::UnknownMember);
    assert_eq!(
        desk.told(Request::Leave(leave)),
        Answer::Leave(Ok(vec![Ok(()), unknown, unknown]))
    );
    let token = desk.join(again(&members[0], "a"));
    assert_eq!(
        desk.joined(token).unwrap().unwrap().members.len(),
        1,
        "nobody is waited for"
    );
    assert_eq!(desk.leave(&members[0].member, None), Ok(()));
    assert_eq!(desk.state(), GroupState::Empty);
}

#[test]
fn one_that_owes_its_sync_too_long_is_out() {
    let mut desk = Desk::new();
    let tokens = [desk.join(old_join("a")), desk.join(old_join("b"))];
    desk.wait(FIRST_WAIT_MS_MAX);
    let [a, b] = tokens.map(|token| desk.joined(token).unwrap().unwrap());
    let waits = desk.sync(&b, &[]);
    for _ in 0..5 {
        desk.wait(i64::from(REBALANCE_MS) / 5);
        // The leader lives, but gives out nothing.
        let _ = desk.beat(&a);
    }
    assert_eq!(desk.synced(waits), Some(Err(GroupError::Rebalancing)));
    assert_eq!(desk.beat(&a), Err(GroupError::UnknownMember));
}

#[test]
fn the_protocol_is_one_that_all_know_and_most_prefer() {
    let mut desk = Desk::new();
    let knows = |name: &str, protocols: &[&str]| Join {
        protocols: protocols
            .iter()
            .map(|name| ((*name).to_owned(), Bytes::new()))
            .collect(),
        ..old_join(name)
    };
    let all = [
        knows("a", &["sticky", "range", "x"]),
        knows("b", &["range", "sticky"]),
        knows("c", &["y", "range", "sticky"]),
    ];
    let tokens = all.map(|join| desk.join(join));
    let refused = desk.join(knows("d", &["x", "y"]));
    assert_eq!(
        desk.joined(refused).unwrap().unwrap_err().error,
        GroupError::InconsistentProtocol
    );
    let refused = desk.join(Join {
        protocol_type: "connect".to_owned(),
        ..knows("d", &["range"])
    });
    assert_eq!(
        desk.joined(refused).unwrap().unwrap_err().error,
        GroupError::InconsistentProtocol
    );
    desk.wait(FIRST_WAIT_MS_MAX);
    let chosen = tokens.map(|token| desk.joined(token).unwrap().unwrap().protocol);
    assert_eq!(chosen, ["range", "range", "range"]);
}

#[test]
fn a_connection_that_ends_takes_its_wait_along() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a"]);
    let nameless = desk.join(old_join("b"));
    desk.groups.handle_gone(desk.now, "g", nameless);
    desk.settle();
    assert_eq!(desk.joined(nameless), None);
    let token = desk.join(again(&members[0], "a"));
    let joined = desk.joined(token).unwrap().unwrap();
    assert_eq!(
        joined.members.len(),
        1,
        "one that nobody can name is forgotten"
    );
    // One that knows its id may come back until its session is over.
    let other = desk.join(old_join("c"));
    let token = desk.join(again(&joined, "a"));
    let other = (
        desk.joined(other).unwrap().unwrap(),
        desk.joined(token).unwrap().unwrap(),
    );
    let third = desk.join(old_join("d"));
    let waits = desk.join(again(&other.0, "c"));
    desk.groups.handle_gone(desk.now, "g", waits);
    let token = desk.join(again(&other.1, "a"));
    assert_eq!(desk.joined(token), None);
    desk.wait(SESSION_MS.into());
    assert_eq!(desk.joined(token).unwrap().unwrap().members.len(), 2);
    assert!(desk.joined(third).unwrap().is_ok());
}

#[test]
fn a_restart_changes_nothing_for_the_members_of_a_stable_group() {
    let mut desk = Desk::new();
    let members = desk.stable(&["a", "b"]);
    desk.restart();
    assert_eq!(desk.state(), GroupState::Stable);
    assert_eq!(
        (desk.beat(&members[0]), desk.beat(&members[1])),
        (Ok(()), Ok(()))
    );
    let token = desk.sync(&members[1], &[]);
    assert_eq!(desk.part(token), "part of b");
    let described = desk.describe("g").unwrap();
    assert_eq!(
        (described.protocol.as_str(), described.members.len()),
        ("range", 2)
    );
    // A generation that had no part yet is not known any more.
    let new = desk.join(old_join("c"));
    let tokens = [
        desk.join(again(&members[0], "a")),
        desk.join(again(&members[1], "b")),
    ];
    let joined = tokens.map(|token| desk.joined(token).unwrap().unwrap());
    assert!(desk.joined(new).unwrap().is_ok());
    desk.restart();
    assert_eq!(desk.beat(&joined[0]), Err(GroupError::IllegalGeneration));
    let token = desk.join(again(&members[0], "a"));
    assert_eq!(
        desk.joined(token),
        None,
        "the leader joins again, so all do"
    );
}
