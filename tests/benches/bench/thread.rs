//! What the thread from sensor to consumer costs.

use std::time::Instant;

use headwater_tests::broker::Broker;
use headwater_tests::load::Load;
use headwater_tests::process::Process;
use headwater_tests::{consume, offline, process};

use crate::figures::{figure, machine, millis, per, rate, ratio, say};

/// Prints the figures of README.
pub(crate) fn measure(events: usize) -> Result<(), String> {
    say(&format!(
        "{events} events of 200 +- 20 bytes; machine: {}",
        machine()
    ));
    let report = offline::run(&process::node(), events)?;
    say("\nAgent, offline, 10 connections with 1,000 in flight, synced before each PUBACK");
    figure("events/s", rate(events, report.intake));
    figure("CPU us/event", per(report.intake_cpu, events));
    figure(
        "written bytes/event",
        ratio(report.intake_written_bytes, events as u64),
    );
    say("\nThe same agent, started with all of it and a broker to drain to");
    figure("start, ms", millis(report.start));
    figure(
        "peak resident MiB",
        ratio(report.peak_memory_bytes, 1 << 20),
    );
    figure("broker events/s from the agent", rate(events, report.drain));
    figure("broker CPU us/event", per(report.drain_broker_cpu, events));
    figure(
        "link bytes / single publishes",
        ratio(report.link_bytes, report.single_publish_bytes),
    );
    broker(events)
}

fn broker(events: usize) -> Result<(), String> {
    let broker = Broker::start(&process::node())?;
    for (connections, window) in [(10, 100), (500, 1)] {
        let load = Load {
            connections,
            window,
            events: events / 2 / connections * connections,
            seed: 2,
        };
        let before = broker.process().cpu().unwrap_or_default();
        let done = load.run(broker.process().address("mqtt"))?;
        let cpu = broker
            .process()
            .cpu()
            .unwrap_or_default()
            .saturating_sub(before);
        say(&format!(
            "\nBroker, QoS 1 publishes, {connections} connections with {window} in flight, synced before each PUBACK"
        ));
        figure("publishes/s", rate(load.events, done.elapsed));
        figure("CPU us/publish", per(cpu, load.events));
    }
    fetch(broker.process())
}

fn fetch(broker: &Process) -> Result<(), String> {
    let before = broker.cpu().unwrap_or_default();
    let begun = Instant::now();
    let records = consume::everything(broker.address("kafka"), "events")?;
    let elapsed = begun.elapsed();
    let cpu = broker.cpu().unwrap_or_default().saturating_sub(before);
    let size = |r: &consume::Record| {
        r.value.as_ref().map_or(0, Vec::len) + r.key.as_ref().map_or(0, Vec::len)
    };
    let bytes: usize = records.iter().map(size).sum();
    say(
        "\nBroker, all of it read back by one librdkafka consumer (the client's own work included)",
    );
    figure("records/s", rate(records.len(), elapsed));
    figure("MB/s of keys and values", rate(bytes, elapsed) / 1e6);
    figure("broker CPU us/record", per(cpu, records.len()));
    Ok(())
}
