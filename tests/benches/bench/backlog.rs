//! An agent with 10 GB of backlog: start, memory, and that all of it arrives.

use clap::Args;
use headwater_tests::behind::{self, Memory};
use headwater_tests::process::node;

use crate::figures::{figure, machine, millis, rate, ratio, say};

/// How much to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Bytes that the log's segments allocate
    #[arg(long, default_value_t = 10_000_000_000)]
    bytes: u64,
    /// Events that it takes while the broker is out of reach
    #[arg(long, default_value_t = 200_000)]
    events: usize,
}

/// Prints the figures.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let Arguments { bytes, events } = *arguments;
    let report = behind::run(&node(), bytes, events)?;
    say(&format!(
        "{bytes} bytes of backlog in {} segments, {} events of 200 +- 20 bytes; machine: {}",
        report.backlog.segments,
        report.backlog.events,
        machine()
    ));
    figure("start to ready, ms", millis(report.start));
    figure("peak MiB when ready", mib(report.memory_at_start));
    figure(
        "... 10 clients, 1,000 in flight",
        mib(report.memory_after_intake),
    );
    figure("... of another, all sent", mib(report.memory_after_drain));
    let all = report.backlog.events + events;
    figure("events/s sent, from its start", rate(all, report.drain));
    if report.stored == u64::try_from(all).unwrap_or(0) {
        Ok(())
    } else {
        Err(format!("{} events of {all} arrived", report.stored))
    }
}

fn mib(memory: Memory) -> f64 {
    ratio(memory.peak_bytes, 1 << 20)
}
