//! Our MQTT door, synced before each PUBACK, beside mosquitto and rumqttd in memory.
//!
//! Every cell is a broker that was started for it alone, warmed up, and measured by the processor
//! time of its process; brokers take turns, and the table has the medians.

use clap::Args;
use headwater_tests::mqtt_load::{Books, Clients, Crowd, Done, Qos, Shape, Subscribers};
use headwater_tests::peers::{MqttBroker, Running};

use crate::figures::{machine, median, per, rate, resident_mib, say, short, table};

/// How long to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A tenth of the messages, once
    #[arg(long)]
    quick: bool,
    /// How often each broker has its turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    row: String,
    /// Only brokers whose name contains this
    #[arg(long, default_value = "")]
    broker: String,
}

struct Row {
    name: &'static str,
    messages: usize,
    load: Load,
}

enum Load {
    Messages(Shape),
    Connections(usize),
}

/// What one broker did in one row.
#[derive(Clone, Copy)]
struct Cell {
    cpu_us: f64,
    rate: f64,
    resident_mib: f64,
}

const ROWS: [Row; 6] = [
    Row {
        name: "QoS 0, 10 connections",
        messages: 2_000_000,
        load: shape(Qos::Zero, 10, 100, Subscribers::Nobody),
    },
    Row {
        name: "QoS 1, 10 connections, 100 in flight",
        messages: 1_000_000,
        load: shape(Qos::One, 10, 100, Subscribers::Nobody),
    },
    Row {
        name: "QoS 1, 500 connections, 1 in flight",
        messages: 400_000,
        load: shape(Qos::One, 500, 1, Subscribers::Nobody),
    },
    Row {
        name: "1 -> 50, QoS 1, 100 in flight, per delivery",
        messages: 20_000,
        load: shape(Qos::One, 1, 100, Subscribers::All(50)),
    },
    Row {
        name: "100 -> 100, QoS 1, 10 in flight, per delivery",
        messages: 300_000,
        load: shape(Qos::One, 100, 10, Subscribers::Pairs),
    },
    Row {
        name: "connect and subscribe, per connection",
        messages: 9_000,
        load: Load::Connections(64),
    },
];

const fn shape(qos: Qos, publishers: usize, window: usize, subscribers: Subscribers) -> Load {
    Load::Messages(Shape {
        qos,
        publishers,
        window,
        subscribers,
    })
}

/// Prints the table.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let (mut brokers, missing) = MqttBroker::all();
    brokers.retain(|broker| broker.name().contains(&arguments.broker));
    say(&format!("machine: {}", machine()));
    missing.iter().for_each(|line| say(line));
    for broker in &brokers {
        say(&format!("\n{}:\n{}", broker.name(), broker.settings(1883)));
    }
    let (rounds, divisor) = if arguments.quick {
        (1, 10)
    } else {
        (arguments.rounds, 1)
    };
    let rows = ROWS.iter().filter(|row| row.name.contains(&arguments.row));
    let mut lines = Vec::new();
    for row in rows {
        let mut cells = vec![Vec::new(); brokers.len()];
        for _ in 0..rounds {
            for (broker, cells) in brokers.iter().zip(&mut cells) {
                cells.push(row.cell(broker, divisor)?);
            }
        }
        let mut line = vec![row.name.to_owned()];
        line.extend(cells.iter().map(|cells| written(cells)));
        say(&line.join(" | "));
        lines.push(line);
    }
    let mut head = vec!["broker CPU us per message (messages/s, resident MiB)".to_owned()];
    head.extend(brokers.iter().map(MqttBroker::name));
    say("");
    table(&head, &lines);
    Ok(())
}

fn written(cells: &[Cell]) -> String {
    let middle = |of: fn(&Cell) -> f64| short(median(cells.iter().map(of).collect()));
    let (cpu, rate, memory) = (
        middle(|c| c.cpu_us),
        middle(|c| c.rate),
        middle(|c| c.resident_mib),
    );
    format!("{cpu} ({rate}, {memory})")
}

impl Row {
    fn cell(&self, broker: &MqttBroker, divisor: usize) -> Result<Cell, String> {
        let running = broker.start()?;
        let count = self.messages / divisor;
        let cell = match self.load {
            Load::Messages(shape) => messages(&running, shape, count),
            Load::Connections(at_once) => connections(&running, count, at_once),
        };
        cell.map_err(|error| {
            let (name, log) = (broker.name(), running.process.log());
            format!("{}, {name}: {error}\n{log}", self.name)
        })
    }
}

fn messages(running: &Running, shape: Shape, count: usize) -> Result<Cell, String> {
    let process = &running.process;
    let mut clients = Clients::connect(shape, process.address("mqtt"))?;
    sound(clients.run(count / 5)?)?;
    let before = process.cpu().unwrap_or_default();
    let done = sound(clients.run(count)?)?;
    let cpu = process.cpu().unwrap_or_default().saturating_sub(before);
    let messages = done.published.max(done.delivered);
    Ok(Cell {
        cpu_us: per(cpu, messages),
        rate: rate(messages, done.elapsed),
        resident_mib: resident_mib(running),
    })
}

/// A figure counts only if everything came, once and in order.
fn sound(done: Done) -> Result<Done, String> {
    if done.books == Books::default() {
        Ok(done)
    } else {
        Err(format!("{:?} of {} messages", done.books, done.published))
    }
}

fn connections(running: &Running, count: usize, at_once: usize) -> Result<Cell, String> {
    let process = &running.process;
    let crowd = Crowd {
        connections: count,
        at_once,
    };
    let before = process.cpu().unwrap_or_default();
    let idle = crowd.enter(process.address("mqtt"))?;
    let cpu = process.cpu().unwrap_or_default().saturating_sub(before);
    Ok(Cell {
        cpu_us: per(cpu, count),
        rate: rate(count, idle.elapsed),
        resident_mib: resident_mib(running),
    })
}
