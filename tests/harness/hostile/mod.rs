//! Hostile sessions over live connections, by seed: valid requests in wrong orders, cut, flipped
//! and split bytes, half-closed sockets. Meanwhile clients that behave must not notice.

mod admin;
mod bytes;
mod control;
mod http;
mod kafka;
mod link;
mod mqtt;
mod packets;
mod requests;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::rng::Rng;
use control::Control;

/// Which door is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// MQTT 3.1.1 and 5, the agents' uplink included.
    Mqtt,
    /// Kafka.
    Kafka,
    /// HTTP.
    Http,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mqtt, Self::Kafka, Self::Http];

    /// Its name, as in the ready line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Kafka => "kafka",
            Self::Http => "http",
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Sessions, hostile and plain ones.
    pub sessions: u64,
    /// Of them, those that sent nothing wrong and got every answer.
    pub plain: u64,
    /// Answers that were decoded.
    pub answers: u64,
    /// Records that the well-behaved clients stored and found again.
    pub stored: usize,
    /// Resident memory before the first session, and at most, bytes.
    pub memory_bytes: (u64, u64),
    /// Bytes that the broker logged.
    pub log_bytes: usize,
}

/// What one session was.
#[derive(Debug, Clone, Copy, Default)]
struct Session {
    answers: u64,
    is_plain: bool,
}

/// Sessions between two rounds of the clients that behave.
const ROUND_SESSIONS: u64 = 20;
/// The broker may take this much on top of what it began with: its request memory, and as much
/// again for what it knows of clients, lanes and streams. Bytes.
const MEMORY_GROWTH_MAX: u64 = 256 << 20;
/// What a session may make the broker log, in the mean, bytes.
const LOG_BYTES_PER_SESSION: u64 = 2 << 10;

/// Attacks `doors` of a new broker in turn for as long as `duration`.
///
/// # Errors
/// What went wrong, with the number of the session.
pub fn run(
    program: &Path,
    seed: u64,
    duration: Duration,
    doors: &[Door],
) -> Result<Report, String> {
    let broker = Broker::start(program)?;
    let mut control = Control::connect(&broker)?;
    control.round(&broker)?;
    let begun_with = memory_bytes(&broker)?;
    let mut report = Report {
        memory_bytes: (begun_with, begun_with),
        ..Report::default()
    };
    let begun = Instant::now();
    while begun.elapsed() < duration {
        let number = report.sessions;
        let door = doors[usize::try_from(number).unwrap_or(0) % doors.len()];
        let random = &mut Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let session = attack(&broker, door, random);
        let session = session.map_err(|error| at(&broker, number, door, &error))?;
        report.sessions += 1;
        report.answers += session.answers;
        report.plain += u64::from(session.is_plain);
        if report.sessions.is_multiple_of(ROUND_SESSIONS) {
            let round = control
                .round(&broker)
                .and_then(|()| check(&broker, &mut report));
            round.map_err(|error| at(&broker, number, door, &error))?;
        }
    }
    report.stored = control.find_all(&broker)?;
    check(&broker, &mut report)?;
    Ok(report)
}

fn attack(broker: &Broker, door: Door, random: &mut Rng) -> Result<Session, String> {
    let address = broker.process().address(door.name());
    match door {
        Door::Mqtt => mqtt::session(address, random),
        Door::Kafka => kafka::session(address, random),
        Door::Http => http::session(address, random),
    }
}

/// What must hold at any time.
fn check(broker: &Broker, report: &mut Report) -> Result<(), String> {
    let log = broker.process().log();
    if let Some(line) = log.lines().find(|line| line.contains("panicked")) {
        return Err(format!("The broker panicked: {line}"));
    }
    report.log_bytes = log.len();
    let allowed = LOG_BYTES_PER_SESSION * report.sessions.max(100);
    if u64::try_from(log.len()).unwrap_or(u64::MAX) > allowed {
        return Err(format!("The broker logged {} bytes", log.len()));
    }
    let now = memory_bytes(broker)?;
    report.memory_bytes.1 = report.memory_bytes.1.max(now);
    if now > report.memory_bytes.0 + MEMORY_GROWTH_MAX {
        return Err(format!("The broker takes {} MiB", now >> 20));
    }
    Ok(())
}

fn at(broker: &Broker, number: u64, door: Door, error: &str) -> String {
    let log = broker.process().log();
    let from = log.len().saturating_sub(2_000);
    let tail = log.get(from..).unwrap_or_default();
    format!(
        "session {number} at the {} door: {error}\n{tail}",
        door.name()
    )
}

fn memory_bytes(broker: &Broker) -> Result<u64, String> {
    let bytes = broker.process().resident_bytes();
    bytes.ok_or_else(|| "The broker has ended".to_owned())
}
