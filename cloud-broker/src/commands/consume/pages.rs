//! What there is now: pages of each partition, merged by timestamp. All pages together take a
//! bounded memory: what is too much is asked for again when its turn comes.

use std::collections::VecDeque;

use serde_json::Value;

use super::super::Failure;
use super::super::client::{Client, escape};
use super::super::output::Stop;
use super::Printer;

/// Records and bytes that are asked for at a time: the most, and the least if there are many
/// partitions.
const PAGE_RECORDS_MAX: usize = 1000;
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=256 << 10;
/// What the records that are held may take, bytes, beside the page that came last.
const HELD_BYTES_MAX: usize = 32 << 20;
/// What a value of a record takes beside its text.
const VALUE_BYTES: usize = 100;

/// One partition's records from a start to the end that there was at the beginning.
#[derive(Debug)]
struct Part {
    number: u64,
    /// As in the query, until the first page has said where that is.
    next: String,
    end: i64,
    done: bool,
    /// When the next record was written, also while it is not held.
    time: Option<i64>,
    records: VecDeque<Value>,
    /// What they take.
    bytes: usize,
}

/// All of them, by what they hold.
#[derive(Debug)]
struct Parts {
    parts: Vec<Part>,
    page_bytes: usize,
    bytes_max: usize,
}

/// Prints all records from `from` on. Within a partition they come by offset, otherwise by time.
pub(super) async fn print(
    client: &mut Client,
    path: &str,
    stream: &Value,
    from: &str,
    printer: &mut Printer<'_>,
) -> Result<(), Stop> {
    let mut parts = Parts::new(parts(stream, from, printer.partition)?, HELD_BYTES_MAX);
    loop {
        while let Some(at) = parts.wanting() {
            let query = parts.query(at);
            let page = client.get(&format!("{path}/records?{query}")).await?;
            parts.take(at, page);
        }
        let Some(record) = parts.next() else {
            return printer.out.flush();
        };
        printer.put(&record)?;
    }
}

impl Parts {
    fn new(parts: Vec<Part>, bytes_max: usize) -> Self {
        // Half of it for all first pages, since text grows when it is read.
        let share = bytes_max / 8 / parts.len().max(1);
        Self {
            page_bytes: share.clamp(*PAGE_BYTES.start(), *PAGE_BYTES.end()),
            parts,
            bytes_max,
        }
    }

    /// A partition that has to be asked before it is known which record is next.
    fn wanting(&self) -> Option<usize> {
        let unknown = |part: &Part| part.time.is_none() && !part.done;
        let unknown = self.parts.iter().position(unknown);
        unknown.or_else(|| self.first().filter(|at| self.parts[*at].records.is_empty()))
    }

    /// Whose record is next.
    fn first(&self) -> Option<usize> {
        let times = self.parts.iter().enumerate();
        let times = times.filter_map(|(at, part)| Some((part.time?, at)));
        times.min().map(|(_, at)| at)
    }

    fn query(&self, at: usize) -> String {
        let part = &self.parts[at];
        format!(
            "partition={}&offset={}&limit={PAGE_RECORDS_MAX}&max_bytes={}",
            part.number,
            escape(&part.next),
            self.page_bytes
        )
    }

    /// Takes a page in; others give back what they hold and need last, if it is too much.
    fn take(&mut self, at: usize, page: Value) {
        self.parts[at].take(page);
        let mut held: usize = self.parts.iter().map(|part| part.bytes).sum();
        while held > self.bytes_max {
            let first = self.first();
            let held_by = self.parts.iter_mut().enumerate();
            let others = held_by.filter(|(at, part)| Some(*at) != first && part.bytes > 0);
            let Some((_, last)) = others.max_by_key(|(_, part)| part.time) else {
                return;
            };
            held -= last.give_back();
        }
    }

    fn next(&mut self) -> Option<Value> {
        let at = self.first()?;
        self.parts[at].pop()
    }
}

fn parts(stream: &Value, from: &str, only: Option<u32>) -> Result<Vec<Part>, Failure> {
    let starts = starts(from)?;
    let list = stream["partition"].as_array();
    let list = list.map(Vec::as_slice).unwrap_or_default().iter();
    let part = |part: &Value| {
        let number = part["id"].as_u64()?;
        let end = part["end"].as_i64()?;
        let empty = part["start"].as_i64()? == end;
        let unwanted = only.is_some_and(|only| u64::from(only) != number);
        (!unwanted).then(|| Part {
            number,
            next: starts(number),
            end,
            done: empty,
            time: None,
            records: VecDeque::new(),
            bytes: 0,
        })
    };
    Ok(list.filter_map(part).collect())
}

