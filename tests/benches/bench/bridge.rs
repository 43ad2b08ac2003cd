//! Our agent beside a mosquitto that bridges, persistent, both to the same broker of ours: what is
//! lost when they are killed or lose power, and what an event costs.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use headwater_tests::broker::Broker;
use headwater_tests::consume;
use headwater_tests::cut::PowerDisk;
use headwater_tests::edge::{Edge, Gateway};
use headwater_tests::load::Load;
use headwater_tests::peers::{free_address, mosquitto};
use headwater_tests::process::node;
use headwater_tests::proxy::Proxy;
use headwater_tests::source::{Ledger, Source, number};

use crate::figures::{machine, per, rate, ratio, say, short, table};

const STREAM: &str = "events";
/// Sources of the loss scenarios, some 800 events/s each.
const SOURCES: u64 = 2;
/// Load between two kills.
const BETWEEN_KILLS: Duration = Duration::from_millis(700);
/// The upstream broker has got everything that will come when nothing came for so long.
const QUIET: Duration = Duration::from_secs(4);
/// A bridge that saves its whole state at every change gets a share of the events: what it writes
/// grows with the square of them.
const SLOW_SHARE: usize = 50;

/// How much to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Kills, and cuts
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Events of the cost figures
    #[arg(long, default_value_t = 200_000)]
    events: usize,
    /// Events of backlog
    #[arg(long, default_value_t = 1_000_000)]
    backlog: usize,
    /// One column alone, by how its name ends: agent, bridge or change
    #[arg(long)]
    only: Option<String>,
}

const ROWS: [&str; 7] = [
    "acknowledged events lost over {} kills (of)",
    "acknowledged events lost over {} power cuts (of)",
    "events/s through it, end to end",
    "CPU us/event",
    "bytes on the link/event, both ways",
    "bytes written to the device/event",
    "resident MiB with {} events of backlog",
];

/// Prints the table.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    say(&format!("machine: {}", machine()));
    let mut gateways = vec![Gateway::Agent];
    match mosquitto::program() {
        Ok(program) => gateways.extend([false, true].map(|every_change| Gateway::Bridge {
            program: program.clone(),
            every_change,
        })),
        Err(why) => say(&format!("mosquitto is left out: {why}")),
    }
    if let Some(only) = &arguments.only {
        gateways.retain(|gateway| gateway.name().ends_with(only.as_str()));
    }
    let here: SocketAddr = "127.0.0.1:1884".parse().map_err(|e| format!("{e}"))?;
    let there: SocketAddr = "127.0.0.1:1883".parse().map_err(|e| format!("{e}"))?;
    for gateway in &gateways {
        let settings = gateway.settings(Path::new("FOLDER"), here, there);
        say(&format!("\n{}:\n{settings}", gateway.name()));
    }
    say(
        "Power cut: SIGKILL, then the ext4 file system with the data is shut down without flushing its journal and mounted again.",
    );
    let mut lines: Vec<Vec<String>> = ROWS
        .iter()
        .map(|name| vec![arguments.title(name)])
        .collect();
    for gateway in &gateways {
        let cells = column(gateway, arguments)?;
        say(&format!("{}: {}", gateway.name(), cells.join(" | ")));
        lines
            .iter_mut()
            .zip(cells)
            .for_each(|(line, cell)| line.push(cell));
    }
    let mut head = vec!["edge to broker, QoS 1".to_owned()];
    head.extend(gateways.iter().map(|gateway| gateway.name().to_owned()));
    say("");
    table(&head, &lines);
    Ok(())
}

impl Arguments {
    fn title(&self, name: &str) -> String {
        let count = if name.contains("backlog") {
            self.backlog
        } else {
            self.times
        };
        name.replace("{}", &count.to_string())
    }
}

fn column(gateway: &Gateway, arguments: &Arguments) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data).map_err(|e| e.to_string())?;
    let mut cells = vec![lost(gateway, &data, arguments.times, || Ok(()))?];
    cells.push(match PowerDisk::new() {
        Ok(disk) => {
            let data = disk.path().join("data");
            std::fs::create_dir(&data).map_err(|e| e.to_string())?;
            sync(&data)?;
            lost(gateway, &data, arguments.times, || disk.cut())?
        }
        Err(why) => format!("not run: {why}"),
    });
    cells.extend(costs(gateway, arguments.events)?);
    cells.push(backlog(gateway, arguments.backlog)?);
    Ok(cells)
}

/// The folder itself is to survive the first cut.
fn sync(folder: &Path) -> Result<(), String> {
    let parent = folder.parent().ok_or("A folder has a parent")?;
    let open = std::fs::File::open(parent).and_then(|parent| parent.sync_all());
    open.map_err(|e| e.to_string())
}

