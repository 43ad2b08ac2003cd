//! What is under way on one connection: published and not yet answered.

use std::collections::VecDeque;

use thiserror::Error;

/// Publishes of one connection in the order in which they were made. The window slides with the
/// oldest that is not answered, not with a count: so no packet id can come round while it is open.
#[derive(Debug)]
pub struct Flight<T> {
    slots: VecDeque<Slot<T>>,
    window: usize,
    /// How many of `slots`, from the front, have been written out.
    sent: usize,
}

#[derive(Debug)]
struct Slot<T> {
    item: T,
    packet_id: Option<u16>,
    answered: bool,
}

/// The MQTT client did something that the pattern excludes: the connection cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FlightError {
    /// A publish was written that nobody made.
    #[error("Client wrote a publish that was not made")]
    NothingToSend,
    /// A packet id was used while it was open.
    #[error("Packet id {0} was used while it was open")]
    IdInUse(u16),
    /// An answer came for a packet id that is not open.
    #[error("Answer to packet id {0}, which is not open")]
    UnknownId(u16),
}

impl<T> Flight<T> {
    /// Nothing under way; at most `window` publishes ahead of the oldest, at least one.
    pub fn new(window: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            window: window.max(1),
            sent: 0,
        }
    }

    /// Whether one more may be published.
    pub fn has_room(&self) -> bool {
        self.slots.len() < self.window
    }

    /// Whether everything was answered.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// One more was handed to the client; the caller has asked [`Self::has_room`].
    pub fn push(&mut self, item: T) {
        debug_assert!(self.has_room(), "the window is full");
        self.slots.push_back(Slot {
            item,
            packet_id: None,
            answered: false,
        });
    }

    /// The client wrote the next publish, under `packet_id`.
    pub fn handle_sent(&mut self, packet_id: u16) -> Result<(), FlightError> {
        if self
            .slots
            .iter()
            .any(|slot| slot.packet_id == Some(packet_id) && !slot.answered)
        {
            return Err(FlightError::IdInUse(packet_id));
        }
        let slot = self
            .slots
            .get_mut(self.sent)
            .ok_or(FlightError::NothingToSend)?;
        slot.packet_id = Some(packet_id);
        self.sent += 1;
        Ok(())
    }

    /// The broker answered `packet_id`; gives what it was.
    pub fn handle_answer(&mut self, packet_id: u16) -> Result<&mut T, FlightError> {
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.packet_id == Some(packet_id) && !slot.answered)
            .ok_or(FlightError::UnknownId(packet_id))?;
        slot.answered = true;
        Ok(&mut slot.item)
    }

    /// The oldest, once it is answered: call until `None` after each answer.
    pub fn poll_answered(&mut self) -> Option<T> {
        if !self.slots.front()?.answered {
            return None;
        }
        self.sent = self.sent.saturating_sub(1);
        self.slots.pop_front().map(|slot| slot.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides_with_the_oldest() {
        let mut flight = Flight::new(3);
        for item in 0..3 {
            assert!(flight.has_room());
            flight.push(item);
            flight.handle_sent(item + 1).unwrap();
        }
        assert!(!flight.has_room());
        assert_eq!(flight.handle_answer(2), Ok(&mut 1));
        assert_eq!(flight.handle_answer(3), Ok(&mut 2));
        assert_eq!(flight.poll_answered(), None);
        assert!(
            !flight.has_room(),
            "two answers do not help while the oldest is open"
        );
        flight.handle_answer(1).unwrap();
        let answered: Vec<_> = std::iter::from_fn(|| flight.poll_answered()).collect();
        assert_eq!(answered, [0, 1, 2]);
        assert!(flight.is_empty());
    }

    #[test]
    fn what_the_pattern_excludes_is_an_error() {
        let mut flight = Flight::new(4);
        assert_eq!(flight.handle_sent(1), Err(FlightError::NothingToSend));
        flight.push('a');
        flight.push('b');
        flight.handle_sent(1).unwrap();
        assert_eq!(flight.handle_sent(1), Err(FlightError::IdInUse(1)));
        assert_eq!(flight.handle_answer(9), Err(FlightError::UnknownId(9)));
        flight.handle_answer(1).unwrap();
        assert_eq!(flight.handle_answer(1), Err(FlightError::UnknownId(1)));
    }

    #[test]
    fn binds_ids_in_order_after_sliding() {
        let mut flight = Flight::new(2);
        flight.push('a');
        flight.push('b');
        flight.handle_sent(1).unwrap();
        flight.handle_answer(1).unwrap();
        assert_eq!(flight.poll_answered(), Some('a'));
        flight.push('c');
        flight.handle_sent(2).unwrap();
        flight.handle_sent(1).unwrap();
        assert_eq!(flight.handle_answer(1), Ok(&mut 'c'));
    }
}
