//! Bytes that may be sent to a client, in order.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{Limits, Reserved};

/// From here on a payload is sent from where it lies instead of being copied.
pub(super) const SHARED_BYTES_MIN: usize = 4096;
/// Pieces in one write.
const SLICES_MAX: usize = 16;
/// Memory that an idle connection keeps.
const KEPT_BYTES_MAX: usize = 4096;

/// Small packets lie one behind the other in one buffer; large payloads are shared with other
/// receivers and with the log, until the client turns out to be slow.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// Before `open`.
    closed: VecDeque<Bytes>,
    /// So many of them, from the front on, are shared with nobody.
    owned: usize,
    open: BytesMut,
    bytes: usize,
}

/// Memory of what is to be sent to one client, `limits.request_memory`'s part for answers.
#[derive(Debug)]
pub(super) struct Backlog {
    memory: Reserved,
    starved: bool,
}

/// So little every client may have without being counted.
const UNCOUNTED_BYTES_MAX: usize = 4 << 10;
/// Memory is taken in steps.
const STEP_BYTES: usize = 16 << 10;

impl Backlog {
    pub(super) fn new(limits: &Arc<Limits>) -> Self {
        Self {
            memory: limits.reserve_answer(),
            starved: false,
        }
    }

    /// Whether a packet of so many bytes may ever be put in line; one that never may is counted.
    pub(super) fn could_admit(&self, packet: usize) -> bool {
        let could = packet <= UNCOUNTED_BYTES_MAX || self.memory.could_hold(packet);
        if !could {
            self.memory.metrics().oversized_deliveries.add(1);
        }
        could
    }

    /// Whether a packet of so many bytes may be put behind `waiting` bytes.
    pub(super) fn admits(&mut self, waiting: usize, packet: usize) -> bool {
        let bytes = waiting.saturating_add(packet);
        if bytes <= UNCOUNTED_BYTES_MAX || bytes <= self.memory.bytes() {
            return true;
        }
        let in_steps = bytes.saturating_add(STEP_BYTES);
        let granted = self.memory.grow_to(in_steps) || self.memory.grow_to(bytes);
        self.starved |= !granted;
        granted
    }

    /// So many bytes are left.
    pub(super) fn sent(&mut self, bytes: usize) {
        if bytes <= UNCOUNTED_BYTES_MAX {
            // Who holds nothing waits for what others give back: [`Backlog::retry`].
            self.starved &= self.memory.bytes() == 0;
            self.memory.shrink_to(0);
        }
    }

    /// Some time has passed: others may have given memory back. Whether that was waited for.
    pub(super) fn retry(&mut self) -> bool {
        self.memory.bytes() == 0 && std::mem::take(&mut self.starved)
    }

    /// Whether something was refused that has to wait until nearly all is sent, or for others.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }
}

impl Out {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Lets `encode` append to the end.
    pub(super) fn append<T>(&mut self, encode: impl FnOnce(&mut BytesMut) -> T) -> T {
        let before = self.open.len();
        let result = encode(&mut self.open);
        self.bytes += self.open.len() - before;
        result
    }

    /// Puts `piece`, a part of `whole`, at the end: without a copy if it is large.
    pub(super) fn push(&mut self, whole: &Bytes, piece: &[u8]) {
        if piece.len() < SHARED_BYTES_MIN {
            self.append(|out| out.extend_from_slice(piece));
            return;
        }
        if !self.open.is_empty() {
            self.closed.push_back(self.open.split().freeze());
        }
        self.bytes += piece.len();
        self.closed.push_back(whole.slice_ref(piece));
    }

    /// The client takes no more for now. What waits is copied, once, so that a slow client holds
    /// as much as it is counted with, and not the whole commits that its pieces are parts of.
    pub(super) fn settle(&mut self) {
        for piece in self.closed.iter_mut().skip(self.owned) {
            *piece = Bytes::copy_from_slice(piece);
        }
        self.owned = self.closed.len();
    }

