//! One MQTT core's way into the journal.

mod submit;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_broker_core::Answer;
use headwater_broker_core::submit::Buffer;
use tokio::sync::Notify;

use super::gate::Gate;

pub use submit::{Busy, Submit};

/// Publishes and agents' requests of one core, in order, between two commits.
#[derive(Debug)]
pub struct Inbox {
    gate: Arc<Gate>,
    bytes_max: usize,
    retry_ms: u32,
    filling: Mutex<Filling>,
    /// Bytes that the journal has taken and not yet committed.
    taken_bytes: AtomicUsize,
    /// As in `decided`, to be looked at without its lock.
    durable: AtomicU64,
    decided: Mutex<Decided>,
    bell: Notify,
}

#[derive(Debug)]
struct Filling {
    buffer: Buffer,
    /// The ticket of what is in the buffer.
    ticket: u64,
}

/// What the journal has said, in one piece: answers go with the number that covers them.
#[derive(Debug, Default)]
struct Decided {
    durable: u64,
    failed: Vec<u64>,
    answers: Vec<Answer>,
    /// Answers up to what [`Inbox::progress`] gave last.
    ready: Vec<Answer>,
}

/// How far an inbox has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tickets up to this one are decided: durable unless failed.
    pub durable: u64,
    /// Tickets that were lost to a failed write since the last call: whoever waits for one of
    /// these is refused and its connection closed. Sorted; usually empty.
    pub failed: Vec<u64>,
}

impl Progress {
    /// Whether what has this ticket is durable; `None` while it is open.
    #[must_use]
    pub fn of(&self, ticket: u64) -> Option<bool> {
        (ticket <= self.durable).then(|| self.failed.binary_search(&ticket).is_err())
    }
}

impl Inbox {
    /// `bytes_max`: what may wait for a commit; `retry_ms`: what agents are told beyond that.
    pub(super) fn new(gate: Arc<Gate>, bytes_max: usize, retry_ms: u32) -> Self {
        Self {
            gate,
            bytes_max,
            retry_ms,
            filling: Mutex::new(Filling {
                buffer: Buffer::default(),
                ticket: 1,
            }),
            taken_bytes: AtomicUsize::new(0),
            durable: AtomicU64::new(0),
            decided: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// Locks the inbox. What is put in wakes the journal.
    pub fn lock(&self) -> Submit<'_> {
        self.submit(true)
    }

    /// As [`Inbox::lock`], but the journal is woken by [`Inbox::ring`] alone: whoever puts in much,
    /// one after the other, wakes it once for all of it.
    pub fn lock_quietly(&self) -> Submit<'_> {
        self.submit(false)
    }

    /// Wakes the journal for what was put in quietly.
    pub fn ring(&self) {
        self.gate.ring();
    }

    /// What was decided since the last call. One reader per inbox.
    pub fn progress(&self) -> Progress {
        let mut guard = self.lock_decided();
        let decided = &mut *guard;
        decided.ready.append(&mut decided.answers);
        Progress {
            durable: decided.durable,
            failed: std::mem::take(&mut decided.failed),
        }
    }

    /// Highest ticket that is decided, to see whether there is anything to do. Whether it is
    /// durable or was lost, [`Inbox::progress`] says.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Resolves after each commit (of anybody), once for all commits since the last call: time to
    /// call [`Inbox::progress`], [`Inbox::take_answers`], and to follow the [`super::Tail`].
    pub async fn woken(&self) {
        self.bell.notified().await;
    }

    /// Appends the answers to everything that the last [`Inbox::progress`] covers, and no other,
    /// in the order of submission. Those of a failed ticket never come.
    pub fn take_answers(&self, into: &mut Vec<Answer>) {
        into.append(&mut self.lock_decided().ready);
    }

    /// Bytes that wait for a commit.
    pub fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    /// Exchanges the buffer for an empty one. Gives the ticket of what came, if anything did.
    pub(super) fn take(&self, empty: &mut Buffer) -> Option<u64> {
        let mut filling = self.lock_filling();
        if filling.buffer.is_empty() {
            return None;
        }
        std::mem::swap(&mut filling.buffer, empty);
        self.taken_bytes.store(empty.bytes(), Ordering::Relaxed);
        filling.ticket += 1;
        Some(filling.ticket - 1)
    }

    /// Everything up to a ticket is durable, and these are the answers.
    pub(super) fn covered(&self, ticket: u64, answers: &mut Vec<Answer>) {
        self.taken_bytes.store(0, Ordering::Relaxed);
        let mut decided = self.lock_decided();
        decided.answers.append(answers);
        decided.durable = ticket;
        self.durable.store(ticket, Ordering::Release);
    }

