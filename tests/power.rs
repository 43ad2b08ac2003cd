//! Power loss on the real programs: strace kills them at the n-th sync before it runs, or lets
//! one sync fail. What was acknowledged is there afterwards, and what could not be synced was
//! never acknowledged. (The disks that drop what was not synced are in-process: see the tests of
//! `headwater-agent` and `headwater-store`.)

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use headwater_tests::process::Process;
use headwater_tests::uplink::Uplink;
use headwater_tests::{agent_log, consume};

/// Syncs after which the cut comes; the first few happen while the programs start.
const CUTS: [u32; 4] = [3, 9, 17, 40];
const PUBLISHES: usize = 200;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

/// Without strace these scenarios cannot run; the line says so.
fn strace_is_missing() -> bool {
    let missing = Command::new("strace").arg("--version").output().is_err();
    if missing {
        println!("not run: strace is not installed");
    }
    missing
}

fn under_strace(inject: &str, role: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject]);
    command.arg(program()).arg(role).args(arguments);
    command
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn broker(&self) -> Vec<String> {
        ["run", "--data-dir", &self.data(), "--mqtt", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"]
            .map(str::to_owned)
            .to_vec()
    }

    fn agent(&self) -> Vec<String> {
        let settings = self.folder.path().join("agent.toml");
        let text = format!(
            r#"device = "gw-1"
data_dir = "{}"
http = "127.0.0.1:0"
[uplink]
url = "mqtt://127.0.0.1:9"
[[source]]
kind = "mqtt"
name = "local"
listen = "127.0.0.1:0"
"#,
            self.data()
        );
        std::fs::write(&settings, text).expect("settings");
        vec!["run".to_owned(), "--config".to_owned(), settings.display().to_string()]
    }
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Publishes one event after the other, on a new connection whenever one ends; gives the numbers
/// that were acknowledged and those that were not.
fn publish(door: SocketAddr) -> (Vec<usize>, Vec<usize>) {
    let (mut acked, mut failed) = (Vec::new(), Vec::new());
    let mut link = Uplink::connect(door, "sensor").ok();
    for number in 0..PUBLISHES {
        let answer = link.as_mut().map(|link| link.publish("power/test", format!("{number}#").as_bytes()));
        match answer {
            Some(Ok(answer)) if answer.reason == 0 => acked.push(number),
            _ => {
                failed.push(number);
                link = Uplink::connect(door, "sensor").ok();
                if link.is_none() {
                    break;
                }
            }
        }
    }
    (acked, failed)
}

fn assert_all_there(acked: &[usize], values: impl Iterator<Item = Option<Vec<u8>>>, what: &str) {
    let stored: Vec<Vec<u8>> = values.flatten().collect();
    for number in acked {
        let wanted = format!("{number}#").into_bytes();
        let copies = stored.iter().filter(|value| **value == wanted).count();
        assert_eq!(copies, 1, "{what}: #{number} was acknowledged");
    }
}

#[test]
fn a_broker_that_dies_at_a_sync_keeps_what_it_acknowledged() {
    if strace_is_missing() {
        return;
    }
    for cut in CUTS {
        let place = Place::new();
        let arguments = place.broker();
        let inject = format!("inject=fdatasync:signal=SIGKILL:when={cut}");
        // A cut while it starts is fine too: then nothing was acknowledged.
        let killed = Process::spawn(under_strace(&inject, "broker", &words(&arguments)));
        let acked = killed.map_or_else(|_| Vec::new(), |broker| publish(broker.address("mqtt")).0);
        let broker = Process::start(program(), "broker", &words(&arguments)).expect("it comes back");
        let stored = consume::everything(broker.address("kafka"), "events").expect("records");
        assert_all_there(&acked, stored.into_iter().map(|record| record.value), &format!("cut at sync {cut}"));
    }
}

#[test]
fn a_broker_whose_sync_fails_acknowledges_nothing_of_it() {
    if strace_is_missing() {
        return;
    }
    let place = Place::new();
    let arguments = place.broker();
    let command = under_strace("inject=fdatasync:error=EIO:when=30", "broker", &words(&arguments));
    let mut broker = Process::spawn(command).expect("a broker");
    let (acked, failed) = publish(broker.address("mqtt"));
    assert!(!failed.is_empty(), "the publish whose sync failed is not acknowledged");
    assert!(acked.last() > failed.last(), "it goes on with a new file: {failed:?}");
    broker.kill();
    let broker = Process::start(program(), "broker", &words(&arguments)).expect("it comes back");
    let stored = consume::everything(broker.address("kafka"), "events").expect("records");
    assert_all_there(&acked, stored.into_iter().map(|record| record.value), "failed sync");
}

#[test]
fn an_agent_that_dies_at_a_sync_keeps_what_it_acknowledged() {
    if strace_is_missing() {
        return;
    }
    for cut in CUTS {
        let place = Place::new();
        let arguments = place.agent();
        let inject = format!("inject=fdatasync:signal=SIGKILL:when={cut}");
        let killed = Process::spawn(under_strace(&inject, "agent", &words(&arguments)));
        let acked = killed.map_or_else(|_| Vec::new(), |agent| publish(agent.address("mqtt")).0);
        let mut agent = Process::start(program(), "agent", &words(&arguments)).expect("it comes back");
        agent.terminate().expect("an end");
        let stored = agent_log::records(Path::new(&place.data()), "events").expect("records");
        assert_all_there(&acked, stored.into_iter().map(|record| record.value), &format!("cut at sync {cut}"));
    }
}

#[test]
fn an_agent_whose_sync_fails_acknowledges_nothing_of_it() {
    if strace_is_missing() {
        return;
    }
    let place = Place::new();
    let arguments = place.agent();
    let command = under_strace("inject=fdatasync:error=EIO:when=30", "agent", &words(&arguments));
    let mut agent = Process::spawn(command).expect("an agent");
    let (acked, failed) = publish(agent.address("mqtt"));
    assert!(!failed.is_empty(), "the publish whose sync failed is not acknowledged");
    assert!(acked.last() > failed.last(), "it goes on with a new file: {failed:?}");
    agent.kill();
    let mut agent = Process::start(program(), "agent", &words(&arguments)).expect("it comes back");
    agent.terminate().expect("an end");
    let stored = agent_log::records(Path::new(&place.data()), "events").expect("records");
    assert_all_there(&acked, stored.into_iter().map(|record| record.value), "failed sync");
}
