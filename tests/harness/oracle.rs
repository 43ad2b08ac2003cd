//! Compares three books: what the sources were told, what the agent's log on disk holds, and
//! what a stock Kafka client reads from the broker.

use std::collections::BTreeMap;

use crate::agent_log;
use crate::consume::{self, Record};
use crate::source::{Ledger, number};
use crate::stack::Stack;

/// Counts of a run that lost, doubled and reordered nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Events that the sources were told are safe.
    pub acknowledged: usize,
    /// Records in the agent's log, and so in the broker's.
    pub committed: usize,
    /// Second copies, each of a publish that its source sent more than once.
    pub resent_by_sources: usize,
}

/// Stops the agent and judges `stream`.
///
/// # Errors
/// The first event that is lost, doubled by us, out of order or changed on the way.
pub fn judge(
    stack: &mut Stack,
    stream: &str,
    topics: &[String],
    ledgers: &[Ledger],
) -> Result<Verdict, String> {
    let agent = stack.agent.take().map(|mut agent| agent.terminate());
    if let Some(Err(error)) = agent {
        return Err(error);
    }
    let committed = agent_log::records(&stack.path("agent"), stream)?;
    let stored = consume::everything(stack.broker().address("kafka"), stream)?;
    same_records(&committed, &stored)?;
    let mut verdict = Verdict {
        committed: stored.len(),
        ..Verdict::default()
    };
    for (topic, ledger) in topics.iter().zip(ledgers) {
        let copies = in_order(&stored, topic)?;
        for (number, (acked, sends)) in ledger.acked.iter().zip(&ledger.sends).enumerate() {
            let copies = copies.get(&number).copied().unwrap_or(0);
            if *acked && copies == 0 {
                return Err(format!("Lost: {topic} #{number} was acknowledged"));
            }
            if copies > *sends {
                return Err(format!(
                    "Doubled: {topic} #{number} is there {copies} times, sent {sends} times"
                ));
            }
            verdict.acknowledged += usize::from(*acked);
            verdict.resent_by_sources += usize::try_from(copies.saturating_sub(1)).unwrap_or(0);
        }
    }
    Ok(verdict)
}

/// The broker holds what the agent committed: each record once, in order, byte for byte.
fn same_records(committed: &[agent_log::Record], stored: &[Record]) -> Result<(), String> {
    if committed.len() != stored.len() {
        return Err(format!(
            "{} records committed, {} in the broker's log",
            committed.len(),
            stored.len()
        ));
    }
    for (index, (ours, theirs)) in committed.iter().zip(stored).enumerate() {
        let same = ours.key == theirs.key
            && ours.value == theirs.value
            && ours.timestamp_ms == theirs.timestamp_ms
            && ours.headers == theirs.headers;
        if !same {
            return Err(format!("Record {index} differs: {ours:?} is {theirs:?}"));
        }
    }
    Ok(())
}

/// How often each number of `topic` is there; its first copies must come in order.
fn in_order(stored: &[Record], topic: &str) -> Result<BTreeMap<usize, u32>, String> {
    let mut copies = BTreeMap::new();
    let mut newest = None;
    for record in stored
        .iter()
        .filter(|record| record.key.as_deref() == Some(topic.as_bytes()))
    {
        let value = record.value.as_deref().unwrap_or_default();
        let number = number(value).ok_or_else(|| format!("Not ours: {record:?}"))?;
        let seen = copies.entry(number).or_insert(0);
        *seen += 1;
        if *seen == 1 && newest.is_some_and(|newest| number < newest) {
            return Err(format!(
                "Reordered: {topic} #{number} at offset {}",
                record.offset
            ));
        }
        newest = newest.max(Some(number));
    }
    Ok(copies)
}
