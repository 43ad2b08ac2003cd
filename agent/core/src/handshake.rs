//! What the broker's answer to `resume` means (kafka.md 3.4(8) of the design: model-checked).

use std::fmt;

use headwater_wire::uplink::{LossReason, Position, RepairReason, property};
use thiserror::Error;

/// The broker's answer to `resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeAnswer {
    /// N: everything below is durable there.
    pub next: Position,
    /// CRC of the entry that ends at N-1; present if N > 0.
    pub crc: Option<u32>,
    /// The stream's id: another one means that the stream was deleted and made again.
    pub topic_id: TopicId,
    /// Highest generation of this lane, if it is newer than ours.
    pub generation: Option<u32>,
}

/// A stream's UUID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TopicId(pub [u8; 16]);

/// What the log knows of the lane when the answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Where the broker's count begins: 0, unless the positions here are those of a log that goes on
    /// counting when the lane gets another generation.
    pub base: Position,
    /// Everything below is acknowledged.
    pub acked: Position,
    /// First position of the oldest entry held: a batch or a declared loss.
    pub oldest: Position,
    /// Position to be sealed next.
    pub sealed: Position,
    /// CRCs of the entries, held or only remembered, that end at N-1: two where a loss was declared
    /// for a batch that is still remembered.
    pub below: Vec<u32>,
    /// Whether N lies between two entries held, or at an end of them.
    pub at_boundary: bool,
    /// The stream's id as last seen.
    pub topic_id: Option<TopicId>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Drop what lies below and send from here.
    Send(Position),
    /// Declare `[from, to)` lost, durably, then send from `from`.
    Declare {
        /// First position lost: N.
        from: Position,
        /// First position still held.
        to: Position,
        /// Why.
        reason: LossReason,
    },
    /// Another history used the lane: it needs a new generation.
    Repair(Fork),
}

/// The result as the uplink sees it: the log has made durable what follows from the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Handshake {
    /// Send from here.
    Send(Position),
    /// Another history used the lane; it cannot be sent under this generation.
    Fork(Fork),
}

/// How two histories of one lane show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The broker holds more than was ever sealed here.
    Ahead,
    /// The broker's last entry is not the one that lies here.
    Other,
}

impl Fork {
    /// What the broker is told, unless a `conflict` had told it before.
    pub fn reason(self) -> RepairReason {
        match self {
            Self::Ahead => RepairReason::Rollback,
            Self::Other => RepairReason::Clone,
        }
    }
}

/// The generation that the broker reserved, from the user properties of the PUBACK.
pub fn reserved_generation(properties: &[(String, String)]) -> Result<u32, AnswerError> {
    let mut values = properties.iter();
    let value = values.find(|(key, _)| key == property::GENERATION);
    let (_, value) = value.ok_or(AnswerError::Missing(property::GENERATION))?;
    value
        .parse()
        .map_err(|_| AnswerError::Bad(property::GENERATION))
}

/// Decides. Nothing has changed when this returns.
pub fn decide(view: &View, answer: &ResumeAnswer) -> Decision {
    let n = answer.next;
    if n > view.sealed {
        return Decision::Repair(Fork::Ahead);
    }
    let same = answer.crc.is_some_and(|crc| view.below.contains(&crc));
    let contradicted = !view.below.is_empty() && !same;
    if n > view.base && (contradicted || (n >= view.acked && !same)) {
        return Decision::Repair(Fork::Other);
    }
    let reason = reason(view, answer);
    // What the old stream had acknowledged is not sent to the new one, be it still here or not.
    let first = match reason {
        LossReason::Recreated => view.oldest.max(view.acked),
        _ => view.oldest,
    };
    if n < first {
        return Decision::Declare {
            from: n,
            to: first,
            reason,
        };
    }
    // An entry of ours begins below N and ends above it: we never sent anything that ends there.
    if !view.at_boundary {
        return Decision::Repair(Fork::Other);
    }
    Decision::Send(n)
}

fn reason(view: &View, answer: &ResumeAnswer) -> LossReason {
    if view.topic_id.is_some_and(|known| known != answer.topic_id) {
        LossReason::Recreated
    } else if answer.next == view.base {
        LossReason::LaneLost
    } else {
        LossReason::Restored
    }
}

impl ResumeAnswer {
    /// From the user properties of the PUBACK.
    pub fn parse(properties: &[(String, String)]) -> Result<Self, AnswerError> {
        let value = |name| {
            properties
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
        };
        let needed = |name| value(name).ok_or(AnswerError::Missing(name));
        let bad = |name| move |_| AnswerError::Bad(name);
        let next = needed(property::NEXT)?
            .parse()
            .map_err(bad(property::NEXT))?;
        let topic_id = TopicId::parse(needed(property::TOPIC_ID)?)?;
        let crc = value(property::CRC)
            .map(|hex| u32::from_str_radix(hex, 16))
            .transpose();
        let crc = crc.map_err(bad(property::CRC))?;
        if next > 0 && crc.is_none() {
            return Err(AnswerError::Missing(property::CRC));
        }
        let generation = value(property::GENERATION)
            .map(|number| number.parse())
            .transpose();
        let generation = generation.map_err(bad(property::GENERATION))?;
        Ok(Self {
            next: Position(next),
            crc,
            topic_id,
            generation,
        })
    }
}

/// An answer that does not say what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// A property is not there.
    #[error("Broker's answer has no {0}")]
    Missing(&'static str),
    /// A property is not what it should be.
    #[error("Broker's answer has a bad {0}")]
    Bad(&'static str),
}

impl TopicId {
    /// From `8-4-4-4-12` hex digits.
    pub fn parse(text: &str) -> Result<Self, AnswerError> {
        let bad = AnswerError::Bad(property::TOPIC_ID);
        let is_right = |(at, byte): (usize, u8)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        if text.len() != 36 || !text.bytes().enumerate().all(is_right) {
            return Err(bad);
        }
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad)?;
        }
        Ok(Self(id))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(out, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ahead => {
                "the broker holds more than this log ever sealed: its disk was rolled back, or a \
                 copy of it runs elsewhere"
            }
            Self::Other => {
                "the broker's last batch is not the one in this log: a copy of its disk runs \
                 elsewhere, or it was rolled back"
            }
        })
    }
}

#[cfg(test)]
mod tests;
