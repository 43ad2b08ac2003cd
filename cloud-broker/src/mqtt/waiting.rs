//! Answers that wait for the commit they speak of: "acknowledged only when durable, in order".

use std::collections::VecDeque;

use headwater_wire::uplink::LossReason;

/// The answers of one core's connections (`C`), in the order in which they are to be given.
#[derive(Debug)]
pub(super) struct Waiting<C> {
    notes: VecDeque<Note<C>>,
}

/// One answer, or several of a connection that were taken in together.
#[derive(Debug, PartialEq)]
pub(super) struct Note<C> {
    /// May be given when this ticket of the inbox is durable.
    pub(super) ticket: u64,
    /// Whose it is.
    pub(super) connection: C,
    /// Bytes that were submitted with it.
    pub(super) submitted: usize,
    /// What it is.
    pub(super) answer: Awaited,
}

/// An answer that waits.
#[derive(Debug, PartialEq)]
pub(super) enum Awaited {
    /// Answers that are encoded already: so many bytes of what the connection holds back.
    Encoded {
        /// Bytes.
        bytes: usize,
        /// QoS 1 publishes among them, which count against the receive maximum.
        publishes: u16,
        /// Records that were taken in.
        records: u64,
    },
    /// The answer to an agent's request, which the journal gives.
    Lane(LaneNote),
}

/// What is remembered of an agent's request until it is answered.
#[derive(Debug, PartialEq)]
pub(super) struct LaneNote {
    /// Token of the request.
    pub(super) token: u64,
    /// Packet id of the PUBLISH.
    pub(super) packet_id: u16,
    /// Records in the batch.
    pub(super) records: u64,
    /// Events that the batch declares as lost, with their reason.
    pub(super) lost: Option<(Option<LossReason>, u64)>,
}

impl<C> Default for Waiting<C> {
    fn default() -> Self {
        Self {
            notes: VecDeque::new(),
        }
    }
}

impl<C> Waiting<C> {
    /// Puts an answer behind all others. Ticket 0, of one that waits for nothing but those before
    /// it, becomes that of the last.
    pub(super) fn push(&mut self, mut note: Note<C>) {
        if let Some(last) = self.notes.back() {
            note.ticket = note.ticket.max(last.ticket);
        }
        self.notes.push_back(note);
    }

    /// The next answer that `durable` covers.
    pub(super) fn release(&mut self, durable: u64) -> Option<Note<C>> {
        let covered = self.notes.front()?.ticket <= durable;
        covered.then(|| self.notes.pop_front()).flatten()
    }

    /// Whether no answer waits.
    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(ticket: u64, connection: u32) -> Note<u32> {
        let answer = Awaited::Encoded {
            bytes: 4,
            publishes: 1,
            records: 1,
        };
        Note {
            ticket,
            connection,
            submitted: 100,
            answer,
        }
    }

    #[test]
    fn answers_come_in_order_and_never_before_their_ticket() {
        let mut waiting = Waiting::default();
        for (ticket, connection) in [(1, 7), (0, 8), (3, 7), (0, 9), (4, 8)] {
            waiting.push(note(ticket, connection));
        }
        let mut released = |durable| {
            std::iter::from_fn(|| waiting.release(durable))
                .map(|n| n.connection)
                .collect::<Vec<_>>()
        };
        assert_eq!(released(0), [0; 0]);
        assert_eq!(released(2), [7, 8]);
        assert_eq!(released(3), [7, 9]);
        assert_eq!(released(3), [0; 0]);
        assert_eq!(released(9), [8]);
        assert!(waiting.is_empty());
    }
}
