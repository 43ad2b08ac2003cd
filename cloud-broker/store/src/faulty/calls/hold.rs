//! Holds puts back, so that a test can put more in line behind one that is under way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Hold {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    waiting: bool,
}

/// Between two looks at whether anything will come at all.
const LOOK: Duration = Duration::from_millis(1);

impl Hold {
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) fn release(&self) {
        self.lock().closed = false;
        self.changed.notify_all();
    }

    /// A put passes here.
    pub(super) fn pass(&self) {
        let mut state = self.lock();
        while state.closed {
            state.waiting = true;
            self.changed.notify_all();
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting = false;
    }

    pub(super) fn wait_for_one(&self, mut otherwise: impl FnMut() -> bool) {
        let mut state = self.lock();
        while !state.waiting && !otherwise() {
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
