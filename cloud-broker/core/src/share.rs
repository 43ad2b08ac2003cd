//! How much of a core's time goes to those who bring much at once, while others write too.
//!
//! A core that is busy all the time keeps everybody waiting, however short each piece of its work
//! is: the system takes milliseconds to let another thread run. So while others write, bulk work
//! gets a share of each core and then rests; while nobody else does, it gets all there is.

use std::time::Duration;

/// While others write, bulk work takes one part in so many of a core's time.
pub const SHARE: u32 = 4;
/// Others are taken to go on for so long after they last wrote.
pub const LIVE_FOR: Duration = Duration::from_secs(1);
/// A rest that was longer than it had to be is made up for, up to this: timers are coarse.
const CREDIT_MAX: Duration = Duration::from_millis(4);

/// One core's account. All times are counted from one moment that the caller chooses.
#[derive(Clone, Copy, Debug, Default)]
pub struct BulkShare {
    /// When the work that was done is paid for.
    paid_at: Duration,
}

impl BulkShare {
    /// How long the next piece of bulk work has to wait; `quiet_for`: for how long nobody else has
    /// written.
    #[must_use]
    pub fn rest(&self, now: Duration, quiet_for: Duration) -> Duration {
        if quiet_for >= LIVE_FOR {
            return Duration::ZERO;
        }
        self.paid_at.saturating_sub(now)
    }

    /// A piece of bulk work was done. Work in a time without others leaves no debt.
    pub fn spend(&mut self, began: Duration, took: Duration) {
        let oldest = began.saturating_sub(CREDIT_MAX);
        self.paid_at = self.paid_at.clamp(oldest, began) + took.saturating_mul(SHARE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const BUSY: Duration = Duration::ZERO;

    /// Works in pieces of `piece` as soon as it may, `late` late; gives what was worked until `end`.
    fn work(piece: Duration, late: Duration, quiet_for: Duration, end: Duration) -> Duration {
        let (mut share, mut now, mut worked) = (BulkShare::default(), Duration::ZERO, BUSY);
        while now < end {
            let rest = share.rest(now, quiet_for);
            if rest.is_zero() {
                share.spend(now, piece);
                (now, worked) = (now + piece, worked + piece);
            } else {
                now += rest + late;
            }
        }
        worked
    }

    #[test]
    fn while_others_write_bulk_has_its_share_whatever_the_size_of_its_pieces() {
        let end = 4000 * MS;
        for piece in [MS / 10, MS / 3, MS, 20 * MS] {
            for late in [BUSY, MS] {
                let worked = work(piece, late, BUSY, end);
                assert!(worked <= end / SHARE + piece + CREDIT_MAX, "{worked:?}");
                assert!(
                    worked >= end / SHARE * 9 / 10,
                    "{worked:?} {piece:?} {late:?}"
                );
            }
        }
    }

    #[test]
    fn alone_it_has_everything_and_leaves_no_debt() {
        assert_eq!(work(MS, BUSY, LIVE_FOR, 1000 * MS), 1000 * MS);
        let mut share = BulkShare::default();
        for at in 0..1000 {
            assert_eq!(share.rest(at * MS, LIVE_FOR), BUSY);
            share.spend(at * MS, MS);
        }
        assert_eq!(share.rest(1000 * MS, BUSY), (SHARE - 1) * MS);
        assert_eq!(share.rest((1000 + SHARE) * MS, BUSY), BUSY);
    }

    #[test]
    fn a_long_rest_does_not_pay_for_a_burst() {
        let mut share = BulkShare::default();
        let now = 3600 * 1000 * MS;
        share.spend(now, 2 * MS);
        assert_eq!(
            share.rest(now + 2 * MS, BUSY),
            2 * SHARE * MS - 2 * MS - CREDIT_MAX
        );
    }
}
