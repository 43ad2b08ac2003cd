//! What an answer that is not success makes the agent do.

use std::fmt;

/// Wait if the broker says `busy` without saying how long, ms.
pub const BUSY_MS_DEFAULT: i64 = 1_000;

/// A refused publish, as reason code and user properties say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// This connection does not hold the lane, or the batch is older than the broker remembers.
    Stale,
    /// A position beyond the next.
    OutOfOrder,
    /// Another batch lies at one of these positions.
    Conflict,
    /// The batch cannot be read.
    Corrupt,
    /// A record's key that this device may not publish.
    ForbiddenKey,
    /// Producer id or topic is not this device's.
    NotYours,
    /// The stream does not exist.
    NoStream,
    /// The stream is partitioned by topic and takes no batches of agents.
    PartitionedByTopic,
    /// The device has as many lanes as it may have.
    TooManyLanes,
    /// Overload, full disk, no bucket.
    Busy {
        /// Milliseconds after which to come again.
        retry_ms: i64,
    },
    /// Anything else.
    Other {
        /// MQTT reason code.
        reason: u8,
        /// `error` as the broker sent it, or empty.
        error: String,
    },
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
    let at_once = if in_a_row == 0 { Reconnect::Now } else { Reconnect::BackOff };
    let (reconnect, fate) = match (refusal, refused) {
        (Refusal::Busy { retry_ms }, _) => (Reconnect::After(*retry_ms), Fate::Handshake),
        (_, Refused::Status) => (Reconnect::No, Fate::Handshake),
        (_, Refused::Resume) => (Reconnect::No, Fate::Hold),
        (Refusal::Stale | Refusal::OutOfOrder | Refusal::Conflict, Refused::Batch { .. }) => {
            (at_once, Fate::Handshake)
        }
        (Refusal::Corrupt | Refusal::ForbiddenKey, Refused::Batch { verifies, again }) => {
            let fate = if again || !verifies { Fate::SetAside } else { Fate::SendAgain };
            (at_once, fate)
        }
        (
            Refusal::NotYours
            | Refusal::NoStream
            | Refusal::PartitionedByTopic
            | Refusal::TooManyLanes,
            Refused::Batch { .. },
        ) => (at_once, Fate::Hold),
        (Refusal::Other { .. }, Refused::Batch { .. }) => (Reconnect::BackOff, Fate::Handshake),
    };
    Verdict { reconnect, fate }
}

impl Refusal {
    /// From a PUBACK's reason code and user properties; `None` for success (0x00, and 0x10, which
    /// another broker gives where nobody subscribes).
    pub fn parse(reason: u8, properties: &[(String, String)]) -> Option<Self> {
        if matches!(reason, 0x00 | 0x10) {
            return None;
        }
        let value = |name| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let error = value("error").map_or("", String::as_str);
        Some(match error {
            "stale" => Self::Stale,
            "out-of-order" => Self::OutOfOrder,
            "conflict" => Self::Conflict,
            "corrupt" => Self::Corrupt,
            "forbidden-key" => Self::ForbiddenKey,
            "not-yours" => Self::NotYours,
            "no-stream" => Self::NoStream,
            "partitioned-by-topic" => Self::PartitionedByTopic,
            "too-many-lanes" => Self::TooManyLanes,
            "busy" => {
                let retry_ms = value("retry_ms").and_then(|text| text.parse().ok());
                Self::Busy { retry_ms: retry_ms.unwrap_or(BUSY_MS_DEFAULT).max(0) }
            }
            other => Self::Other { reason, error: other.chars().take(100).collect() },
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Stale => "this connection does not hold the lane (stale)",
            Self::OutOfOrder => "a batch is missing before it (out-of-order)",
            Self::Conflict => "another batch lies at its positions (conflict)",
            Self::Corrupt => "the batch cannot be read (corrupt)",
            Self::ForbiddenKey => "the device may not publish one of its keys (forbidden-key)",
            Self::NotYours => "it is not this device's (not-yours)",
            Self::NoStream => "the stream does not exist (no-stream)",
            Self::PartitionedByTopic => {
                "the stream is partitioned by topic and takes no agents (partitioned-by-topic)"
            }
            Self::TooManyLanes => "the device has too many lanes (too-many-lanes)",
            Self::Busy { .. } => "the broker is overloaded (busy)",
            Self::Other { reason, error } if error.is_empty() => {
                return write!(out, "Broker refused: reason 0x{reason:02x}");
            }
            Self::Other { reason, error } => {
                return write!(out, "Broker refused: {error}, reason 0x{reason:02x}");
            }
        };
        write!(out, "Broker refused: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Refused = Refused::Batch { verifies: true, again: false };

    fn properties(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn check(refusal: &Refusal, refused: Refused, row: u32, reconnect: Reconnect, fate: Fate) {
        assert_eq!(judge(refusal, refused, row), Verdict { reconnect, fate }, "{refusal:?}");
    }

    #[test]
    fn the_first_stale_or_conflict_reconnects_at_once_the_second_backs_off() {
        for refusal in [Refusal::Stale, Refusal::OutOfOrder, Refusal::Conflict] {
            check(&refusal, BATCH, 0, Reconnect::Now, Fate::Handshake);
            check(&refusal, BATCH, 1, Reconnect::BackOff, Fate::Handshake);
        }
    }

    #[test]
    fn a_sound_batch_is_sent_once_more_then_set_aside() {
        let again = Refused::Batch { verifies: true, again: true };
        let broken = Refused::Batch { verifies: false, again: false };
        for refusal in [Refusal::Corrupt, Refusal::ForbiddenKey] {
            check(&refusal, BATCH, 0, Reconnect::Now, Fate::SendAgain);
            check(&refusal, again, 1, Reconnect::BackOff, Fate::SetAside);
            check(&refusal, broken, 0, Reconnect::Now, Fate::SetAside);
        }
    }

    #[test]
    fn what_cannot_be_cured_here_holds_the_lane_and_no_other() {
        for refusal in [
            Refusal::NotYours,
            Refusal::NoStream,
            Refusal::PartitionedByTopic,
            Refusal::TooManyLanes,
        ] {
            check(&refusal, BATCH, 0, Reconnect::Now, Fate::Hold);
            check(&refusal, Refused::Resume, 0, Reconnect::No, Fate::Hold);
        }
        check(&Refusal::Stale, Refused::Resume, 0, Reconnect::No, Fate::Hold);
    }

    #[test]
    fn busy_waits_as_long_as_the_broker_says() {
        let busy = Refusal::parse(0x97, &properties(&[("retry_ms", "250"), ("error", "busy")]));
        let busy = busy.unwrap();
        for refused in [BATCH, Refused::Resume, Refused::Status] {
            check(&busy, refused, 3, Reconnect::After(250), Fate::Handshake);
        }
        for bad in ["", "x", "-3"] {
            let busy = Refusal::parse(0x97, &properties(&[("error", "busy"), ("retry_ms", bad)]));
            assert!(matches!(busy, Some(Refusal::Busy { retry_ms: 0.. })));
        }
    }

    #[test]
    fn success_is_no_refusal_and_the_unknown_backs_off() {
        assert_eq!(Refusal::parse(0x00, &[]), None);
        assert_eq!(Refusal::parse(0x10, &[]), None);
        let other = Refusal::parse(0x80, &properties(&[("error", "new-thing")])).unwrap();
        check(&other, BATCH, 0, Reconnect::BackOff, Fate::Handshake);
        assert_eq!(other.to_string(), "Broker refused: new-thing, reason 0x80");
    }
}