    /// The first pieces, for one write, into `slices`; gives their number.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let open = (!self.open.is_empty()).then_some(&self.open[..]);
        let pieces = self.closed.iter().map(|piece| &piece[..]).chain(open);
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// Writes what `write` takes: it is called until nothing is left or it takes less than it was
    /// given. Gives whether nothing is left.
    pub(super) fn write_with(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> std::io::Result<usize>,
    ) -> std::io::Result<bool> {
        while self.bytes > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.slices(&mut slices);
            match write(&slices[..count]) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.closed.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.closed.pop_front();
            self.owned = self.owned.saturating_sub(1);
        }
        if written == self.open.len() && self.open.capacity() > KEPT_BYTES_MAX {
            self.open = BytesMut::new();
        } else {
            self.open.advance(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LimitsConfig;

    /// Writes at most `step` bytes at a time and collects them.
    fn drain(out: &mut Out, step: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        let done = out.write_with(|slices| {
            let all = slices.iter().flat_map(|slice| slice.iter().copied());
            let before = sent.len();
            sent.extend(all.take(step));
            Ok(sent.len() - before)
        });
        assert!(done.expect("no error"));
        sent
    }

    #[test]
    fn order_is_kept_whatever_the_size_of_pieces_and_writes() {
        for step in [1, 7, 4096, 100_000] {
            let mut out = Out::default();
            let mut expected = Vec::new();
            for size in [3, 5000, 10, SHARED_BYTES_MIN, SHARED_BYTES_MIN - 1, 9000, 1] {
                let payload = Bytes::from(vec![u8::try_from(size % 251).unwrap(); size]);
                out.push(&payload, &payload);
                expected.extend_from_slice(&payload);
            }
            assert_eq!(out.bytes(), expected.len());
            assert_eq!(drain(&mut out, step), expected);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn who_takes_nothing_gets_no_more_than_there_is_memory() {
        let limits = Limits::new(&LimitsConfig::default(), Arc::default());
        let mut others = limits.reserve_answer();
        assert!(others.grow_to(32 << 20));
        let mut backlog = Backlog::new(&limits);
        assert!(backlog.admits(0, UNCOUNTED_BYTES_MAX) && !backlog.is_starved());
        for (waiting, packet) in [(0, UNCOUNTED_BYTES_MAX + 1), (UNCOUNTED_BYTES_MAX, 1)] {
            assert!(!backlog.admits(waiting, packet) && backlog.is_starved());
        }
        backlog.sent(0);
        assert!(backlog.is_starved(), "nothing has changed");
        drop(others);
        assert!(backlog.retry() && !backlog.is_starved() && !backlog.retry());
        assert!(backlog.admits(0, 100_000) && !backlog.is_starved());
        assert!(!limits.reserve_answer().grow_to(32 << 20));
        backlog.sent(0);
        assert!(limits.reserve_answer().grow_to(32 << 20));
    }

    #[test]
    fn what_is_larger_than_all_memory_is_counted_and_never_waited_for() {
        let limits = Limits::new(&LimitsConfig::default(), Arc::default());
        let mut backlog = Backlog::new(&limits);
        assert!(backlog.could_admit(32 << 20) && backlog.admits(0, 32 << 20));
        assert!(!backlog.could_admit((32 << 20) + 1));
        assert_eq!(backlog.memory.metrics().oversized_deliveries.value(), 1);
    }

    #[test]
    fn who_is_slow_keeps_nothing_but_its_own() {
        let mut out = Out::default();
        let commit = Bytes::from(vec![7; 1 << 20]);
        let piece = commit.slice(100..100 + SHARED_BYTES_MIN);
        out.append(|open| open.extend_from_slice(b"head"));
        out.push(&commit, &piece);
        drop(piece);
        let commit = commit.try_into_mut().expect_err("it is shared");
        out.settle();
        out.append(|open| open.extend_from_slice(b"tail"));
        assert!(commit.is_unique());
        assert_eq!(drain(&mut out, 1000).len(), SHARED_BYTES_MIN + 8);
        out.push(&commit, &commit[..SHARED_BYTES_MIN]);
        out.settle();
        assert!(commit.is_unique());
    }

    #[test]
    fn a_full_socket_leaves_the_rest() {
        let mut out = Out::default();
        out.append(|open| open.extend_from_slice(b"abcdef"));
        let mut room = 4;
        let done = out.write_with(|_| match std::mem::take(&mut room) {
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            room => Ok(room),
        });
        assert!(!done.unwrap());
        assert_eq!(drain(&mut out, 10), b"ef");
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let mut out = Out::default();
        let payload = Bytes::from(vec![7; SHARED_BYTES_MIN]);
        out.push(&payload, &payload[..]);
        assert_eq!(out.closed[0].as_ptr(), payload.as_ptr());
    }
}
