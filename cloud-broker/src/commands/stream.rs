//! `stream`: the streams of a running broker.

use axum::body::Bytes;
use clap::{Args as ClapArgs, Subcommand};
use headwater_settings::Bytes as Size;
use serde_json::{Map, Value, json};

use super::Failure;
use super::asked::{Asked, Named};
use super::output::{self, cell, rows, table};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All streams
    List {
        /// Those that headwater keeps for itself, too
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Make a stream
    Create(Create),
    /// One stream and its partitions
    Describe(Named),
    /// Delete a stream and all its records
    Delete(Named),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Create {
    #[command(flatten)]
    named: Named,
    /// MQTT topics that belong to it; may be given several times
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// How many partitions it has
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
    /// How long records stay: 7d, 12h, … or forever
    #[arg(long, value_name = "TIME")]
    retention: Option<String>,
    /// How many bytes of each partition stay, or unlimited
    #[arg(long, value_name = "BYTES")]
    retention_bytes: Option<String>,
    /// What happens to old records: delete, compact or compact,delete
    #[arg(long, value_name = "HOW")]
    cleanup: Option<String>,
    /// What decides about an MQTT publish's partition: client or topic
    #[arg(long, value_name = "BY")]
    partition_by: Option<String>,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List { internal, asked } => {
            let path = match internal {
                true => "/api/v1/streams?internal=true",
                false => "/api/v1/streams",
            };
            output::print(asked.output, &asked.ask("GET", path, None)?, list)
        }
        Command::Create(create) => {
            let asked = &create.named.asked;
            let body = Bytes::from(create.body().to_string());
            let made = asked.ask("POST", "/api/v1/streams", Some(body))?;
            output::print(asked.output, &made, |stream| {
                format!("Stream \"{}\" created", cell(&stream["name"]))
            })
        }
        Command::Describe(named) => {
            let stream = named.asked.ask("GET", &named.path("streams"), None)?;
            output::print(named.asked.output, &stream, describe)
        }
        Command::Delete(named) => {
            named.asked.ask("DELETE", &named.path("streams"), None)?;
            let deleted = json!({ "deleted": named.name });
            output::print(named.asked.output, &deleted, |_| {
                format!("Stream \"{}\" deleted", named.name)
            })
        }
    }
}

impl Create {
    /// What was said; the broker has defaults for the rest.
    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("name".into(), self.named.name.as_str().into());
        body.insert("filters".into(), self.filters.as_slice().into());
        let mut add = |name: &str, value: Option<Value>| {
            value.map(|value| body.insert(name.into(), value));
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        add("partitions", self.partitions.map(Value::from));
        add("retention", text(&self.retention));
        add("retention_bytes", text(&self.retention_bytes));
        add("cleanup", text(&self.cleanup));
        add("partition_by", text(&self.partition_by));
        Value::Object(body)
    }
}

fn list(answer: &Value) -> String {
    let streams = answer["streams"].as_array();
    let streams = streams.map(Vec::as_slice).unwrap_or_default().iter();
    let row = |stream: &Value| {
        vec![
            cell(&stream["name"]),
            cell(&stream["partitions"]),
            cell(&stream["records"]),
            size(&stream["bytes"]),
            time(&stream["retention_ms"]),
            cell(&stream["cleanup"]),
            cell(&stream["filters"]),
        ]
    };
    let titles = [
        "NAME",
        "PARTITIONS",
        "RECORDS",
        "BYTES",
        "RETENTION",
        "CLEANUP",
        "FILTERS",
    ];
    table(&titles, &streams.map(row).collect::<Vec<_>>())
}

fn describe(stream: &Value) -> String {
    let limit = match &stream["retention_bytes"] {
        Value::Null => "unlimited".to_owned(),
        bytes => size(bytes),
    };
    let facts = [
        ("Name", cell(&stream["name"])),
        ("Id", cell(&stream["id"])),
        ("Filters", cell(&stream["filters"])),
        ("Retention", time(&stream["retention_ms"])),
        ("Retention bytes", limit),
        ("Cleanup", cell(&stream["cleanup"])),
        ("Partition by", cell(&stream["partition_by"])),
        ("Records", cell(&stream["records"])),
        ("Bytes", size(&stream["bytes"])),
    ];
    let mut text: String = facts
        .iter()
        .map(|(name, value)| format!("{:<17}{value}\n", format!("{name}:")))
        .collect();
    let columns = ["id", "start", "end", "bytes", "leader", "epoch"];
    let titles = ["PARTITION", "START", "END", "BYTES", "LEADER", "EPOCH"];
    text += "\n";
    text + &table(&titles, &rows(&stream["partition"], &columns))
}

fn size(bytes: &Value) -> String {
    bytes
        .as_u64()
        .map_or_else(String::new, |bytes| Size(bytes).to_string())
}

/// In the largest unit that divides it.
fn time(ms: &Value) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1000, "s"),
    ];
    let Some(ms) = ms.as_u64() else {
        return "forever".into();
    };
    let whole = |(unit, _): &&(u64, &str)| ms > 0 && ms.is_multiple_of(*unit);
    match UNITS.iter().find(whole) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (ms, text) in [
            (json!(604_800_000), "7d"),
            (json!(90_000), "90s"),
            (json!(3_600_000), "1h"),
            (json!(1500), "1500ms"),
            (json!(0), "0ms"),
            (json!(null), "forever"),
        ] {
            assert_eq!(time(&ms), text);
        }
    }
}
