//! What an answer that is not success makes the agent do.

use std::fmt;

use headwater_wire::uplink::{Refusal as Kind, property};

/// Wait if the broker says `busy` without saying how long, ms.
pub const BUSY_MS_DEFAULT: i64 = 1_000;

/// A refused publish, as reason code and user properties of its PUBACK say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `error`; `None` for one that this version does not know.
    pub kind: Option<Kind>,
    /// MQTT reason code.
    pub reason: u8,
    /// `error` as the broker sent it, or empty.
    pub error: String,
    /// `retry_ms`, after `busy`.
    pub retry_ms: i64,
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A `resume` or `repair`.
    Resume,
    /// A batch or a declared loss.
    Batch {
        /// Whether its bytes still have their CRC.
        verifies: bool,
        /// Whether it was refused in this way on an earlier connection.
        again: bool,
    },
    /// The agent's status.
    Status,
}

/// What to do with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Stay: other lanes go on.
    No,
    /// End it and shake hands on a new one at once.
    Now,
    /// End it, and wait as after a failure.
    BackOff,
    /// End it, and wait about this long, ms.
    After(i64),
}

/// What to do with the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: the next handshake tells.
    Handshake,
    /// Keep its data, show the error, try again later.
    Hold,
    /// Send this batch once more.
    SendAgain,
    /// Set this batch aside and declare it lost.
    SetAside,
}

/// What a refusal makes the agent do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// With the connection.
    pub reconnect: Reconnect,
    /// With the lane.
    pub fate: Fate,
}

/// The table of `interfaces.md` 1. `in_a_row` is how many connections before this one ended with
/// the same refusal, with no batch acknowledged since.
pub fn judge(refusal: &Refusal, refused: Refused, in_a_row: u32) -> Verdict {
    let at_once = if in_a_row == 0 {
        Reconnect::Now
    } else {
        Reconnect::BackOff
    };
    let (reconnect, fate) = match (refusal.kind, refused) {
        (Some(Kind::Busy), _) => (Reconnect::After(refusal.retry_ms), Fate::Handshake),
        (_, Refused::Status) => (Reconnect::No, Fate::Handshake),
        (_, Refused::Resume) => (Reconnect::No, Fate::Hold),
        (Some(Kind::Stale | Kind::OutOfOrder | Kind::Conflict), Refused::Batch { .. }) => {
            (at_once, Fate::Handshake)
        }
        (Some(Kind::Corrupt | Kind::ForbiddenKey), Refused::Batch { verifies, again }) => (
            at_once,
            if again || !verifies {
                Fate::SetAside
            } else {
                Fate::SendAgain
            },
        ),
        (
            Some(Kind::NotYours | Kind::NoStream | Kind::PartitionedByTopic | Kind::TooManyLanes),
            Refused::Batch { .. },
        ) => (at_once, Fate::Hold),
        (None, Refused::Batch { .. }) => (Reconnect::BackOff, Fate::Handshake),
    };
    Verdict { reconnect, fate }
}

impl Refusal {
    /// Whether it says that there is no such stream.
    pub fn is_no_stream(&self) -> bool {
        self.kind == Some(Kind::NoStream)
    }

