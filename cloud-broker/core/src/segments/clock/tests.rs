use super::*;

const HOUR: i64 = 3_600_000;

fn look(guard: &mut ClockGuard, wall: i64, monotonic: i64) -> bool {
    guard.look(Millis(wall), Millis(monotonic))
}

fn time(guard: &ClockGuard, wall: i64, monotonic: i64) -> i64 {
    guard.time(Millis(wall), Millis(monotonic)).0
}

/// The guard of a life that knows this much, and its first look.
fn first(past: Past, wall: i64) -> (ClockGuard, bool) {
    let mut guard = ClockGuard::new(past);
    let trusted = look(&mut guard, wall, 0);
    (guard, trusted)
}

fn doubt(guard: &ClockGuard) -> Option<(Doubt, i64)> {
    let suspicion = guard.suspicion();
    suspicion.map(|found| (found.doubt, found.jumped_ms))
}

#[test]
fn a_jump_waits_for_a_day() {
    let mut guard = ClockGuard::default();
    assert!(look(&mut guard, 1000, 5));
    assert!(
        look(&mut guard, 1000 + 50 * HOUR, 5 + 50 * HOUR),
        "time goes by"
    );
    assert!(
        look(&mut guard, 1000 + 51 * HOUR, 5 + 50 * HOUR),
        "an hour is nothing"
    );
    assert!(!look(&mut guard, 1001 + 51 * HOUR, 5 + 50 * HOUR));
    let suspicion = guard.suspicion().unwrap();
    let found = (suspicion.doubt, suspicion.jumped_ms, suspicion.left_ms);
    assert_eq!(found, (Doubt::Ahead, HOUR + 1, 24 * HOUR));
    assert!(!look(&mut guard, 1001 + 74 * HOUR, 5 + 73 * HOUR));
    assert_eq!(guard.past().seen_ms, Some(1000 + 73 * HOUR), "for sure");
    assert_eq!(
        time(&guard, 1001 + 74 * HOUR, 5 + 73 * HOUR),
        1001 + 74 * HOUR,
        "or it looks old"
    );
    assert!(
        look(&mut guard, 1001 + 75 * HOUR, 5 + 74 * HOUR),
        "the day is over"
    );
    assert_eq!(guard.past().seen_ms, Some(1001 + 75 * HOUR));
    assert!(
        look(&mut guard, 1001 + 76 * HOUR, 5 + 75 * HOUR),
        "and the clock right"
    );
    assert_eq!(guard.suspicion(), None);
}

#[test]
fn small_steps_add_up() {
    let mut guard = ClockGuard::default();
    assert!(look(&mut guard, 0, 0));
    assert!(look(&mut guard, 40 * 60_000, 1));
    assert!(!look(&mut guard, 80 * 60_000, 2));
}

#[test]
fn set_back_or_accepted_it_is_right_again() {
    let mut guard = ClockGuard::default();
    assert!(look(&mut guard, 0, 0));
    assert!(!look(&mut guard, 100 * HOUR, 1));
    assert!(look(&mut guard, 2, 2), "it was set back");
    assert!(!look(&mut guard, -9 * HOUR, 3));
    assert_eq!(doubt(&guard), Some((Doubt::Behind, -9 * HOUR - 3)));
    assert_eq!(time(&guard, -9 * HOUR, 3), 3);
    assert!(!look(&mut guard, 100 * HOUR, 4));
    guard.accept();
    assert!(look(&mut guard, 100 * HOUR + 1, 5));
    assert!(!look(&mut guard, 200 * HOUR, 6));
}

#[test]
fn within_a_boot_a_start_knows_as_much_as_the_life_before() {
    let mut guard = ClockGuard::default();
    look(&mut guard, 1000, 0);
    assert!(!look(&mut guard, 50 * HOUR, 10));
    let mut next = ClockGuard::new(guard.past());
    assert!(!look(&mut next, 50 * HOUR + 5, 15));
    assert_eq!(doubt(&next), Some((Doubt::Ahead, 50 * HOUR - 1010)));
    assert!(look(&mut next, 1020, 20), "it was set back");
    let past = next.past();
    assert!(!past.suspect);
    let mut away = ClockGuard::new(past);
    assert!(
        look(&mut away, 1000 + 500 * HOUR, 500 * HOUR),
        "however long that took"
    );
}

#[test]
fn the_first_look_after_a_boot_trusts_no_clock_blindly() {
    let past = Past {
        seen_ms: Some(100 * HOUR),
        ..Past::default()
    };
    assert!(first(past, 101 * HOUR).1, "an hour is nothing");
    let (mut guard, trusted) = first(past, 300 * HOUR);
    assert!(!trusted);
    assert_eq!(doubt(&guard), Some((Doubt::Away, 200 * HOUR)));
    assert_eq!(
        guard.past().seen_ms,
        Some(100 * HOUR),
        "nothing is more certain"
    );
    assert_eq!(
        time(&guard, 300 * HOUR, 1),
        300 * HOUR,
        "there is none better"
    );
    assert_eq!(time(&guard, 120 * HOUR, 1), 120 * HOUR);
    assert!(!look(&mut guard, 120 * HOUR, 1), "set back, but who knows");
    assert_eq!(doubt(&guard), Some((Doubt::Away, 20 * HOUR)));
    assert!(look(&mut guard, 100 * HOUR + 2, 2), "set right");
    let (mut guard, _) = first(past, 300 * HOUR);
    assert!(look(&mut guard, 324 * HOUR, 24 * HOUR), "a day later");
    // A clock that the boot has reset, until it is set.
    let (mut guard, trusted) = first(past, 5);
    assert!(!trusted);
    assert_eq!(doubt(&guard), Some((Doubt::Behind, 5 - 100 * HOUR)));
    assert_eq!(time(&guard, 10, 5), 100 * HOUR + 5);
    assert!(look(&mut guard, 100 * HOUR + 20, 10));
    assert!(
        first(Past::default(), 300 * HOUR).1,
        "the first life of all"
    );
}

#[test]
fn a_boot_does_not_forget_a_jump() {
    for seen_ms in [None, Some(7)] {
        let past = Past {
            suspect: true,
            seen_ms,
            ..Past::default()
        };
        let (mut guard, trusted) = first(past, 90 * HOUR);
        assert!(!trusted);
        assert_eq!(guard.suspicion().unwrap().doubt, Doubt::Ahead);
        assert!(guard.past().suspect);
        assert!(!look(&mut guard, 113 * HOUR, 23 * HOUR));
        assert!(look(&mut guard, 114 * HOUR, 24 * HOUR));
        let (mut guard, _) = first(past, 90 * HOUR);
        guard.accept();
        assert!(look(&mut guard, 90 * HOUR, 0));
        assert!(!guard.past().suspect);
    }
    let past = Past {
        suspect: true,
        seen_ms: Some(7),
        ..Past::default()
    };
    assert!(first(past, HOUR).1, "it was set back meanwhile");
}
