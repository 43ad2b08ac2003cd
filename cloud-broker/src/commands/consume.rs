//! `consume`: records of a stream, printed.

mod follow;
mod format;
mod pages;

use clap::Args as ClapArgs;
use headwater_wire::topic;
use serde_json::Value;

use super::client::{self, Client, escape};
use super::output::{self, Out, Output, Stop};
use super::{Failure, block_on};
use format::Format;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The stream
    stream: String,
    /// Where to begin: earliest, latest, a time (RFC 3339), or PARTITION:OFFSET,…; by default
    /// earliest, and latest with --follow
    #[arg(long, value_name = "FROM")]
    from: Option<String>,
    /// This partition alone
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Only records whose key matches this topic filter
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// End after so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Do not end at the end: wait for what comes
    #[arg(long)]
    follow: bool,
    /// How records are printed; text is key, tab, value
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    broker: client::Address,
    /// json is --format json
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Where printed records go, as long as more are wanted.
#[derive(Debug)]
struct Printer<'a> {
    out: Out,
    format: Format,
    partition: Option<u32>,
    filter: Option<&'a str>,
    left: u64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let filter = args.filter.as_deref();
    if filter.is_some_and(|filter| topic::check_filter(filter.as_bytes()).is_err()) {
        return Err(Failure::usage("--filter is not a topic filter"));
    }
    let mut client = Client::new(&args.broker)?;
    let mut printer = Printer {
        out: Out::new(),
        format: match (args.format, args.output) {
            (Some(format), _) => format,
            (None, Output::Json) => Format::Json,
            (None, Output::Text) => Format::Text,
        },
        partition: args.partition,
        filter,
        left: args.limit.unwrap_or(u64::MAX),
    };
    output::ended(block_on(print(&mut client, args, &mut printer))?)
}

async fn print(client: &mut Client, args: &Args, printer: &mut Printer<'_>) -> Result<(), Stop> {
    let path = format!("/api/v1/streams/{}", escape(&args.stream));
    let stream = client.get(&path).await?;
    let count = stream["partitions"].as_u64().unwrap_or(0);
    if let Some(number) = args.partition.filter(|number| u64::from(*number) >= count) {
        let message = format_args!(
            "Stream \"{}\" has {count} partitions, from 0 on, not {number}",
            args.stream
        );
        return Err(Failure::failed(message).into());
    }
    printer.begin()?;
    if args.limit == Some(0) {
        return printer.out.flush();
    }
    if args.follow {
        let from = args.from.as_deref().unwrap_or("latest");
        follow::print(client, &path, from, printer).await
    } else {
        let from = args.from.as_deref().unwrap_or("earliest");
        pages::print(client, &path, &stream, from, printer).await
    }
}

impl Printer<'_> {
    fn begin(&mut self) -> Result<(), Stop> {
        let format = self.format;
        self.out.put(|to| format.begin(to))
    }

    /// Prints a record that is wanted; [`Stop::Enough`] after the last.
    fn put(&mut self, record: &Value) -> Result<(), Stop> {
        if !self.wants(record) {
            return Ok(());
        }
        let format = self.format;
        self.out.put(|to| format.record(record, to))?;
        self.left -= 1;
        if self.left == 0 {
            self.out.flush()?;
            return Err(Stop::Enough);
        }
        Ok(())
    }

    fn wants(&self, record: &Value) -> bool {
        let partition = record["partition"].as_u64();
        if self
            .partition
            .is_some_and(|wanted| partition != Some(wanted.into()))
        {
            return false;
        }
        let Some(filter) = self.filter else {
            return true;
        };
        let key = record["key"]
            .as_str()
            .filter(|_| record["key_encoding"].is_null());
        let key = key.and_then(|key| topic::check_name(key.as_bytes()).ok());
        key.is_some_and(|key| topic::matches(filter, key))
    }
}
