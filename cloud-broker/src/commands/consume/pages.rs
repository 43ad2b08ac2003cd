//! What there is now: pages of each partition, merged by timestamp.

use std::collections::VecDeque;

use serde_json::Value;

use super::super::Failure;
use super::super::client::{Client, escape};
use super::super::output::Stop;
use super::Printer;

/// Records and bytes that are asked for at a time, for each partition.
const PAGE: &str = "limit=1000&max_bytes=256KiB";

/// One partition's records from a start to the end that there was at the beginning.
#[derive(Debug)]
struct Part {
    number: u64,
    /// As in the query, until the first page has said where that is.
    next: String,
    end: i64,
    done: bool,
    records: VecDeque<Value>,
}

/// Prints all records from `from` on. Within a partition they come by offset, otherwise by time.
pub(super) async fn print(
    client: &mut Client,
    path: &str,
    stream: &Value,
    from: &str,
    printer: &mut Printer<'_>,
) -> Result<(), Stop> {
    let mut parts = parts(stream, from, printer.partition)?;
    loop {
        for part in &mut parts {
            if part.records.is_empty() && !part.done {
                part.fetch(client, path).await?;
            }
        }
        let heads = parts
            .iter_mut()
            .filter_map(|part| Some((part.time()?, part)));
        let Some((_, part)) = heads.min_by_key(|(time, _)| *time) else {
            return printer.out.flush();
        };
        if let Some(record) = part.records.pop_front() {
            printer.put(&record)?;
        }
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
            records: VecDeque::new(),
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
    fn time(&self) -> Option<i64> {
        self.records.front()?["timestamp"].as_i64()
    }

    async fn fetch(&mut self, client: &mut Client, path: &str) -> Result<(), Failure> {
        let query = format!(
            "{path}/records?partition={}&offset={}&{PAGE}",
            self.number,
            escape(&self.next)
        );
        let mut page = client.get(&query).await?;
        let next = page["next"].as_i64().unwrap_or(i64::MAX);
        let stuck = self.next == next.to_string();
        self.next = next.to_string();
        self.done = stuck || next >= self.end;
        let Value::Array(records) = page["records"].take() else {
            return Ok(());
        };
        for mut record in records {
            if record["offset"]
                .as_i64()
                .is_none_or(|offset| offset >= self.end)
            {
                self.done = true;
                break;
            }
            record["partition"] = self.number.into();
            self.records.push_back(record);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
