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
    turns: Mutex<Turns>,
    turn_over: Condvar,
}

/// Turns come in the order in which they were asked for, so that nobody waits for ever.
#[derive(Debug, Default)]
struct Turns {
    /// Asked for so far.
    asked: usize,
    /// Of them, the ones that are over.
    over: usize,
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
                turns: Mutex::default(),
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
        let before = turns.asked;
        turns.asked += 1;
        while before >= turns.over + TURNS {
            let waited = self.shared.turn_over.wait(turns);
            turns = waited.unwrap_or_else(PoisonError::into_inner);
        }
        drop(turns);
        Turn(self.clone())
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
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
        self.0.turns().over += 1;
        // Only one of them is the next.
        self.0.shared.turn_over.notify_all();
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
    fn turns_come_in_order_when_others_are_over() {
        let room = Room::default();
        let mut turns: Vec<_> = (0..TURNS).map(|_| room.turn()).collect();
        let (told, tells) = std::sync::mpsc::channel();
        let threads: Vec<_> = (0..20)
            .map(|number| {
                let (waiting, told) = (room.clone(), told.clone());
                let thread = std::thread::spawn(move || {
                    let _turn = waiting.turn();
                    told.send(number).unwrap();
                });
                while room.turns().asked <= TURNS + number {
                    std::thread::yield_now();
                }
                thread
            })
            .collect();
        assert!(tells.try_recv().is_err());
        // One at a time from here on.
        let _kept = turns.pop();
        drop(turns);
        for number in 0..20 {
            assert_eq!(tells.recv().unwrap(), number);
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
    }
}
