//! A wall clock that jumps must not delete anything, and must not be written into the log.

use headwater_wire::time::Millis;

/// Compares the wall clock with one that nobody sets. When it is more than an hour away from where
/// the time that has gone by would have brought it, ages cannot be trusted: retention by time waits
/// for a day, or until somebody who has looked at the clock accepts it, or until it is set back.
/// What arrives meanwhile is given the later time of the two: it must not look old too early.
#[derive(Clone, Debug, Default)]
pub struct ClockGuard {
    past: Past,
    /// Wall clock less monotonic clock, when it was last taken for right, ms.
    offset: Option<i64>,
    doubt: Option<Standing>,
    /// Both clocks, when they were last looked at: wall, monotonic.
    seen: Option<(Millis, Millis)>,
}

/// What is known of the time before the first look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The clock had jumped forward, and nobody has accepted that.
    pub suspect: bool,
    /// Wall clock less monotonic clock, ms, if the monotonic clock has gone on since.
    pub offset_ms: Option<i64>,
    /// It is later than this, ms since 1970.
    pub seen_ms: Option<i64>,
}

/// What may be wrong with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It jumped forward.
    Ahead,
    /// It jumped back.
    Behind,
    /// The broker was away for so long that nobody can tell.
    Away,
}

/// A doubt that nobody has resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    doubt: Doubt,
    /// Monotonic.
    until: Millis,
    /// It goes back to before the first look, which knew no better time.
    inherited: bool,
}

/// What is wrong with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// What it may be.
    pub doubt: Doubt,
    /// How far it jumped or how long nobody looked, ms; 0 if that is not known.
    pub jumped_ms: i64,
    /// How long nothing is deleted for its age yet, ms.
    pub left_ms: i64,
}

impl ClockGuard {
    /// After a start.
    #[must_use]
    pub fn new(past: Past) -> Self {
        Self {
            past,
            ..Self::default()
        }
    }

    /// Looks at both clocks; gives whether ages can be trusted.
    pub fn look(&mut self, wall: Millis, monotonic: Millis) -> bool {
        if self.offset.is_none() {
            self.look_first(wall, monotonic);
        }
        self.seen = Some((wall, monotonic));
        let until = monotonic.plus(WAIT_MS);
        self.doubt = self.doubt_now(wall, monotonic).map(|(doubt, inherited)| {
            let standing = self.doubt.filter(|standing| standing.doubt == doubt);
            standing.unwrap_or(Standing {
                doubt,
                until,
                inherited,
            })
        });
        if self.doubt.is_some_and(|doubt| monotonic.0 >= doubt.until.0) {
            self.accept();
        }
        self.doubt.is_none()
    }

    /// The time at which something arrives: the wall clock's, unless that has jumped back.
    #[must_use]
    pub fn time(&self, wall: Millis, monotonic: Millis) -> Millis {
        let Some(offset) = self.offset else {
            return wall;
        };
        let is_away = self.doubt.is_some_and(|found| found.doubt == Doubt::Away);
        let step = wall.0.saturating_sub(monotonic.0).saturating_sub(offset);
        match step < -JUMP_MS && !is_away {
            true => monotonic.plus(offset),
            false => wall,
        }
    }

    /// The clock is right as it is.
    pub fn accept(&mut self) {
        self.doubt = None;
        if let Some((wall, monotonic)) = self.seen {
            self.offset = Some(wall.0.saturating_sub(monotonic.0));
        }
    }

    /// What is wrong, as of the last look.
    #[must_use]
    pub fn suspicion(&self) -> Option<Suspicion> {
        let standing = self.doubt?;
        let (wall, monotonic) = self.seen?;
        let step = wall
            .0
            .saturating_sub(monotonic.0)
            .saturating_sub(self.offset?);
        let away = self.past.seen_ms.map(|seen| wall.0.saturating_sub(seen));
        Some(Suspicion {
            doubt: standing.doubt,
            jumped_ms: match standing.inherited {
                true => away.unwrap_or(0),
                false => step,
            },
            left_ms: standing.until.0.saturating_sub(monotonic.0),
        })
    }

    /// What the next life should know of this one.
    #[must_use]
    pub fn past(&self) -> Past {
        let is_ahead = |standing: Standing| standing.doubt == Doubt::Ahead;
        // In doubt, only that is certain which was certain before.
        let is_inherited = self.doubt.is_some_and(|standing| standing.inherited);
        let seen = self.seen.filter(|_| !is_inherited);
        let jumped = self.offset.filter(|_| self.doubt.is_some());
        let time =
            seen.map(|(wall, monotonic)| jumped.map_or(wall, |offset| monotonic.plus(offset)).0);
        Past {
            suspect: self.doubt.is_some_and(is_ahead),
            offset_ms: self.offset.filter(|_| !is_inherited),
            seen_ms: time.max(self.past.seen_ms.filter(|_| is_inherited)),
        }
    }

    /// No clock is believed that says something else than what was known.
    fn look_first(&mut self, wall: Millis, monotonic: Millis) {
        let now = wall.0.saturating_sub(monotonic.0);
        let known = self
            .past
            .seen_ms
            .map_or(i64::MIN, |seen| seen.saturating_sub(monotonic.0));
        self.offset = Some(self.past.offset_ms.unwrap_or_else(|| now.max(known)));
        let away = self
            .past
            .seen_ms
            .map_or(0, |seen| wall.0.saturating_sub(seen));
        let doubt = match self.past {
            Past {
                offset_ms: Some(_), ..
            } => None,
            Past {
                suspect: true,
                seen_ms,
                ..
            } if seen_ms.is_none() || away > JUMP_MS => Some(Doubt::Ahead),
            _ => (away > JUMP_MS).then_some(Doubt::Away),
        };
        self.doubt = doubt.map(|doubt| Standing {
            doubt,
            until: monotonic.plus(WAIT_MS),
            inherited: true,
        });
    }

    /// What is doubtful now, and whether it goes back to before the first look.
    fn doubt_now(&mut self, wall: Millis, monotonic: Millis) -> Option<(Doubt, bool)> {
        let now = wall.0.saturating_sub(monotonic.0);
        let inherited = self.doubt.filter(|standing| standing.inherited);
        let step = now.saturating_sub(self.offset.unwrap_or(now));
        if let Some(standing) = inherited
            && step < -JUMP_MS
        {
            // It was set right, or nearer to it: what was known before still tells.
            self.offset = Some(now);
            let known = self.past.seen_ms?;
            return match wall.0.saturating_sub(known) {
                ahead if ahead < -JUMP_MS => {
                    self.offset = Some(known.saturating_sub(monotonic.0));
                    Some((Doubt::Behind, false))
                }
                ahead if ahead > JUMP_MS => Some((standing.doubt, true)),
                _ => None,
            };
        }
        match step {
            step if step > JUMP_MS => Some((Doubt::Ahead, false)),
            step if step < -JUMP_MS => Some((Doubt::Behind, false)),
            _ => inherited.map(|standing| (standing.doubt, true)),
        }
    }
}

/// A clock that is further than this from where the time that has gone by would have brought it
/// has jumped, ms.
pub const JUMP_MS: i64 = 3_600_000;
/// Nothing is deleted for its age for so long, ms.
const WAIT_MS: i64 = 24 * 3_600_000;

#[cfg(test)]
mod tests;