    /// From a PUBACK's reason code and user properties; `None` for success (0x00, and 0x10, which
    /// another broker gives where nobody subscribes).
    pub fn parse(reason: u8, properties: &[(String, String)]) -> Option<Self> {
        if matches!(reason, 0x00 | 0x10) {
            return None;
        }
        let value = |name| {
            properties
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
        };
        let error: String = value(property::ERROR)
            .map_or("", String::as_str)
            .chars()
            .take(100)
            .collect();
        let retry_ms = value(property::RETRY_MS).and_then(|text| text.parse().ok());
        Some(Self {
            kind: Kind::parse(&error),
            reason,
            error,
            retry_ms: retry_ms.unwrap_or(BUSY_MS_DEFAULT).max(0),
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            Some(Kind::Stale) => "this connection does not hold the lane",
            Some(Kind::OutOfOrder) => "a batch is missing before it",
            Some(Kind::Conflict) => "another batch lies at its positions",
            Some(Kind::Corrupt) => "the batch cannot be read",
            Some(Kind::ForbiddenKey) => "the device may not publish one of its keys",
            Some(Kind::NotYours) => "it is not this device's",
            Some(Kind::NoStream) => "the stream does not exist",
            Some(Kind::PartitionedByTopic) => "the stream is partitioned by topic",
            Some(Kind::TooManyLanes) => "the device has too many lanes",
            Some(Kind::Busy) => "it is overloaded",
            None if self.error.is_empty() => {
                return write!(out, "Broker refused with reason 0x{:02x}", self.reason);
            }
            None => "for a reason that this version does not know",
        };
        write!(out, "Broker refused: {text} ({})", self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Refused = Refused::Batch {
        verifies: true,
        again: false,
    };

    fn refusal(kind: Kind) -> Refusal {
        let properties = vec![("error".to_owned(), kind.as_str().to_owned())];
        Refusal::parse(kind.reason_code(), &properties).unwrap()
    }

    fn check(kind: Kind, refused: Refused, row: u32, reconnect: Reconnect, fate: Fate) {
        let expected = Verdict { reconnect, fate };
        assert_eq!(judge(&refusal(kind), refused, row), expected, "{kind:?}");
    }

    #[test]
    fn the_first_stale_or_conflict_reconnects_at_once_the_second_backs_off() {
        for kind in [Kind::Stale, Kind::OutOfOrder, Kind::Conflict] {
            check(kind, BATCH, 0, Reconnect::Now, Fate::Handshake);
            check(kind, BATCH, 1, Reconnect::BackOff, Fate::Handshake);
        }
    }

    #[test]
    fn a_sound_batch_is_sent_once_more_then_set_aside() {
        let again = Refused::Batch {
            verifies: true,
            again: true,
        };
        let broken = Refused::Batch {
            verifies: false,
            again: false,
        };
        for kind in [Kind::Corrupt, Kind::ForbiddenKey] {
            check(kind, BATCH, 0, Reconnect::Now, Fate::SendAgain);
            check(kind, again, 1, Reconnect::BackOff, Fate::SetAside);
            check(kind, broken, 0, Reconnect::Now, Fate::SetAside);
        }
    }

    #[test]
    fn what_cannot_be_cured_here_holds_the_lane_and_no_other() {
        let kinds = [
            Kind::NotYours,
            Kind::NoStream,
            Kind::PartitionedByTopic,
            Kind::TooManyLanes,
        ];
        for kind in kinds {
            check(kind, BATCH, 0, Reconnect::Now, Fate::Hold);
            check(kind, Refused::Resume, 0, Reconnect::No, Fate::Hold);
        }
        check(Kind::Stale, Refused::Resume, 0, Reconnect::No, Fate::Hold);
    }

    #[test]
    fn busy_waits_as_long_as_the_broker_says() {
        let busy = Refusal {
            retry_ms: 250,
            ..refusal(Kind::Busy)
        };
        for refused in [BATCH, Refused::Resume, Refused::Status] {
            let expected = Verdict {
                reconnect: Reconnect::After(250),
                fate: Fate::Handshake,
            };
            assert_eq!(judge(&busy, refused, 3), expected);
        }
        for bad in ["", "x", "-3"] {
            let properties = [("error", "busy"), ("retry_ms", bad)];
            let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert!(Refusal::parse(0x97, &properties).unwrap().retry_ms >= 0);
        }
    }

    #[test]
    fn success_is_no_refusal_and_the_unknown_backs_off() {
        assert_eq!(Refusal::parse(0x00, &[]), None);
        assert_eq!(Refusal::parse(0x10, &[]), None);
        let other = Refusal::parse(0x80, &[("error".to_owned(), "new".to_owned())]).unwrap();
        let expected = Verdict {
            reconnect: Reconnect::BackOff,
            fate: Fate::Handshake,
        };
        assert_eq!(judge(&other, BATCH, 0), expected);
        let text = "Broker refused: for a reason that this version does not know (new)";
        assert_eq!(other.to_string(), text);
    }
}
