//! Memory of all sources together, in bytes.
//!
//! What is bounded for each source or connection alone is not bounded at all where there may be
//! many. So all that sources hold for events on their way into the log is counted here, by what it
//! is for, and whoever finds a count spent waits before it takes more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What memory is held for. Each has a bound of its own, so that no holder waits for another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Events that wait for their commit.
    Queue,
    /// Fronts of packets and lines that have not come whole, each no longer than one read.
    Front,
    /// Longer ones: who holds this for one may read it to its end.
    Long,
    /// Wills.
    Will,
}

/// Bytes of each use, all sources together. A use is spent once it reaches this; the last holder
/// may go beyond.
const BYTES_MAX: [usize; 4] = [320 << 10, 256 << 10, 256 << 10, 256 << 10];

/// What an event takes in memory beside its own bytes, while it waits for its commit: names and lists
/// of its headers, and what the allocator adds to each part.
pub(crate) const EVENT_MEMORY_BYTES: usize = 512;
/// Sources with a thread of their own that read, make events of what they read and wait for the
/// commit at the same time.
const TURNS: usize = 2;

/// The counts of one agent. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    used: [AtomicUsize; 4],
    max: [usize; 4],
    freed: Notify,
    /// Turns that are left.
    turns: Mutex<usize>,
    turn_over: Condvar,
}

/// A turn of a source with a thread of its own; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Room);

/// What one holder has; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    room: Room,
    what: Use,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl Room {
    fn new(max: [usize; 4]) -> Self {
        Self {
            shared: Arc::new(Shared {
                used: Default::default(),
                max,
                freed: Notify::new(),
                turns: Mutex::new(TURNS),
                turn_over: Condvar::new(),
            }),
        }
    }

    pub(crate) fn hold(&self, what: Use, bytes: usize) -> Held {
        self.shared.used[what as usize].fetch_add(bytes, Ordering::AcqRel);
        Held {
            room: self.clone(),
            what,
            bytes,
        }
    }

    pub(crate) fn is_spent(&self, what: Use) -> bool {
        let what = what as usize;
        self.shared.used[what].load(Ordering::Acquire) >= self.shared.max[what]
    }

    /// Whether less than half is left for `what`.
    pub(crate) fn is_scarce(&self, what: Use) -> bool {
        let what = what as usize;
        self.shared.used[what].load(Ordering::Acquire) >= self.shared.max[what] / 2
    }

    /// Resolves when something is given back after this was enabled.
    pub(crate) fn freed(&self) -> Notified<'_> {
        self.shared.freed.notified()
    }

    /// Waits for a turn, on a thread that runs no async runtime.
    pub(crate) fn turn(&self) -> Turn {
        let mut turns = self.turns();
        while *turns == 0 {
            let waited = self.shared.turn_over.wait(turns);
            turns = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *turns -= 1;
        drop(turns);
        Turn(self.clone())
    }

    fn turns(&self) -> MutexGuard<'_, usize> {
        let turns = self.shared.turns.lock();
        turns.unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves once there is something left for `what`.
    pub(crate) async fn available(&self, what: Use) {
        loop {
            let freed = self.freed();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if !self.is_spent(what) {
                return;
            }
            freed.await;
        }
    }
}

impl Held {
    /// Changes the amount.
    pub(crate) fn set(&mut self, bytes: usize) {
        let used = &self.room.shared.used[self.what as usize];
        if bytes >= self.bytes {
            used.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else {
            used.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
            self.room.shared.freed.notify_waiters();
        }
        self.bytes = bytes;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.turns() += 1;
        self.0.shared.turn_over.notify_one();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_comes_back_and_uses_are_apart() {
        let room = Room::new([10; 4]);
        let mut held = room.hold(Use::Queue, 4);
        assert!(!room.is_spent(Use::Queue));
        held.set(10);
        assert!(room.is_spent(Use::Queue));
        assert!(!room.is_spent(Use::Front));
        drop(held);
        assert!(!room.is_spent(Use::Queue));
    }

    #[test]
    fn a_turn_comes_when_another_is_over() {
        let room = Room::default();
        let turns: Vec<_> = (0..TURNS).map(|_| room.turn()).collect();
        let waiting = room.clone();
        let (told, tells) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let _turn = waiting.turn();
            told.send(()).unwrap();
        });
        assert!(tells.try_recv().is_err());
        drop(turns);
        tells.recv().unwrap();
        thread.join().unwrap();
        assert_eq!(*room.turns(), TURNS);
    }
}
