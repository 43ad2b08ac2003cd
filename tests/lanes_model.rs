//! The lane protocol, every state within small bounds: nothing acknowledged is silently missing,
//! whatever fails; and each known mistake is found. Larger bounds: the program `model`.

use std::time::Duration;

use headwater_tests::models::check::{drains, run};
use headwater_tests::models::lanes::journal::compare;
use headwater_tests::models::lanes::{
    Bounds, MISTAKES, PROFILES, Profile, Protocol, State, Step, is_settled,
};
use stateright::{Expectation, Model};

/// Never reached: it ends a run that has lost its bounds.
const LIMIT: Duration = Duration::from_secs(300);
const STATES_MAX: usize = 1_000_000;

#[test]
fn the_protocol_holds_in_every_state() {
    for Profile { name, bounds, .. } in PROFILES.iter().filter(|profile| profile.is_small) {
        let outcome = run(*bounds, None, LIMIT);
        assert_eq!(outcome.violation, None, "{name}");
        assert!(outcome.is_exhaustive, "{name}: {} states", outcome.states);
        assert!(
            outcome.never.is_empty(),
            "{name}: never {:?}",
            outcome.never
        );
        let reach = drains(*bounds, None, STATES_MAX);
        assert_eq!(reach.stuck, None, "{name} cannot drain from here");
        assert!(!reach.is_cut, "{name}: {} states", reach.states);
        assert_eq!(
            reach.states, outcome.states,
            "{name}: both looked at all states"
        );
    }
}

#[test]
fn every_mistake_is_found() {
    for (mistake, name, found_in) in MISTAKES {
        let profile = PROFILES.iter().find(|profile| profile.name == *found_in);
        let bounds = profile.expect("a profile").bounds;
        let outcome = run(bounds, Some(*mistake), LIMIT);
        assert!(
            outcome.violation.is_some(),
            "{name} was not found in {found_in}, {} states",
            outcome.states
        );
    }
}

/// More of everything than any profile, all that the journal remembers, and no restore.
const WALK: Bounds = Bounds {
    records: 12,
    open: 3,
    batch: 3,
    window: 3,
    wrap: 100,
    ring: 5,
    grace: 1,
    broker_crashes: 3,
    agent_crashes: 2,
    restores: 0,
    images: 2,
    clones: true,
    evictions: 2,
    vanished: 2,
};

#[test]
fn the_journal_answers_as_the_model_does() {
    let protocol = Protocol::right(WALK);
    let asked = (0..2_000)
        .map(|seed| compare(&protocol, seed, 200).unwrap_or_else(|error| panic!("{error}")));
    let asked: usize = asked.sum();
    assert!(asked > 20_000, "the journal was asked only {asked} times");
}

/// The limit that ARCHITECTURE names: a broker restored while a disk is cloned. The first agent
/// takes position 0 for a record of its own; the second had let its record go there.
#[rustfmt::skip]
const RESTORED_AMID_A_CLONE: &[Step] = {
    use Step::{Clone, Cut, Deliver, Receive, Repair, Restore, Resume, Seal, Send, Take};
    &[
        Clone, Take(1), Take(1), Take(0), Seal(0, 1), Seal(1, 1), Seal(1, 1),
        Resume(1), Receive(1), Send(1), Send(1), Deliver(1), Receive(1), Deliver(1), Receive(1),
        Restore(0), Resume(0), Receive(0), Send(0), Deliver(0), Receive(0),
        Cut(1), Resume(1), Receive(1), Send(1), Deliver(1), Receive(1),
        Cut(0), Resume(0), Receive(0), Repair(0), Receive(0), Resume(0), Receive(0),
    ]
};

#[test]
fn a_restore_amid_a_clone_can_lose_what_one_copy_had_let_go() {
    // Where the broker never crashes, answers wait for no commit.
    let bounds = Bounds {
        restores: 1,
        grace: 0,
        broker_crashes: 0,
        ..WALK
    };
    let protocol = Protocol::right(bounds);
    let mut state = State::default();
    for step in RESTORED_AMID_A_CLONE {
        let mut possible = Vec::new();
        protocol.actions(&state, &mut possible);
        assert!(possible.contains(step), "{step:?} is not in {possible:?}");
        let next = protocol.next_state(&state, *step);
        state = next.expect("it leads somewhere");
    }
    assert!(is_settled(&protocol, &state));
    let broken = protocol.properties().into_iter().filter(|property| {
        property.expectation == Expectation::Always && !(property.condition)(&protocol, &state)
    });
    let broken: Vec<_> = broken.map(|property| property.name).collect();
    let missing = "once settled, what was acknowledged is in the log or declared lost";
    assert_eq!(broken, [missing]);
}
