//! The main job in one command: a broker, an agent over MQTT/TLS, real readings of this very
//! computer, a dashboard and consumers.
//!
//! `cargo run --release -p headwater-examples --bin quickstart` runs until Ctrl-C; with
//! `--for 20s` it ends by itself and compares every record of the agent's log with what two
//! stock clients read.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use headwater_examples::agent_log;
use headwater_examples::books::{Record, Totals};
use headwater_examples::children::{Child, play_role};
use headwater_examples::kafka_reader::{self, Seen};
use headwater_examples::mqtt_reader::{self, Message, Messages};
use tokio::signal::unix::{SignalKind, signal};

const STREAM: &str = "events";
const DEVICE: &str = "this-computer";
const TICK: Duration = Duration::from_secs(1);
const CATCH_UP: Duration = Duration::from_secs(30);

/// Readings of this computer, through the agent's log and the broker's, to Kafka, MQTT and HTTP.
#[derive(Debug, Parser)]
struct Arguments {
    /// Ends after this time (`20s`) and compares what was committed with what was read
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Keeps certificates, settings and data here, instead of a temporary folder
    #[arg(long)]
    dir: Option<PathBuf>,
    /// First of six ports to use; without it, free ones are found
    #[arg(long)]
    port_base: Option<u16>,
}

fn main() -> ExitCode {
    if let Some(code) = play_role() {
        return code;
    }
    match quickstart(&Arguments::parse()) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(totals)) => {
            say(&totals.to_string());
            if totals.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            say(&format!("failed {error}"));
            ExitCode::FAILURE
        }
    }
}

fn quickstart(arguments: &Arguments) -> Result<Option<Totals>, String> {
    let temporary = tempfile::tempdir().map_err(|e| e.to_string())?;
    let folder = arguments
        .dir
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    make_certificates(&folder)?;
    let port = |n: u16| arguments.port_base.map_or(0, |base| base.saturating_add(n));
    let mut broker = start_broker(&folder, port)?;
    let readers = Readers::start(broker.address("kafka")?, broker.address("mqtt")?)?;
    let known = known_before(&folder.join("agent"), broker.address("http")?)?;
    let mut agent = start_agent(&folder, port, broker.address("mqtts")?)?;
    print_addresses(&broker, &agent)?;
    watch(
        arguments.duration,
        &readers.seen,
        broker.address("http")?,
        &mut [&mut broker, &mut agent],
    )?;
    let Some(_) = arguments.duration else {
        agent.stop()?;
        return broker.stop().map(|()| None);
    };
    agent.stop()?;
    let mut committed = agent_log::records(&folder.join("agent"), STREAM)?;
    committed.drain(..known.min(committed.len()));
    let read = readers.finish(broker.address("kafka")?, committed.len())?;
    broker.stop()?;
    Ok(Some(Totals::compare(&committed, &read.0, &read.1)))
}

/// A development authority, a server certificate and one for the device, once per folder.
fn make_certificates(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    if folder.join("ca.pem").exists() {
        return Ok(());
    }
    let dir = folder.display().to_string();
    Child::run_broker_command(&["cert", "ca", "--dir", &dir])?;
    Child::run_broker_command(&[
        "cert",
        "server",
        "--dir",
        &dir,
        "--host",
        "127.0.0.1",
        "--host",
        "localhost",
    ])?;
    Child::run_broker_command(&["cert", "device", DEVICE, "--dir", &dir])
}

fn start_broker(folder: &Path, port: impl Fn(u16) -> u16) -> Result<Child, String> {
    let dir = folder.display();
    let (mqtt, mqtts, kafka, http) = (port(0), port(1), port(2), port(3));
    let settings = format!(
        r#"data_dir = "{dir}/broker"
limits.disk_min_free = "0%" # A demonstration runs on a full laptop too
[listeners]
mqtt = "127.0.0.1:{mqtt}"
mqtts = "127.0.0.1:{mqtts}"
kafka = "127.0.0.1:{kafka}"
http = "127.0.0.1:{http}"
[tls]
cert = "{dir}/server.pem"
key = "{dir}/server.key"
client_ca = "{dir}/ca.pem"
"#
    );
    Child::broker(&[
        "run",
        "--config",
        &write_settings(&folder.join("broker.toml"), &settings)?,
    ])
}

fn start_agent(
    folder: &Path,
    port: impl Fn(u16) -> u16,
    broker: SocketAddr,
) -> Result<Child, String> {
    let dir = folder.display();
    let (mqtt, http) = (port(4), port(5));
    let settings = format!(
        r#"data_dir = "{dir}/agent"
http = "127.0.0.1:{http}"
[log]
keep_acked = "1h"
[uplink]
url = "mqtts://{broker}"
ca = "{dir}/ca.pem"
cert = "{dir}/{DEVICE}.pem"
key = "{dir}/{DEVICE}.key"
[[source]]
kind = "system"
name = "system"
interval = "100ms"
[[source]]
kind = "mqtt"
name = "local"
listen = "127.0.0.1:{mqtt}"
"#
    );
    Child::agent(&[
        "run",
        "--config",
        &write_settings(&folder.join("agent.toml"), &settings)?,
    ])
}