    /// A ticket is lost, and with it whatever came in since.
    pub(super) fn lost(&self, ticket: Option<u64>) {
        let mut filling = self.lock_filling();
        let mut decided = self.lock_decided();
        decided.failed.extend(ticket);
        if !filling.buffer.is_empty() {
            filling.buffer.clear();
            decided.failed.push(filling.ticket);
            filling.ticket += 1;
        }
        self.taken_bytes.store(0, Ordering::Relaxed);
        decided.durable = filling.ticket - 1;
        self.durable.store(decided.durable, Ordering::Release);
    }

    pub(super) fn wake(&self) {
        self.bell.notify_one();
    }

    fn submit(&self, wakes: bool) -> Submit<'_> {
        Submit {
            inbox: self,
            filling: Some(self.lock_filling()),
            touched: false,
            wakes,
        }
    }

    fn lock_decided(&self) -> MutexGuard<'_, Decided> {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_filling(&self) -> MutexGuard<'_, Filling> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headwater_broker_core::{PartitionId, PlainRecord};

    use super::*;

    fn publish(inbox: &Inbox) -> u64 {
        let mut submit = inbox.lock();
        let record = PlainRecord {
            topic: "t",
            value: b"v",
            headers: [],
        };
        submit.publish(PartitionId(0), record).unwrap();
        submit.ticket()
    }

    #[test]
    fn tickets_are_durable_or_lost() {
        let inbox = Inbox::new(Arc::default(), 1000, 1);
        let mut buffer = Buffer::default();
        assert_eq!(inbox.lock().ticket(), 0);
        assert_eq!(inbox.take(&mut buffer), None);
        assert_eq!([publish(&inbox), publish(&inbox)], [1, 1]);
        assert_eq!(inbox.take(&mut buffer), Some(1));
        assert_eq!(publish(&inbox), 2);
        assert!(
            inbox.bytes() > buffer.bytes(),
            "what was taken still counts"
        );
        assert_eq!(inbox.progress().of(1), None);
        inbox.covered(1, &mut Vec::new());
        assert_eq!(
            (inbox.progress().of(1), inbox.progress().of(2)),
            (Some(true), None)
        );
        buffer.clear();
        assert_eq!(inbox.take(&mut buffer), Some(2));
        assert_eq!(publish(&inbox), 3);
        inbox.lost(Some(2));
        buffer.clear();
        assert_eq!(publish(&inbox), 4);
        assert_eq!(inbox.take(&mut buffer), Some(4));
        inbox.covered(4, &mut Vec::new());
        let progress = inbox.progress();
        let seen = [1, 2, 3, 4, 5].map(|ticket| progress.of(ticket));
        assert_eq!(
            seen,
            [Some(true), Some(false), Some(false), Some(true), None]
        );
    }

    #[test]
    fn a_full_inbox_is_busy_and_says_so_in_order() {
        let inbox = Inbox::new(Arc::default(), 1, 1);
        publish(&inbox);
        let mut submit = inbox.lock();
        let record = PlainRecord {
            topic: "t",
            value: b"v",
            headers: [],
        };
        assert_eq!(submit.publish(PartitionId(0), record), Err(Busy));
        submit.status(7, "gw-1".to_owned(), Bytes::new());
        drop(submit);
        assert!(
            inbox.gate.wait(std::time::Duration::ZERO),
            "the journal was woken"
        );
    }

    #[test]
    fn what_is_put_in_quietly_waits_for_the_ring() {
        let inbox = Inbox::new(Arc::default(), 1000, 1);
        let heard = || inbox.gate.wait(std::time::Duration::ZERO);
        inbox.lock_quietly().closed(1);
        assert!(!heard());
        inbox.ring();
        assert!(heard());
        inbox.lock().closed(1);
        assert!(heard());
    }

    #[test]
    fn somebody_waits_for_publishes_and_for_what_is_marked() {
        let inbox = Inbox::new(Arc::default(), 1000, 1);
        let mut buffer = Buffer::default();
        let mut is_live = |put: &dyn Fn(&mut Submit<'_>)| {
            put(&mut inbox.lock());
            buffer.clear();
            inbox.take(&mut buffer);
            buffer.is_live()
        };
        assert!(!is_live(&|submit| submit.closed(1)));
        assert!(is_live(&|submit| {
            submit.closed(1);
            submit.mark_live();
        }));
        assert!(!is_live(&|submit| submit.closed(2)));
        publish(&inbox);
        assert!(is_live(&|submit| submit.closed(3)));
    }
}
