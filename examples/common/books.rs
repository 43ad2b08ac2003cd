//! Three books of the same events: the agent's log on disk, what Kafka gave, what MQTT gave.

use std::fmt;

use crate::mqtt_reader::Message;

/// One event as a book has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The last line of an example.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Records in the agent's log.
    pub committed: usize,
    /// Records that the Kafka client read.
    pub kafka: usize,
    /// Messages that the MQTT client received.
    pub mqtt: usize,
    /// Records that either client never saw.
    pub lost: usize,
    /// Records that either client saw more than once.
    pub doubled: usize,
    /// Records that either client saw behind a later one, or changed.
    pub reordered: usize,
}

impl Totals {
    /// Compares every record, byte for byte and in order.
    #[must_use]
    pub fn compare(committed: &[Record], kafka: &[Record], mqtt: &[Message]) -> Self {
        let ours: Vec<Message> = committed.iter().map(message).collect();
        let by_kafka = difference(committed, kafka);
        let by_mqtt = difference(&ours, mqtt);
        Self {
            committed: committed.len(),
            kafka: kafka.len(),
            mqtt: mqtt.len(),
            lost: by_kafka.lost + by_mqtt.lost,
            doubled: by_kafka.doubled + by_mqtt.doubled,
            reordered: by_kafka.reordered + by_mqtt.reordered,
        }
    }

    /// Nothing lost, doubled or reordered, and something happened at all.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.committed > 0 && self.lost + self.doubled + self.reordered == 0
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            committed,
            kafka,
            mqtt,
            lost,
            doubled,
            reordered,
        } = self;
        let word = if self.is_ok() { "ok" } else { "failed" };
        write!(f, "{word} committed={committed} kafka={kafka} mqtt={mqtt} ")?;
        write!(f, "lost={lost} doubled={doubled} reordered={reordered}")
    }
}

fn message(record: &Record) -> Message {
    (
        record.key.clone().unwrap_or_default(),
        record.value.clone().unwrap_or_default(),
    )
}

#[derive(Debug, Default)]
struct Difference {
    lost: usize,
    doubled: usize,
    reordered: usize,
}

/// How `read` differs from `committed`: what is not there as often as it should be is lost or
/// doubled; where the counts agree and the order does not, the places that differ are reordered.
fn difference<T: PartialEq + Ord>(committed: &[T], read: &[T]) -> Difference {
    if committed == read {
        return Difference::default();
    }
    let (mut ours, mut theirs): (Vec<&T>, Vec<&T>) =
        (committed.iter().collect(), read.iter().collect());
    ours.sort_unstable();
    theirs.sort_unstable();
    let (mut difference, mut i, mut k) = (Difference::default(), 0, 0);
    while i < ours.len() || k < theirs.len() {
        match (ours.get(i), theirs.get(k)) {
            (Some(a), Some(b)) if a == b => (i, k) = (i + 1, k + 1),
            (Some(a), b) if b.is_none_or(|b| a < b) => {
                (difference.lost, i) = (difference.lost + 1, i + 1)
            }
            _ => (difference.doubled, k) = (difference.doubled + 1, k + 1),
        }
    }
    if difference.lost + difference.doubled == 0 {
        difference.reordered = committed.iter().zip(read).filter(|(a, b)| a != b).count();
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(committed: &[u8], read: &[u8]) -> (usize, usize, usize) {
        let found = difference(committed, read);
        (found.lost, found.doubled, found.reordered)
    }

    #[test]
    fn each_kind_of_difference_is_counted() {
        assert_eq!(counts(b"abc", b"abc"), (0, 0, 0));
        assert_eq!(counts(b"abc", b"ac"), (1, 0, 0));
        assert_eq!(counts(b"abc", b"abbc"), (0, 1, 0));
        assert_eq!(counts(b"abc", b"acb"), (0, 0, 2));
    }
}