/// Kills the gateway again and again while sources publish, and counts what the broker never got
/// of what they were told is safe.
fn lost(
    gateway: &Gateway,
    data: &Path,
    times: usize,
    cut: impl Fn() -> Result<(), String>,
) -> Result<String, String> {
    let upstream = Broker::start(&node())?;
    let listen = free_address()?;
    let mut edge = Edge::start(
        gateway.clone(),
        data,
        listen,
        upstream.process().address("mqtt"),
    )?;
    let sources: Vec<_> = (0..SOURCES)
        .map(|n| Source::start(&format!("source-{n}"), listen, n))
        .collect();
    for _ in 0..times {
        std::thread::sleep(BETWEEN_KILLS);
        edge.kill();
        cut()?;
        edge.start_again()?;
    }
    let told: Vec<(String, Ledger)> = sources
        .into_iter()
        .map(|source| (source.topic.clone(), source.finish()))
        .collect();
    settle(&upstream)?;
    let records = consume::everything(upstream.process().address("kafka"), STREAM)?;
    let (mut acked, mut missing) = (0, 0);
    for (topic, ledger) in &told {
        let mut came = vec![false; ledger.acked.len()];
        let of_topic = records
            .iter()
            .filter(|record| record.key.as_deref() == Some(topic.as_bytes()));
        for number in of_topic.filter_map(|record| number(record.value.as_deref()?)) {
            came[number] = true;
        }
        let books = ledger.acked.iter().zip(&came);
        acked += books.clone().filter(|(acked, _)| **acked).count();
        missing += books.filter(|(acked, came)| **acked && !**came).count();
    }
    Ok(format!("{missing} (of {acked})"))
}

/// Waits until nothing more comes.
fn settle(upstream: &Broker) -> Result<u64, String> {
    let (mut count, mut since) = (upstream.records(STREAM)?, Instant::now());
    while since.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(50));
        let now = upstream.records(STREAM)?;
        if now != count {
            (count, since) = (now, Instant::now());
        }
    }
    Ok(count)
}

fn events_for(gateway: &Gateway, events: usize) -> usize {
    match gateway {
        Gateway::Bridge {
            every_change: true, ..
        } => events / SLOW_SHARE,
        Gateway::Bridge { .. } | Gateway::Agent => events,
    }
}

/// Rate, processor time, bytes on the link and bytes written for each event.
fn costs(gateway: &Gateway, events: usize) -> Result<Vec<String>, String> {
    let events = events_for(gateway, events);
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let upstream = Broker::start(&node())?;
    let link = Proxy::new(upstream.process().address("mqtt"));
    let edge = Edge::start(
        gateway.clone(),
        folder.path(),
        free_address()?,
        link.address(),
    )?;
    let load = Load {
        connections: 10,
        window: 100,
        events,
        seed: 1,
    };
    let process = edge.process();
    let (cpu, begun) = (process.cpu().unwrap_or_default(), Instant::now());
    load.run(process.address("mqtt"))?;
    let (expected, mut progress) = (u64::try_from(events).unwrap_or(0), Instant::now());
    let mut count = 0;
    while count < expected && progress.elapsed() < QUIET * 5 {
        std::thread::sleep(Duration::from_millis(5));
        let now = upstream.records(STREAM)?;
        if now > count {
            (count, progress) = (now, Instant::now());
        }
    }
    let elapsed = begun.elapsed();
    if count != expected {
        return Err(format!("{count} of {expected} events came"));
    }
    let (up, down) = link.bytes();
    let written = process.device_written_bytes().unwrap_or(0);
    let cpu = process.cpu().unwrap_or_default().saturating_sub(cpu);
    Ok(vec![
        short(rate(events, elapsed)),
        short(per(cpu, events)),
        short(ratio(up + down, expected)),
        short(ratio(written, expected)),
    ])
}

/// Memory with the broker out of reach.
fn backlog(gateway: &Gateway, events: usize) -> Result<String, String> {
    let asked = events;
    let events = events_for(gateway, events);
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let nowhere = free_address()?;
    let edge = Edge::start(gateway.clone(), folder.path(), free_address()?, nowhere)?;
    let load = Load {
        connections: 10,
        window: 100,
        events,
        seed: 1,
    };
    load.run(edge.process().address("mqtt"))?;
    let resident = edge.process().resident_bytes().unwrap_or(0);
    let mib = short(ratio(resident, 1 << 20));
    Ok(if events == asked {
        mib
    } else {
        format!("{mib} with {events}")
    })
}
