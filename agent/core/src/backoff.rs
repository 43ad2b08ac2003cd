//! Full-jitter back-off from a seed.

/// First step, before jitter.
pub const BASE_MS: i64 = 200;
/// Longest step, before jitter.
pub const CAP_MS: i64 = 60_000;

/// How long to wait before the next attempt: a random part of a step that doubles with each
/// failure, so that a thousand agents that lost their broker together do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    random: Random,
    failures: u32,
}

impl Backoff {
    /// A back-off whose jitter follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            failures: 0,
        }
    }

    /// Counts a failure and says how long to wait, ms.
    pub fn next_ms(&mut self) -> i64 {
        let step = BASE_MS
            .saturating_mul(1 << self.failures.min(20))
            .min(CAP_MS);
        self.failures = self.failures.saturating_add(1);
        self.random.below(step)
    }

    /// Between half of `ms` and one and a half of it: a wait that the broker asked for.
    pub fn around_ms(&mut self, ms: i64) -> i64 {
        let ms = ms.clamp(0, CAP_MS);
        ms / 2 + self.random.below(ms)
    }

    /// Progress was made: the next failure starts small again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// xorshift64*: enough for jitter, and the same on every machine.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// From 0 to `end` inclusive.
    fn below(&mut self, end: i64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 1;
        let range = u64::try_from(end).unwrap_or(0).saturating_add(1);
        i64::try_from(number % range).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new(7);
        let longest = |backoff: &mut Backoff| {
            (0..400)
                .map(|_| {
                    let mut one = backoff.clone();
                    backoff.random.below(1);
                    one.next_ms()
                })
                .max()
                .unwrap()
        };
        assert!(longest(&mut backoff) <= BASE_MS);
        for _ in 0..40 {
            assert!((0..=CAP_MS).contains(&backoff.next_ms()));
        }
        assert!(longest(&mut backoff) > CAP_MS / 2);
        backoff.reset();
        assert!(longest(&mut backoff) <= BASE_MS);
    }

    #[test]
    fn jitter_is_spread_and_follows_the_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8).map(|_| backoff.next_ms()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn an_asked_wait_is_kept_within_half_of_it() {
        let mut backoff = Backoff::new(3);
        for _ in 0..100 {
            assert!((500..=1_500).contains(&backoff.around_ms(1_000)));
        }
        assert_eq!(backoff.around_ms(-5), 0);
        assert!(backoff.around_ms(i64::MAX) <= CAP_MS + CAP_MS / 2);
    }
}
