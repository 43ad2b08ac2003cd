//! Time as a plain number, so that cores take it as an argument and tests turn it by hand.

/// Milliseconds since 1970-01-01 UTC where events are dated; since any fixed point where only
/// differences matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// Earlier than every other time.
    pub const MIN: Self = Self(i64::MIN);
    /// Later than every other time: never.
    pub const MAX: Self = Self(i64::MAX);

    /// This time and `ms` milliseconds more, at most [`Millis::MAX`].
    #[must_use]
    pub const fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds that have gone by since `earlier`; negative if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_within_the_type() {
        assert_eq!(Millis(5).plus(10), Millis(15));
        assert_eq!(Millis::MAX.plus(1), Millis::MAX);
        assert_eq!(Millis(5).since(Millis(15)), -10);
        assert_eq!(Millis::MAX.since(Millis::MIN), i64::MAX);
    }
}
