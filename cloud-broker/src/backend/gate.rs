//! Whether the log takes anything now, and the bell that wakes the journal's thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::Thread;
use std::time::Duration;

use super::Unavailable;

/// What doors look at before they put something in, and what they ring afterwards.
#[derive(Debug, Default)]
pub(super) struct Gate {
    trouble: AtomicU8,
    shut: AtomicBool,
    rung: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Gate {
    /// Why nothing is taken, or nothing if it is.
    pub(super) fn refusal(&self) -> Option<Unavailable> {
        if !self.shut.load(Ordering::Acquire) {
            return None;
        }
        Some(self.trouble().unwrap_or(Unavailable::Failed))
    }

    /// What is wrong, whether or not something is taken.
    pub(super) fn trouble(&self) -> Option<Unavailable> {
        match self.trouble.load(Ordering::Acquire) {
            0 => None,
            DISK_FULL => Some(Unavailable::DiskFull),
            STOPPED => Some(Unavailable::Stopped),
            _ => Some(Unavailable::Failed),
        }
    }

    /// Something is wrong; `shut`: nothing is taken until [`Gate::open`]. Stopping is for ever.
    pub(super) fn trouble_is(&self, trouble: Unavailable, shut: bool) {
        let number = match trouble {
            Unavailable::DiskFull => DISK_FULL,
            Unavailable::Failed => FAILED,
            Unavailable::Stopped => STOPPED,
        };
        self.change(number);
        self.shut.fetch_or(shut, Ordering::AcqRel);
    }

    /// All is well again.
    pub(super) fn open(&self) {
        if self.change(0) {
            self.shut.store(false, Ordering::Release);
        }
    }

    /// Wakes the journal's thread; cheap if it is awake.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Called by the journal's thread before it first waits.
    pub(super) fn attend(&self) {
        // Set once: there is one journal thread for each gate.
        drop(self.thread.set(std::thread::current()));
    }

    /// Waits for the bell, or for the time to pass. Gives whether the bell rang.
    pub(super) fn wait(&self, most: Duration) -> bool {
        if !self.rung.swap(false, Ordering::AcqRel) {
            std::thread::park_timeout(most);
            return self.rung.swap(false, Ordering::AcqRel);
        }
        true
    }

    fn change(&self, to: u8) -> bool {
        let change = |now| (now != STOPPED).then_some(to);
        self.trouble
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
            .is_ok()
    }
}

const DISK_FULL: u8 = 1;
const FAILED: u8 = 2;
const STOPPED: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_come_and_go_and_stopping_stays() {
        let gate = Gate::default();
        assert_eq!((gate.trouble(), gate.refusal()), (None, None));
        gate.trouble_is(Unavailable::Failed, false);
        assert_eq!(
            (gate.trouble(), gate.refusal()),
            (Some(Unavailable::Failed), None)
        );
        gate.trouble_is(Unavailable::DiskFull, true);
        assert_eq!(gate.refusal(), Some(Unavailable::DiskFull));
        gate.open();
        assert_eq!((gate.trouble(), gate.refusal()), (None, None));
        gate.trouble_is(Unavailable::Stopped, true);
        gate.open();
        gate.trouble_is(Unavailable::Failed, false);
        assert_eq!(gate.refusal(), Some(Unavailable::Stopped));
    }

    #[test]
    fn a_ring_before_the_wait_is_heard() {
        let gate = Gate::default();
        gate.attend();
        gate.ring();
        gate.ring();
        assert!(gate.wait(Duration::MAX));
        assert!(!gate.wait(Duration::ZERO));
    }
}
