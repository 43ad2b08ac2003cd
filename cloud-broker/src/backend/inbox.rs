//! One MQTT core's way into the journal.

use headwater_broker_core::submit::{LaneBatch, Repair, Resume};
use headwater_broker_core::{Answer, PartitionId, PlainRecord};

use bytes::Bytes;

/// The log takes nothing from this inbox now: it is full, the disk is full, or the broker stops.
/// MQTT 5: 0x97; 3.1.1: close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Publishes and agents' requests of one core, in order, between two commits.
#[derive(Debug)]
pub struct Inbox {}

/// How far an inbox has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tickets up to this one are decided: durable unless refused.
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

/// An inbox under its lock: take it once per socket read. Dropping it wakes the journal.
#[derive(Debug)]
pub struct Submit<'a> {
    inbox: &'a Inbox,
}

impl Inbox {
    /// Locks the inbox.
    pub fn lock(&self) -> Submit<'_> {
        todo!()
    }

    /// What was decided since the last call. One reader per inbox.
    pub fn progress(&self) -> Progress {
        todo!()
    }

    /// Highest ticket that is decided: cheap, and enough to see whether there is anything to do.
    /// Whether it is durable or was lost, [`Inbox::progress`] says.
    pub fn durable(&self) -> u64 {
        todo!()
    }

    /// Resolves after each commit (of anybody), once for all commits since the last call: time to
    /// call [`Inbox::progress`], [`Inbox::take_answers`], and to follow the [`super::Tail`].
    pub async fn woken(&self) {
        todo!()
    }

    /// Appends the answers that are there, in the order of submission. Those that a ticket covers
    /// are there before [`Inbox::durable`] covers it; those of a lost ticket never come.
    pub fn take_answers(&self, into: &mut Vec<Answer>) {
        todo!()
    }

    /// Bytes that wait for a commit.
    pub fn bytes(&self) -> usize {
        todo!()
    }
}

impl Submit<'_> {
    /// Encodes a plain publish into the open batch of its partition.
    ///
    /// # Errors
    /// [`Busy`]; nothing was taken.
    pub fn publish<'h, H>(
        &mut self,
        partition: PartitionId,
        record: PlainRecord<'_, H>,
    ) -> Result<(), Busy>
    where
        H: IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    {
        todo!()
    }

    /// Submits an agent's sealed batch, which the door has validated. The answer comes through
    /// [`Inbox::take_answers`], also if it is `Busy`.
    pub fn lane_batch(&mut self, token: u64, batch: LaneBatch) {
        todo!()
    }

    /// Submits a handshake.
    pub fn resume(&mut self, token: u64, resume: Resume) {
        todo!()
    }

    /// Submits a request for the next generation.
    pub fn repair(&mut self, token: u64, repair: Repair) {
        todo!()
    }

    /// Submits an agent's status.
    pub fn status(&mut self, token: u64, device: String, json: Bytes) {
        todo!()
    }

    /// Says that a connection is gone: what it held is free.
    pub fn closed(&mut self, connection: u64) {
        todo!()
    }

    /// The ticket that covers everything put in so far.
    pub fn ticket(&mut self) -> u64 {
        todo!()
    }

    /// Bytes of this inbox that wait for a commit, for back-pressure.
    pub fn bytes(&self) -> usize {
        todo!()
    }
}
