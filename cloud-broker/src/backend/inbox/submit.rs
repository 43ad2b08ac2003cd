//! Putting something in, under the inbox's lock.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use headwater_broker_core::submit::{Buffer, LaneBatch, Repair, Request, Resume};
use headwater_broker_core::{PartitionId, PlainRecord};

use super::{Filling, Inbox};

/// The log takes nothing from this inbox now: it is full, the disk is full, or the broker stops.
/// MQTT 5: 0x97; 3.1.1: close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// An inbox under its lock: take it once per socket read.
#[derive(Debug)]
pub struct Submit<'a> {
    pub(super) inbox: &'a Inbox,
    pub(super) filling: Option<MutexGuard<'a, Filling>>,
    pub(super) touched: bool,
    pub(super) wakes: bool,
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
        if self.is_busy() || !self.buffer().publish(partition, record) {
            return Err(Busy);
        }
        self.touched = true;
        Ok(())
    }

    /// Submits an agent's sealed batch, which the door has validated. The answer comes through
    /// [`Inbox::take_answers`], also if it is `Busy`.
    pub fn lane_batch(&mut self, token: u64, batch: LaneBatch) {
        self.request(token, Request::Batch(batch));
    }

    /// Notes that somebody waits for the batch that was put in last.
    pub fn mark_live(&mut self) {
        self.buffer().mark_live();
    }

    /// Submits a handshake.
    pub fn resume(&mut self, token: u64, resume: Resume) {
        self.request(token, Request::Resume(resume));
    }

    /// Submits a request for the next generation.
    pub fn repair(&mut self, token: u64, repair: Repair) {
        self.request(token, Request::Repair(repair));
    }

    /// Submits an agent's status.
    pub fn status(&mut self, token: u64, device: String, json: Bytes) {
        self.request(token, Request::Status { device, json });
    }

    /// Says that a connection is gone: what it held is free.
    pub fn closed(&mut self, connection: u64) {
        self.touched = true;
        self.buffer().request(0, Request::Closed { connection });
    }

    /// The ticket that covers everything put in so far.
    pub fn ticket(&self) -> u64 {
        let filling = self.filling.as_ref().expect("held until dropped");
        filling.ticket - u64::from(filling.buffer.is_empty())
    }

    /// Bytes of this inbox that wait for a commit, for back-pressure.
    pub fn bytes(&self) -> usize {
        let filling = self.filling.as_ref().expect("held until dropped");
        filling.buffer.bytes() + self.inbox.taken_bytes.load(Ordering::Relaxed)
    }

    fn request(&mut self, token: u64, request: Request) {
        let retry_ms = self.inbox.retry_ms;
        let request = if self.is_busy() {
            Request::Busy { retry_ms }
        } else {
            request
        };
        self.touched = true;
        self.buffer().request(token, request);
    }

    fn is_busy(&self) -> bool {
        self.bytes() >= self.inbox.bytes_max || self.inbox.gate.refusal().is_some()
    }

    fn buffer(&mut self) -> &mut Buffer {
        &mut self.filling.as_mut().expect("held until dropped").buffer
    }
}

impl Drop for Submit<'_> {
    fn drop(&mut self) {
        self.filling = None;
        if self.touched && self.wakes {
            self.inbox.gate.ring();
        }
    }
}
