//! Power loss on the real programs: strace kills them at the n-th sync before it runs, or lets
//! one sync fail. What was acknowledged is there afterwards, and what could not be synced was
//! never acknowledged. (The disks that drop what was not synced are in-process: see the tests of
//! `headwater-agent` and `headwater-store`.)

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use headwater_tests::broker::ANY_DISK;
use headwater_tests::process::Process;
use headwater_tests::strace::Strace;
use headwater_tests::uplink::Uplink;
use headwater_tests::{agent_log, consume};

/// Syncs, counted from the first publish, at which the cut comes.
const CUTS: [u32; 4] = [1, 7, 30, 99];
const FAILING: u32 = 20;
const PUBLISHES: usize = 150;

/// A broker or an agent on a folder of its own.
struct Place {
    role: &'static str,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Place {
    fn broker() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data").display().to_string();
        let free = "127.0.0.1:0";
        let settings = folder.path().join("broker.toml");
        std::fs::write(&settings, ANY_DISK).expect("settings");
        let settings = settings.display().to_string();
        let words = [
            "run",
            "--config",
            &settings,
            "--data-dir",
            &data,
            "--mqtt",
            free,
            "--kafka",
            free,
            "--http",
            free,
        ];
        Self {
            role: "broker",
            folder,
            arguments: words.map(str::to_owned).to_vec(),
        }
    }

    fn agent() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("agent.toml");
        let text = format!(
            r#"device = "gw-1"
data_dir = "{}/data"
http = "127.0.0.1:0"
[uplink]
url = "mqtt://127.0.0.1:9"
[[source]]
kind = "mqtt"
name = "local"
listen = "127.0.0.1:0"
"#,
            folder.path().display()
        );
        std::fs::write(&settings, text).expect("settings");
        let words = ["run", "--config", &settings.display().to_string()];
        Self {
            role: "agent",
            arguments: words.map(str::to_owned).to_vec(),
            folder,
        }
    }

    fn start(&self) -> Process {
        let program = Path::new(env!("CARGO_BIN_EXE_headwater-node"));
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Process::start(program, self.role, &arguments).expect("it starts")
    }

    /// Starts it again after the cut and reads what it holds.
    fn values(&self) -> Vec<Vec<u8>> {
        let mut process = self.start();
        if self.role == "broker" {
            let records = consume::everything(process.address("kafka"), "events").expect("records");
            return records
                .into_iter()
                .filter_map(|record| record.value)
                .collect();
        }
        process.terminate().expect("an end");
        let records =
            agent_log::records(&self.folder.path().join("data"), "events").expect("records");
        records
            .into_iter()
            .filter_map(|record| record.value)
            .collect()
    }
}

/// Publishes one event after the other, on a new connection whenever one ends; gives the numbers
/// that were acknowledged and those that were not.
fn publish(door: SocketAddr) -> (Vec<usize>, Vec<usize>) {
    let (mut acked, mut failed) = (Vec::new(), Vec::new());
    let mut link = Uplink::connect(door, "sensor").ok();
    for number in 0..PUBLISHES {
        let value = format!("{number}#");
        let answer = link
            .as_mut()
            .map(|link| link.publish("power/test", value.as_bytes()));
        if matches!(answer, Some(Ok(answer)) if answer.reason == 0) {
            acked.push(number);
            continue;
        }
        failed.push(number);
        link = Uplink::connect(door, "sensor").ok();
        if link.is_none() {
            break;
        }
    }
    (acked, failed)
}

#[track_caller]
fn assert_all_there(acked: &[usize], values: &[Vec<u8>]) {
    for number in acked {
        let wanted = format!("{number}#").into_bytes();
        let copies = values.iter().filter(|value| **value == wanted).count();
        assert_eq!(copies, 1, "#{number} was acknowledged");
    }
}

/// Attaches strace, or says that the scenario did not run.
fn attach(process: &Process, inject: &str) -> Option<Strace> {
    let strace = Strace::attach(process, inject);
    if strace.is_none() {
        // Past what the test runner keeps to itself.
        let words = "not run: strace is not installed, or may not attach";
        let _said = writeln!(std::io::stderr(), "{words}");
    }
    strace
}

fn dies_at_a_sync(place: impl Fn() -> Place) {
    for cut in CUTS {
        let place = place();
        let mut process = place.start();
        let Some(strace) = attach(&process, &format!("signal=SIGKILL:when={cut}")) else {
            return;
        };
        let (acked, _) = publish(process.address("mqtt"));
        assert!(acked.len() < PUBLISHES, "the cut came");
        drop(strace);
        process.kill();
        assert_all_there(&acked, &place.values());
    }
}

fn fails_a_sync(place: &Place) {
    let mut process = place.start();
    let Some(strace) = attach(&process, &format!("error=EIO:when={FAILING}")) else {
        return;
    };
    let (acked, failed) = publish(process.address("mqtt"));
    drop(strace);
    assert!(
        !failed.is_empty(),
        "the publish whose sync failed is not acknowledged"
    );
    assert!(
        acked.last() > failed.last(),
        "it goes on with a new file: {failed:?}"
    );
    process.kill();
    assert_all_there(&acked, &place.values());
}

#[test]
fn a_broker_that_dies_at_a_sync_keeps_what_it_acknowledged() {
    dies_at_a_sync(Place::broker);
}

#[test]
fn an_agent_that_dies_at_a_sync_keeps_what_it_acknowledged() {
    dies_at_a_sync(Place::agent);
}

#[test]
fn a_broker_whose_sync_fails_acknowledges_nothing_of_it() {
    fails_a_sync(&Place::broker());
}

#[test]
fn an_agent_whose_sync_fails_acknowledges_nothing_of_it() {
    fails_a_sync(&Place::agent());
}
