//! `produce`: lines of standard input become records.

mod input;

use axum::body::Bytes;
use clap::Args as ClapArgs;
use serde_json::json;

use super::client::{self, Answer, Client, escape};
use super::output::{self, Output};
use super::{Failure, block_on};
use input::{Batch, Lines, Reader};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The stream
    stream: String,
    /// The key of every record
    #[arg(long, value_name = "KEY", conflicts_with_all = ["separator", "ndjson"])]
    key: Option<String>,
    /// What stands between key and value in each line
    #[arg(long, value_name = "TEXT", conflicts_with = "ndjson")]
    separator: Option<String>,
    /// Each line is a record as `consume --format json` prints it
    #[arg(long)]
    ndjson: bool,
    /// The partition of every record; by default its key decides
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    #[command(flatten)]
    broker: client::Address,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let reader = Reader {
        key: args.key.clone(),
        separator: args.separator.clone(),
        ndjson: args.ndjson,
        partition: args.partition,
    };
    if reader.separator.as_deref() == Some("") {
        return Err(Failure::usage("--separator must not be empty"));
    }
    let mut client = Client::new(&args.broker)?;
    let mut stored = 0;
    let sent = block_on(send_all(&mut client, args, reader, &mut stored))?;
    let told = output::print(args.output, &json!({ "records": stored }), |_| {
        format!("{stored} records stored")
    });
    match sent {
        Ok(()) => told,
        Err(failure) => Err(failure),
    }
}

/// Sends batch after batch, so that order is kept: each when the one before is stored, and never
/// waiting for more lines than there are.
async fn send_all(
    client: &mut Client,
    args: &Args,
    reader: Reader,
    stored: &mut u64,
) -> Result<(), Failure> {
    let path = format!("/api/v1/streams/{}/records", escape(&args.stream));
    // Before the first line, which may be a long time coming.
    client.get(path.trim_end_matches("/records")).await?;
    let mut lines = Lines::of_stdin(reader);
    while let Some(batch) = lines.next_batch().await? {
        let Batch { first, json, count } = batch;
        let sent = send(client, &path, json.into()).await;
        sent.map_err(|failure| failure.at(format_args!("Line {first} and what follows")))?;
        *stored += count;
    }
    Ok(())
}

async fn send(client: &mut Client, path: &str, json: Bytes) -> Result<(), Failure> {
    let body = Some(("application/x-ndjson", json));
    let sent = client.patiently("POST", path, body, Answer::is_busy).await;
    sent.map(drop)
}