/// How many records of the agent's log an earlier run in this folder has delivered already.
fn known_before(agent: &Path, http: SocketAddr) -> Result<usize, String> {
    if !agent.exists() {
        return Ok(0);
    }
    let held = agent_log::records(agent, STREAM)?.len();
    let stored = headwater_examples::http_json(http, &format!("/api/v1/streams/{STREAM}"))
        .and_then(|stream| stream["records"].as_u64());
    Ok(held.min(usize::try_from(stored.unwrap_or(0)).unwrap_or(usize::MAX)))
}

fn write_settings(path: &Path, settings: &str) -> Result<String, String> {
    std::fs::write(path, settings).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path.display().to_string())
}

fn print_addresses(broker: &Child, agent: &Child) -> Result<(), String> {
    let (mqtt, kafka, http) = (
        broker.address("mqtt")?,
        broker.address("kafka")?,
        broker.address("http")?,
    );
    let local = agent.address("mqtt")?;
    say(&format!(
        "
  Dashboard   http://{http}/

  Read        kcat -b {kafka} -C -t {STREAM} -f '%k %s\\n'
              mosquitto_sub -p {} -t '#' -v
              curl -N 'http://{http}/api/v1/streams/{STREAM}/live'
  Write       mosquitto_pub -p {} -q 1 -t plant/oven -m '{{\"value\":21.5}}'     (to the agent)
              mosquitto_pub -p {} -q 1 -t plant/oven -m '{{\"value\":21.5}}'     (to the broker)

  Ctrl-C ends it.
",
        mqtt.port(),
        local.port(),
        mqtt.port()
    ));
    Ok(())
}

/// Prints the live line until the time is over, Ctrl-C, SIGTERM, or the end of a child.
fn watch(
    duration: Option<Duration>,
    seen: &Seen,
    http: SocketAddr,
    children: &mut [&mut Child],
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
        let begun = Instant::now();
        let mut before = 0;
        loop {
            let left = duration.map_or(TICK, |all| all.saturating_sub(begun.elapsed()).min(TICK));
            if left.is_zero() {
                break;
            }
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(left) => {}
            }
            if children.iter_mut().any(|child| child.ended().is_some()) {
                return Err("A process ended by itself".to_owned());
            }
            live_line(seen, &mut before, http);
        }
        say("");
        Ok(())
    })
}

fn live_line(seen: &Seen, before: &mut u64, http: SocketAddr) {
    let (records, bytes) = (
        seen.records.load(Ordering::Relaxed),
        seen.bytes.load(Ordering::Relaxed),
    );
    let rate = records.saturating_sub(std::mem::replace(before, records));
    let latency = seen
        .latency_ms()
        .map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let stored = headwater_examples::http_json(http, &format!("/api/v1/streams/{STREAM}"))
        .and_then(|stream| stream["bytes"].as_f64());
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    let ratio = stored
        .filter(|stored| *stored > 0.0)
        .map_or(0.0, |stored| bytes as f64 / stored);
    let line = format!(
        "  {rate:>6} events/s   {records:>9} events   end to end {latency} (median)   compressed {ratio:.1} x"
    );
    let mut stdout = std::io::stdout();
    let end = if stdout.is_terminal() { "\r" } else { "\n" };
    let _stdout_closed = write!(stdout, "{line}{end}").and_then(|()| stdout.flush());
}

/// Two stock clients that read from before the first reading.
struct Readers {
    seen: Arc<Seen>,
    messages: Messages,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Readers {
    fn start(kafka: SocketAddr, mqtt: SocketAddr) -> Result<Self, String> {
        let (seen, messages) = (Arc::new(Seen::default()), Arc::new(Mutex::new(Vec::new())));
        let stop = Arc::new(AtomicBool::new(false));
        let (subscribed, waiting) = mpsc::channel();
        let by_kafka = (Arc::clone(&seen), Arc::clone(&stop));
        let by_mqtt = (Arc::clone(&messages), Arc::clone(&stop));
        let threads = vec![
            std::thread::spawn(move || {
                kafka_reader::follow(kafka, STREAM, &by_kafka.0, &by_kafka.1)
            }),
            std::thread::spawn(move || {
                mqtt_reader::follow(mqtt, &by_mqtt.0, &subscribed, &by_mqtt.1)
            }),
        ];
        waiting
            .recv_timeout(CATCH_UP)
            .map_err(|_| "The MQTT reader did not subscribe")?;
        Ok(Self {
            seen,
            messages,
            stop,
            threads,
        })
    }

    /// Waits until both have caught up (or gives up, and the difference shows), and gives what
    /// Kafka holds, read back from the start, and what MQTT delivered.
    fn finish(
        self,
        kafka: SocketAddr,
        committed: usize,
    ) -> Result<(Vec<Record>, Vec<Message>), String> {
        let begun = Instant::now();
        let received = || self.messages.lock().map_or(0, |messages| messages.len());
        while received() < committed && begun.elapsed() < CATCH_UP {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut read = kafka_reader::everything(kafka, STREAM)?;
        self.stop.store(true, Ordering::Relaxed);
        // A folder that was used before holds older records too; this run's are the newest.
        read.drain(..read.len().saturating_sub(committed.max(received())));
        let messages = std::mem::take(&mut *self.messages.lock().map_err(|e| e.to_string())?);
        Ok((read, messages))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.clear();
    }
}

fn say(line: &str) {
    let mut stdout = std::io::stdout();
    let _stdout_closed = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
