//! Whether the wall clock can be trusted with deletions: the guard, and the register that tells the
//! next start.

use std::sync::{Mutex, PoisonError};

use headwater_broker_core::segments::{ClockGuard, Suspicion};
use headwater_store::format::Rest;
use headwater_store::format::clock::Clock;
use headwater_store::traits::Registers;
use headwater_store::{Outcome, StoreError, WriteId, names};
use headwater_wire::time::Millis;

use super::random;

/// The guard of this process's clock.
#[derive(Debug)]
pub(super) struct GuardedClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    guard: ClockGuard,
    /// What the register says.
    noted: bool,
}

impl GuardedClock {
    /// As an earlier life has left it.
    pub(super) fn open(registers: &dyn Registers) -> Result<Self, StoreError> {
        let noted = read(registers)?.is_some_and(|(clock, _)| clock.suspect);
        let guard = ClockGuard::new(noted);
        Ok(Self {
            state: Mutex::new(State { guard, noted }),
        })
    }

    /// Looks at both clocks; gives whether ages can be trusted. That they cannot is durable when
    /// it returns.
    pub(super) fn look(
        &self,
        registers: &dyn Registers,
        wall: Millis,
        monotonic: Millis,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let trusted = state.guard.look(wall, monotonic);
        if trusted == state.noted {
            if let Some(suspicion) = state.guard.suspicion() {
                tracing::warn!(
                    "The clock has jumped forward by {} s: nothing is deleted for its age for 24 h, or until the clock is set back or accepted",
                    suspicion.jumped_ms / 1000
                );
            }
            note(registers, !trusted)?;
            state.noted = !trusted;
        }
        Ok(trusted)
    }

    /// Somebody says that the clock is right.
    pub(super) fn accept(&self, registers: &dyn Registers) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.noted {
            note(registers, false)?;
            state.noted = false;
        }
        state.guard.accept();
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

type Read = Option<(Clock, headwater_store::Version)>;

fn read(registers: &dyn Registers) -> Result<Read, StoreError> {
    let Some(found) = registers.read(names::CLOCK)? else {
        return Ok(None);
    };
    let clock = Clock::decode(&found.value)
        .map_err(|error| StoreError::format("Cannot read", names::CLOCK, error))?;
    Ok(Some((clock, found.version)))
}

fn note(registers: &dyn Registers, suspect: bool) -> Result<(), StoreError> {
    loop {
        let read = read(registers)?;
        let (rev, rest) = match &read {
            Some((clock, _)) => (clock.rev, clock.rest.clone()),
            None => (0, Rest::new()),
        };
        let clock = Clock {
            rev: rev.saturating_add(1),
            write_id: WriteId(random()),
            suspect,
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
