//! Rules that span the packets of one connection, each in a small type of its own.

use std::collections::BTreeSet;
use std::rc::Rc;

use headwater_mqtt::{Bad, Reason};

/// Deliveries of QoS 1 that one client may have unacknowledged, whatever it permits.
const IN_FLIGHT_MAX: u16 = 1024;

/// The aliases that a client has given to topics (MQTT 5, 3.3.2.3.4).
#[derive(Debug)]
pub(super) struct Aliases {
    topics: Vec<Option<Rc<str>>>,
    max: u16,
}

impl Aliases {
    /// Of a client that was told Topic Alias Maximum `max`.
    pub(super) const fn new(max: u16) -> Self {
        Self {
            topics: Vec::new(),
            max,
        }
    }

    /// The topic that a PUBLISH means, and remembers it for its alias.
    ///
    /// # Errors
    /// 0x94 for an alias above the maximum, 0x82 for one that stands for nothing yet.
    pub(super) fn resolve(&mut self, topic: &str, alias: u16) -> Result<Rc<str>, Bad> {
        if alias == 0 || alias > self.max {
            let why = "Topic Alias above the maximum [MQTT-3.3.2-9]";
            return Err(Bad {
                reason: Reason::TOPIC_ALIAS_INVALID,
                why,
            });
        }
        let index = usize::from(alias) - 1;
        let known = self.topics.get(index).and_then(Option::as_ref);
        if let Some(known) = known.filter(|known| topic.is_empty() || ***known == *topic) {
            return Ok(Rc::clone(known));
        }
        if topic.is_empty() {
            let why = "Unknown Topic Alias [3.3.2.3.4]";
            return Err(Bad {
                reason: Reason::PROTOCOL_ERROR,
                why,
            });
        }
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        Ok(Rc::clone(self.topics[index].insert(topic.into())))
    }
}

/// Deliveries that the client has not acknowledged yet.
#[derive(Debug)]
pub(super) struct InFlight {
    open: BTreeSet<u16>,
    last: u16,
    max: u16,
}

impl InFlight {
    /// For a client whose Receive Maximum is `receive_max`.
    pub(super) fn new(receive_max: u16) -> Self {
        Self {
            open: BTreeSet::new(),
            last: 0,
            max: receive_max.min(IN_FLIGHT_MAX),
        }
    }

    /// A packet id for one more, if the client takes one more.
    pub(super) fn begin(&mut self) -> Option<u16> {
        if !self.has_room() {
            return None;
        }
        loop {
            self.last = if self.last == u16::MAX {
                1
            } else {
                self.last + 1
            };
            if self.open.insert(self.last) {
                return Some(self.last);
            }
        }
    }

    /// The client has acknowledged one; an unknown id is of no consequence.
    pub(super) fn end(&mut self, packet_id: u16) {
        self.open.remove(&packet_id);
    }

    /// Whether the client takes one more. A client may acknowledge nothing before it has got all
    /// that it permits, so that waiting for more room than for one would be waiting for ever.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < usize::from(self.max)
    }
}

/// QoS 1 publishes that the client sent and that are not answered yet.
#[derive(Debug)]
pub(super) struct Unanswered {
    count: u32,
    max: Option<u16>,
}

impl Unanswered {
    /// `max` is the Receive Maximum that the client was told; 3.1.1 has none.
    pub(super) const fn new(max: Option<u16>) -> Self {
        Self { count: 0, max }
    }

    /// One more has come.
    ///
    /// # Errors
    /// 0x93 if that is more than the client was told (MQTT-3.3.4-9).
    pub(super) fn begin(&mut self) -> Result<(), Bad> {
        self.count += 1;
        if self.max.is_some_and(|max| self.count > u32::from(max)) {
            let why = "Receive Maximum exceeded [MQTT-3.3.4-9]";
            return Err(Bad {
                reason: Reason::RECEIVE_MAXIMUM_EXCEEDED,
                why,
            });
        }
        Ok(())
    }

    /// So many were answered.
    pub(super) fn end(&mut self, count: u16) {
        self.count = self.count.saturating_sub(u32::from(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stands_for_the_topic_it_was_last_given_with() {
        let mut aliases = Aliases::new(2);
        assert_eq!(
            aliases.resolve("", 1).unwrap_err().reason,
            Reason::PROTOCOL_ERROR
        );
        assert_eq!(aliases.resolve("a", 2), Ok("a".into()));
        assert_eq!(aliases.resolve("", 2), Ok("a".into()));
        assert_eq!(
            aliases.resolve("", 1).unwrap_err().reason,
            Reason::PROTOCOL_ERROR
        );
        assert_eq!(aliases.resolve("b", 2), Ok("b".into()));
        assert_eq!(aliases.resolve("", 2), Ok("b".into()));
        for alias in [0, 3] {
            let reason = aliases.resolve("c", alias).unwrap_err().reason;
            assert_eq!(reason, Reason::TOPIC_ALIAS_INVALID);
        }
    }

    #[test]
    fn no_more_in_flight_than_the_client_takes() {
        let mut flight = InFlight::new(2);
        assert_eq!(
            (flight.begin(), flight.begin(), flight.begin()),
            (Some(1), Some(2), None)
        );
        flight.end(7);
        assert!(!flight.has_room());
        flight.end(1);
        assert!(flight.has_room());
        assert_eq!(flight.begin(), Some(3));
    }

    #[test]
    fn packet_ids_come_round_and_skip_those_in_use() {
        let mut flight = InFlight::new(3);
        assert_eq!(flight.begin(), Some(1));
        for expected in 2..=u16::MAX {
            assert_eq!(flight.begin(), Some(expected));
            flight.end(expected);
        }
        assert_eq!(flight.begin(), Some(2));
    }

    #[test]
    fn the_receive_maximum_counts_what_is_unanswered() {
        let mut unanswered = Unanswered::new(Some(2));
        assert!(unanswered.begin().is_ok() && unanswered.begin().is_ok());
        unanswered.end(1);
        assert!(unanswered.begin().is_ok());
        let reason = unanswered.begin().unwrap_err().reason;
        assert_eq!(reason, Reason::RECEIVE_MAXIMUM_EXCEEDED);
        let mut old = Unanswered::new(None);
        assert!((0..100_000).all(|_| old.begin().is_ok()));
    }
}
