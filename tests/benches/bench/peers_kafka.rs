//! Our Kafka door, synced, beside Apache Kafka with its defaults and synced: one librdkafka client
//! for all, brokers warmed up, turns taken, medians.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;
use headwater_tests::kafka_load::{self, at_once};
use headwater_tests::peers::kafka::{self, Kafka};
use headwater_tests::peers::{MqttBroker, Running};

use crate::figures::{machine, median, millis, per, rate, resident_mib, say, short, table};

const PER_SECOND: usize = 5_000;

/// How long to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A twentieth of the records, once
    #[arg(long)]
    quick: bool,
    /// How often each broker has its turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Records of each measurement
    #[arg(long, default_value_t = 2_000_000)]
    records: usize,
    /// Records that each broker has seen before; a JVM needs some 5 million
    #[arg(long, default_value_t = 5_000_000)]
    warm_up: usize,
    /// Only brokers whose name contains this
    #[arg(long, default_value = "")]
    broker: String,
}

/// One column of the table.
struct Column {
    name: &'static str,
    running: Running,
    start: Duration,
    /// A row's figures, in the order of [`ROWS`].
    figures: [Vec<f64>; ROWS.len()],
    rates: [Vec<f64>; ROWS.len()],
}

const ROWS: [&str; 7] = [
    "produce, uncompressed: CPU us/record (records/s)",
    "consume, uncompressed: CPU us/record (records/s)",
    "produce, zstd: CPU us/record (records/s)",
    "consume, zstd: CPU us/record (records/s)",
    "5,000/s produced and consumed at once: CPU us/record",
    "... end to end, p50, ms (5 ms linger included)",
    "... end to end, p99, ms",
];

/// Prints the table.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let divisor = if arguments.quick { 20 } else { 1 };
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    say(&format!("machine: {}", machine()));
    let mut columns = start(&arguments.broker)?;
    for column in &columns {
        kafka_load::produce(
            column.address(),
            "warm",
            "none",
            arguments.warm_up / divisor,
        )?;
        kafka_load::consume(column.address(), "warm", arguments.warm_up / divisor)?;
    }
    for round in 0..rounds {
        for (at, codec) in ["none", "zstd"].into_iter().enumerate() {
            for column in &mut columns {
                column.bulk(2 * at, codec, round, arguments.records / divisor)?;
            }
        }
        for column in &mut columns {
            column.steady(round, if arguments.quick { 3 } else { 10 })?;
        }
    }
    print(&columns);
    Ok(())
}

fn start(wanted: &str) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    match Kafka::find() {
        Ok(found) => {
            say(&format!(
                "\nApache Kafka {}, 1 GiB of heap:\n{}synced: as above, and log.flush.interval.messages=1",
                kafka::VERSION,
                kafka::settings(false, 9092, 9093, "data")
            ));
            for (name, synced) in [("Kafka, defaults", false), ("Kafka, synced", true)] {
                if name.contains(wanted) {
                    columns.push(Column::start(name, || found.start(synced))?);
                }
            }
        }
        Err(why) => say(&format!("Apache Kafka is left out: {why}")),
    }
    let name = "headwater, synced";
    if name.contains(wanted) {
        columns.push(Column::start(name, || MqttBroker::Headwater.start())?);
    }
    Ok(columns)
}

impl Column {
    fn start(
        name: &'static str,
        start: impl Fn() -> Result<Running, String>,
    ) -> Result<Self, String> {
        let running = start()?;
        let mut column = Self {
            name,
            start: running.since_spawn(),
            running,
            figures: Default::default(),
            rates: Default::default(),
        };
        await_answer(column.address())?;
        column.start = column.running.since_spawn();
        Ok(column)
    }

    fn address(&self) -> SocketAddr {
        self.running.process.address("kafka")
    }

    fn cpu(&self) -> Duration {
        self.running.process.cpu().unwrap_or_default()
    }

    fn bulk(&mut self, at: usize, codec: &str, round: usize, count: usize) -> Result<(), String> {
        let topic = format!("{codec}-{round}");
        let before = self.cpu();
        let elapsed = kafka_load::produce(self.address(), &topic, codec, count)?;
        let between = self.cpu();
        self.figures[at].push(per(between.saturating_sub(before), count));
        self.rates[at].push(rate(count, elapsed));
        let elapsed = kafka_load::consume(self.address(), &topic, count)?;
        self.figures[at + 1].push(per(self.cpu().saturating_sub(between), count));
        self.rates[at + 1].push(rate(count, elapsed));
        Ok(())
    }

    fn steady(&mut self, round: usize, seconds: usize) -> Result<(), String> {
        let before = self.cpu();
        let topic = format!("steady-{round}");
        let latencies = at_once(self.address(), &topic, PER_SECOND, seconds)?;
        let cpu = self.cpu().saturating_sub(before);
        self.figures[4].push(per(cpu, PER_SECOND * seconds));
        self.figures[5].push(millis(latencies.quantile(0.5)));
        self.figures[6].push(millis(latencies.quantile(0.99)));
        Ok(())
    }
}

/// Asks for the versions of APIs until there is an answer.
fn await_answer(broker: SocketAddr) -> Result<(), String> {
    const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF];
    let ask = || {
        let mut link = TcpStream::connect(broker)?;
        link.write_all(&API_VERSIONS)?;
        link.read_exact(&mut [0; 8])
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if ask().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(format!("{broker} does not answer"))
}

fn print(columns: &[Column]) {
    let mut head = vec!["acks=all, 4 partitions, 256 bytes".to_owned()];
    head.extend(columns.iter().map(|column| column.name.to_owned()));
    let mut lines = Vec::new();
    for (at, name) in ROWS.iter().enumerate() {
        let mut line = vec![(*name).to_owned()];
        line.extend(columns.iter().map(|column| {
            let figure = short(median(column.figures[at].clone()));
            if column.rates[at].is_empty() {
                figure
            } else {
                format!("{figure} ({})", short(median(column.rates[at].clone())))
            }
        }));
        lines.push(line);
    }
    let line = |name: &str, of: &dyn Fn(&Column) -> f64| {
        let mut line = vec![name.to_owned()];
        line.extend(columns.iter().map(|column| short(of(column))));
        line
    };
    lines.push(line("resident memory after all that, MiB", &|c| {
        resident_mib(&c.running)
    }));
    lines.push(line("start of the process to the first answer, ms", &|c| {
        millis(c.start)
    }));
    say("");
    table(&head, &lines);
}
