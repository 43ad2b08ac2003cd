//! A wall clock that jumps must not delete anything.

use headwater_wire::time::Millis;

/// Compares the wall clock with one that nobody sets. When it has come more than an hour further
/// than time has gone by, ages cannot be trusted: retention by time waits for a day, or until
/// somebody who has looked at the clock accepts it, or until it is set back.
#[derive(Clone, Debug, Default)]
pub struct ClockGuard {
    /// Wall clock less monotonic clock, when it was last taken for right, ms.
    offset: Option<i64>,
    jump: Option<Jump>,
    /// Both clocks, when they were last looked at: wall, monotonic.
    seen: Option<(Millis, Millis)>,
}

/// A jump that nobody has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Jump {
    /// Monotonic; none until it was looked at in this life.
    until: Option<Millis>,
    /// It was noted by an earlier life, which knew the offset.
    inherited: bool,
}

/// What is wrong with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// How far it jumped, ms; 0 if that was before the last start.
    pub jumped_ms: i64,
    /// How long nothing is deleted for its age yet, ms.
    pub left_ms: i64,
}

impl ClockGuard {
    /// After a start. `was_suspect`: an earlier life noted a jump that nobody has accepted since.
    #[must_use]
    pub fn new(was_suspect: bool) -> Self {
        let jump = was_suspect.then_some(Jump {
            until: None,
            inherited: true,
        });
        Self {
            jump,
            ..Self::default()
        }
    }

    /// Looks at both clocks; gives whether ages can be trusted.
    pub fn look(&mut self, wall: Millis, monotonic: Millis) -> bool {
        self.seen = Some((wall, monotonic));
        let now = wall.0.saturating_sub(monotonic.0);
        let offset = *self.offset.get_or_insert(now);
        let has_jumped = now.saturating_sub(offset) > JUMP_MS;
        let new = has_jumped.then_some(Jump {
            until: None,
            inherited: false,
        });
        let jump = self.jump.or(new);
        let until = monotonic.plus(WAIT_MS);
        self.jump = jump
            .filter(|jump| jump.inherited || has_jumped)
            .map(|jump| Jump {
                until: jump.until.or(Some(until)),
                ..jump
            });
        let is_over = |jump: Jump| jump.until.is_some_and(|until| monotonic.0 >= until.0);
        if self.jump.is_some_and(is_over) {
            self.accept();
        }
        self.jump.is_none()
    }

    /// The clock is right as it is.
    pub fn accept(&mut self) {
        self.jump = None;
        self.offset = self
            .seen
            .map(|(wall, monotonic)| wall.0.saturating_sub(monotonic.0));
    }

    /// What is wrong, as of the last look.
    #[must_use]
    pub fn suspicion(&self) -> Option<Suspicion> {
        let jump = self.jump?;
        let (wall, monotonic) = self.seen.unwrap_or_default();
        let offset = self.offset.filter(|_| !jump.inherited);
        let now = wall.0.saturating_sub(monotonic.0);
        let from_now = monotonic.plus(WAIT_MS);
        let until = jump.until.unwrap_or(from_now);
        Some(Suspicion {
            jumped_ms: offset.map_or(0, |offset| now.saturating_sub(offset)),
            left_ms: until.0.saturating_sub(monotonic.0),
        })
    }
}

/// A clock that comes further than this beyond the time that has gone by has jumped, ms.
const JUMP_MS: i64 = 3_600_000;
/// Nothing is deleted for its age for so long, ms.
const WAIT_MS: i64 = 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn look(guard: &mut ClockGuard, wall: i64, monotonic: i64) -> bool {
        guard.look(Millis(wall), Millis(monotonic))
    }

    #[test]
    fn a_jump_waits_for_a_day() {
        let mut guard = ClockGuard::new(false);
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
        assert_eq!(
            (suspicion.jumped_ms, suspicion.left_ms),
            (HOUR + 1, 24 * HOUR)
        );
        assert!(!look(&mut guard, 1001 + 74 * HOUR, 5 + 73 * HOUR));
        assert!(
            look(&mut guard, 1001 + 75 * HOUR, 5 + 74 * HOUR),
            "the day is over"
        );
        assert!(
            look(&mut guard, 1001 + 76 * HOUR, 5 + 75 * HOUR),
            "and the clock right"
        );
        assert_eq!(guard.suspicion(), None);
    }

    #[test]
    fn small_steps_add_up() {
        let mut guard = ClockGuard::new(false);
        assert!(look(&mut guard, 0, 0));
        assert!(look(&mut guard, 40 * 60_000, 1));
        assert!(!look(&mut guard, 80 * 60_000, 2));
    }

    #[test]
    fn set_back_or_accepted_it_is_right_again() {
        let mut guard = ClockGuard::new(false);
        assert!(look(&mut guard, 0, 0));
        assert!(!look(&mut guard, 100 * HOUR, 1));
        assert!(look(&mut guard, 2, 2), "it was set back");
        assert!(look(&mut guard, -9 * HOUR, 3), "backwards deletes nothing");
        assert!(!look(&mut guard, 100 * HOUR, 4));
        guard.accept();
        assert!(look(&mut guard, 100 * HOUR + 1, 5));
        assert!(!look(&mut guard, 200 * HOUR, 6));
    }

    #[test]
    fn a_start_does_not_forget() {
        let mut guard = ClockGuard::new(true);
        assert!(guard.suspicion().is_some());
        assert!(!look(&mut guard, 0, 100));
        assert_eq!(guard.suspicion().unwrap().jumped_ms, 0);
        assert!(!look(&mut guard, 24 * HOUR - 1, 99 + 24 * HOUR));
        assert!(look(&mut guard, 24 * HOUR, 100 + 24 * HOUR));
        let mut guard = ClockGuard::new(true);
        assert!(!look(&mut guard, 0, 0));
        guard.accept();
        assert!(look(&mut guard, 0, 0));
    }
}