/// From what `--from` says to where each partition begins.
fn starts(from: &str) -> Result<impl Fn(u64) -> String + '_, Failure> {
    let pair = |pair: &str| {
        let (partition, offset) = pair.split_once(':')?;
        Some((partition.parse::<u64>().ok()?, offset.parse::<u64>().ok()?))
    };
    let pairs: Option<Vec<_>> = from.split(',').map(pair).collect();
    let everywhere = match from {
        "earliest" | "latest" => from.to_owned(),
        _ if from.parse::<jiff::Timestamp>().is_ok() => format!("time:{from}"),
        _ if pairs.is_some() => "earliest".to_owned(),
        _ => {
            return Err(Failure::usage(format_args!(
                "--from {from} is neither earliest, latest, a time (RFC 3339) nor PARTITION:OFFSET,…"
            )));
        }
    };
    let pairs = pairs.unwrap_or_default();
    Ok(move |number| {
        let named = pairs.iter().find(|(partition, _)| *partition == number);
        named.map_or_else(|| everywhere.clone(), |(_, offset)| offset.to_string())
    })
}

impl Part {
    fn take(&mut self, mut page: Value) {
        let next = page["next"].as_i64().unwrap_or(i64::MAX);
        let stuck = self.next == next.to_string();
        self.next = next.to_string();
        self.done = stuck || next >= self.end;
        self.time = None;
        let Value::Array(records) = page["records"].take() else {
            return;
        };
        for mut record in records {
            if offset(&record).is_none_or(|offset| offset >= self.end) {
                self.done = true;
                break;
            }
            record["partition"] = self.number.into();
            self.bytes += bytes(&record);
            self.records.push_back(record);
        }
        self.time = self.records.front().and_then(timestamp);
    }

    fn pop(&mut self) -> Option<Value> {
        let record = self.records.pop_front()?;
        self.bytes -= bytes(&record);
        self.time = self.records.front().and_then(timestamp);
        Some(record)
    }

    /// Holds nothing but the time of what is next; gives the bytes.
    fn give_back(&mut self) -> usize {
        if let Some(first) = self.records.front().and_then(offset) {
            self.next = first.to_string();
            self.done = false;
        }
        self.records = VecDeque::new();
        std::mem::take(&mut self.bytes)
    }
}

fn offset(record: &Value) -> Option<i64> {
    record["offset"].as_i64()
}

/// One without a time is printed at once.
fn timestamp(record: &Value) -> Option<i64> {
    Some(record["timestamp"].as_i64().unwrap_or(i64::MIN))
}

/// What a value takes, roughly.
fn bytes(value: &Value) -> usize {
    let of_parts = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(bytes).sum(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.map(|(name, value)| name.len() + bytes(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    VALUE_BYTES + of_parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A broker with as many records in each partition, written in turns.
    fn page(query: &str, records: i64) -> Value {
        let number = |name: &str| -> i64 {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(name));
            found
                .and_then(|value| value.parse().ok())
                .expect("a number")
        };
        let (partition, start) = (number("partition="), number("offset="));
        let end = records.min(start + 50);
        let record = |offset| {
            let value = "x".repeat(1000);
            json!({"offset": offset, "timestamp": offset * 100 + partition, "value": value})
        };
        let list: Vec<Value> = (start..end).map(record).collect();
        json!({"next": end, "records": list})
    }

    #[test]
    fn many_partitions_are_merged_in_bounded_memory() {
        let (records, bytes_max) = (120, 300_000);
        let part = |number| json!({"id": number, "start": 0, "end": records});
        let stream = json!({"partition": (0..40).map(part).collect::<Vec<_>>()});
        let from: Vec<String> = (0..40).map(|number| format!("{number}:0")).collect();
        let all = parts(&stream, &from.join(","), None).expect("parts");
        let mut parts = Parts::new(all, bytes_max);
        let one_page = bytes(&page("partition=0&offset=0", records));
        let (mut printed, mut asked) = (Vec::new(), 0);
        loop {
            while let Some(at) = parts.wanting() {
                parts.take(at, page(&parts.query(at), records));
                let held: usize = parts.parts.iter().map(|part| part.bytes).sum();
                assert!(held <= bytes_max + one_page, "{held}");
                asked += 1;
            }
            let Some(record) = parts.next() else { break };
            printed.push(timestamp(&record));
        }
        assert_eq!(printed.len(), 40 * 120);
        assert!(printed.is_sorted() && asked > 40 * 3, "{asked}");
    }

    #[test]
    fn where_partitions_begin() {
        let at = |from: &str, number| starts(from).map(|starts| starts(number)).ok();
        assert_eq!(at("latest", 3).as_deref(), Some("latest"));
        assert_eq!(at("1:7,3:9", 3).as_deref(), Some("9"));
        assert_eq!(at("1:7,3:9", 0).as_deref(), Some("earliest"));
        let time = "2026-11-24T09:00:00Z";
        assert_eq!(at(time, 0), Some(format!("time:{time}")));
        for from in ["", "1", "1:", "a:1", "yesterday", "1:7,,"] {
            assert!(at(from, 0).is_none(), "{from}");
        }
    }
}
