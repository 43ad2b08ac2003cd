//! Whether the wall clock can be trusted with deletions: the guard, and the register that tells the
//! next start.

use std::sync::{Mutex, PoisonError};

use headwater_broker_core::segments::{ClockGuard, JUMP_MS, Past, Suspicion};
use headwater_store::format::Rest;
use headwater_store::format::clock::Clock;
use headwater_store::traits::Registers;
use headwater_store::{Outcome, StoreError, WriteId, names};
use headwater_wire::time::Millis;

use super::options::Options;
use super::random;

/// The guard of this process's clock.
#[derive(Debug)]
pub(super) struct GuardedClock {
    state: Mutex<State>,
    /// Names the boot of the machine.
    boot: String,
}

#[derive(Debug)]
struct State {
    guard: ClockGuard,
    /// What the register says, of this boot.
    noted: Option<Past>,
}

impl GuardedClock {
    /// As an earlier life has left it, and its first look. `newest_ms`: when the newest batch of the
    /// log arrived.
    ///
    /// # Errors
    /// The register cannot be read.
    pub(super) fn open(
        registers: &dyn Registers,
        options: &Options,
        newest_ms: Option<i64>,
    ) -> Result<Self, StoreError> {
        let boot = options.boot.clone();
        let noted = read(registers)?.map(|(clock, _)| past(clock, &boot));
        let unknown = noted.unwrap_or_default();
        let guard = ClockGuard::new(Past {
            seen_ms: unknown.seen_ms.or(newest_ms),
            ..unknown
        });
        let clock = Self {
            state: Mutex::new(State { guard, noted }),
            boot,
        };
        clock.look(registers, (options.clock)(), (options.monotonic)());
        Ok(clock)
    }

    /// Looks at both clocks; gives whether ages can be trusted. What the next life has to know of
    /// that is noted, if it can be: otherwise that one trusts no more than this.
    pub(super) fn look(&self, registers: &dyn Registers, wall: Millis, monotonic: Millis) -> bool {
        let mut state = self.lock();
        let before = state.guard.suspicion().map(|found| found.doubt);
        let trusted = state.guard.look(wall, monotonic);
        if let Some(found) = state.guard.suspicion()
            && before != Some(found.doubt)
        {
            tracing::warn!(
                "The clock may be wrong ({:?}, by {} s): nothing is deleted for its age for {} h, or until the clock is set right or accepted",
                found.doubt,
                found.jumped_ms / 1000,
                found.left_ms / 3_600_000
            );
        }
        let past = state.guard.past();
        if !state
            .noted
            .is_some_and(|noted| says_the_same(&noted, &past))
        {
            match note(registers, &past, &self.boot) {
                Ok(()) => state.noted = Some(past),
                Err(error) => tracing::debug!("What is known of the clock is not noted: {error}"),
            }
        }
        trusted
    }

    /// The time at which something arrives.
    pub(super) fn time(&self, wall: Millis, monotonic: Millis) -> Millis {
        self.lock().guard.time(wall, monotonic)
    }

    /// Somebody says that the clock is right, as these clocks say.
    pub(super) fn accept(
        &self,
        registers: &dyn Registers,
        wall: Millis,
        monotonic: Millis,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let mut guard = state.guard.clone();
        guard.look(wall, monotonic);
        guard.accept();
        let past = guard.past();
        note(registers, &past, &self.boot)?;
        (state.guard, state.noted) = (guard, Some(past));
        Ok(())
    }

    /// What is wrong with it, as far as it is known.
    pub(super) fn suspicion(&self) -> Option<Suspicion> {
        self.lock().guard.suspicion()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a register says, `boot` being the present one.
fn past(clock: Clock, boot: &str) -> Past {
    let is_same = !boot.is_empty() && clock.boot.as_deref() == Some(boot);
    Past {
        suspect: clock.suspect,
        offset_ms: clock.offset_ms.filter(|_| is_same),
        seen_ms: clock.seen_ms,
    }
}

/// Whether the next life would do the same: clocks that are set a little are not noted each time.
fn says_the_same(noted: &Past, past: &Past) -> bool {
    let is_near = |a: Option<i64>, b: Option<i64>, most: i64| match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) < most.unsigned_abs(),
        (a, b) => a == b,
    };
    noted.suspect == past.suspect
        && is_near(noted.offset_ms, past.offset_ms, OFFSET_MS)
        && is_near(noted.seen_ms, past.seen_ms, JUMP_MS / 4)
}

type Read = Option<(Clock, headwater_store::Version)>;

fn read(registers: &dyn Registers) -> Result<Read, StoreError> {
    let Some(found) = registers.read(names::CLOCK)? else {
        return Ok(None);
    };
    let clock = Clock::decode(&found.value)
        .map_err(|error| StoreError::format("Cannot read", names::CLOCK, error))?;
    Ok(Some((clock, found.version)))
}

fn note(registers: &dyn Registers, past: &Past, boot: &str) -> Result<(), StoreError> {
    loop {
        let read = read(registers)?;
        let (rev, rest) = match &read {
            Some((clock, _)) => (clock.rev, clock.rest.clone()),
            None => (0, Rest::new()),
        };
        let clock = Clock {
            rev: rev.saturating_add(1),
            write_id: WriteId(random()),
            suspect: past.suspect,
            boot: past.offset_ms.map(|_| boot.to_owned()),
            offset_ms: past.offset_ms,
            seen_ms: past.seen_ms,
            rest,
        };
        let value = clock.encode();
        let outcome = match &read {
            Some((_, version)) => registers.cas(names::CLOCK, version, &value)?,
            None => registers.create(names::CLOCK, &value)?,
        };
        match outcome {
            Outcome::Mine => return Ok(()),
            // Look again what it says.
            Outcome::Theirs(_) | Outcome::Unknown => {}
        }
    }
}

/// Less than this is not noted, ms.
const OFFSET_MS: i64 = 60_000;
