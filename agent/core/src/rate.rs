//! How fast something goes, for the estimates in `status`.

use headwater_wire::time::Millis;

/// Weight of the past halves in this time, ms.
const HALF_LIFE_MS: f64 = 10_000.0;

/// A rate per second that forgets: an exponential mean over some tens of seconds.
#[derive(Debug, Clone)]
pub struct Rate {
    at: Millis,
    /// Decayed amount; divided by the mean lifetime it is the rate.
    amount: f64,
}

impl Rate {
    /// A rate of zero.
    pub fn new(now: Millis) -> Self {
        Self {
            at: now,
            amount: 0.0,
        }
    }

    /// `amount` more happened.
    pub fn add(&mut self, now: Millis, amount: u64) {
        self.amount = self.decayed(now) + precise(amount);
        self.at = now;
    }

    /// Amount per second.
    pub fn per_second(&self, now: Millis) -> f64 {
        let lifetime_s = HALF_LIFE_MS / 1_000.0 / std::f64::consts::LN_2;
        self.decayed(now) / lifetime_s
    }

    /// Seconds until `amount` is done at this rate; `None` if it hardly moves.
    pub fn seconds_for(&self, now: Millis, amount: u64) -> Option<u64> {
        let rate = self.per_second(now);
        if rate < 0.01 {
            return None;
        }
        let seconds = precise(amount) / rate;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and a float saturates"
        )]
        Some(seconds.ceil() as u64)
    }

    fn decayed(&self, now: Millis) -> f64 {
        let elapsed_ms = u64::try_from(now.since(self.at)).unwrap_or(0);
        self.amount * (-precise(elapsed_ms) / HALF_LIFE_MS * std::f64::consts::LN_2).exp()
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
fn precise(amount: u64) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_at_what_happens_and_fades() {
        let mut rate = Rate::new(Millis(0));
        for second in 1..200 {
            rate.add(Millis(second * 1_000), 500);
        }
        let now = Millis(199_000);
        assert!(
            (450.0..550.0).contains(&rate.per_second(now)),
            "{}",
            rate.per_second(now)
        );
        assert!((9..=11).contains(&rate.seconds_for(now, 5_000).unwrap()));
        assert_eq!(rate.seconds_for(Millis(600_000), 5_000), None);
        assert_eq!(Rate::new(now).seconds_for(now, 1), None);
    }
}
