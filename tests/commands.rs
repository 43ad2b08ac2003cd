//! `produce`, `consume`, `stream` and `group` of the real program, as a user types them.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use headwater_tests::broker::Broker;
use headwater_tests::command::{self, Running, Said};
use headwater_tests::proxy::Proxy;
use headwater_tests::stack::NOWHERE;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

struct Shell {
    broker: Broker,
}

impl Shell {
    fn start() -> Self {
        let broker = Broker::start(program()).expect("a broker");
        Self { broker }
    }

    fn web(&self) -> SocketAddr {
        self.broker.process().address("http")
    }

    fn run(&self, arguments: &[&str], input: &str) -> Said {
        command::run(program(), self.web(), arguments, input.as_bytes())
    }

    /// What a command that works prints.
    #[track_caller]
    fn prints(&self, arguments: &[&str], input: &str) -> String {
        let Said { code, out, err } = self.run(arguments, input);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        out
    }

    /// A command that does not work, and says why.
    #[track_caller]
    fn fails(&self, arguments: &[&str], input: &str, code: i32, words: &str) {
        let said = self.run(arguments, input);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.err.contains(words), "{said:?}");
    }
}

#[test]
fn what_is_produced_is_consumed() {
    let shell = Shell::start();
    let said = shell.prints(
        &["produce", "events", "--separator", "="],
        "a/1=x\nb/1=y=z\n",
    );
    assert_eq!(said, "2 records stored\n");
    let said = shell.prints(
        &["produce", "events", "--key", "a/1", "--output", "json"],
        "w",
    );
    assert_eq!(said, "{\"records\":1}\n");
    let mut lines: Vec<_> = shell
        .prints(&["consume", "events"], "")
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a/1\tw", "a/1\tx", "b/1\ty=z"]);
    let one = shell.prints(&["consume", "events", "--filter", "a/+"], "");
    assert_eq!(one, "a/1\tx\na/1\tw\n", "in order");
    assert_eq!(
        shell
            .prints(&["consume", "events", "--limit", "1"], "")
            .lines()
            .count(),
        1
    );
    assert_eq!(
        shell.prints(&["consume", "events", "--from", "latest"], ""),
        ""
    );
    let later = shell.prints(&["consume", "events", "--from", "2100-01-01T00:00:00Z"], "");
    assert_eq!(later, "");

    let csv = shell.prints(
        &["consume", "events", "--format", "csv", "--filter", "b/#"],
        "",
    );
    let rows: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(
        rows[0],
        "partition,offset,timestamp,key,value,encoding,headers"
    );
    assert!(rows[1].ends_with("Z,b/1,y=z,utf8,"), "{csv}");

    // What one command prints, the other reads.
    let json = shell.prints(&["consume", "events", "--format", "json"], "");
    let said = shell.prints(&["produce", "events", "--ndjson"], &json);
    assert_eq!(said, "3 records stored\n");
    let twice = shell.prints(&["consume", "events", "--filter", "a/1"], "");
    assert_eq!(twice, "a/1\tx\na/1\tw\na/1\tx\na/1\tw\n");
    let partition = json.split("\"partition\":").nth(1).expect("a partition")[..1].to_owned();
    let from = format!("{partition}:0");
    let alone = [
        "consume",
        "events",
        "--partition",
        &partition,
        "--from",
        &from,
    ];
    let of_it = format!("\"partition\":{partition}");
    let once = json.lines().filter(|line| line.contains(&of_it)).count();
    assert_eq!(shell.prints(&alone, "").lines().count(), 2 * once);
}

#[test]
fn streams_are_shown() {
    let shell = Shell::start();
    shell.prints(&["produce", "events", "--partition", "3"], "1\n2\n");
    let list = shell.prints(&["stream", "list"], "");
    assert!(list.starts_with("NAME"), "{list}");
    let row = list
        .lines()
        .find(|row| row.starts_with("events"))
        .expect("a row");
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!((cells[1], cells[2], cells[4]), ("8", "2", "7d"), "{list}");
    assert!(!list.contains("__devices"), "{list}");
    assert!(
        shell
            .prints(&["stream", "list", "--internal"], "")
            .contains("__devices")
    );
    let described = shell.prints(&["stream", "describe", "events"], "");
    assert!(described.contains("Partition by:"), "{described}");
    let json = shell.prints(&["stream", "describe", "events", "--output", "json"], "");
    let stream: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(stream["partition"][3]["end"], 2);
}

#[test]
fn streams_are_made_and_deleted() {
    let shell = Shell::start();
    let create = [
        "stream",
        "create",
        "orders",
        "--partitions",
        "2",
        "--retention",
        "12h",
    ];
    assert_eq!(shell.prints(&create, ""), "Stream \"orders\" created\n");
    shell.fails(&create, "", 1, "(409 stream-exists)");
    let more = [
        "--cleanup",
        "compact",
        "--retention",
        "forever",
        "--output",
        "json",
    ];
    let state = shell.prints(&[&["stream", "create", "state"], &more[..]].concat(), "");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!(
        (&state["cleanup"], &state["retention_ms"]),
        (&"compact".into(), &serde_json::Value::Null)
    );
    shell.fails(&["produce", "state"], "no key\n", 1, "key");
    shell.prints(&["produce", "orders", "--partition", "1"], "a\nb\n");
    assert_eq!(shell.prints(&["consume", "orders"], ""), "\ta\n\tb\n");
    let list = shell.prints(&["stream", "list"], "");
    let row = list
        .lines()
        .find(|row| row.starts_with("orders"))
        .expect("a row");
    assert!(row.contains("12h"), "{list}");
    assert_eq!(
        shell.prints(&["stream", "delete", "orders"], ""),
        "Stream \"orders\" deleted\n"
    );
    shell.fails(&["consume", "orders"], "", 1, "There is no stream");
}

#[test]
fn groups_are_shown_and_deleted() {
    let shell = Shell::start();
    shell.prints(&["produce", "events", "--partition", "2"], "1\n2\n3\n");
    let consumer = group("readers", shell.broker.process().address("kafka"));
    consumer.commit("events", 2, 1);
    let list = shell.prints(&["group", "list"], "");
    let row = list
        .lines()
        .find(|row| row.starts_with("readers"))
        .expect("a row");
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["readers", "empty", "0", "2"]
    );
    let described = shell.prints(&["group", "describe", "readers"], "");
    let row = described.lines().last().expect("a row");
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["events", "2", "1", "3", "2"]
    );
    let json = shell.prints(&["group", "describe", "readers", "--output", "json"], "");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["state"], &json["offsets"][0]["lag"]),
        (&"empty".into(), &2.into())
    );
    assert_eq!(
        shell.prints(&["group", "delete", "readers"], ""),
        "Group \"readers\" deleted\n"
    );
    shell.fails(
        &["group", "delete", "readers"],
        "",
        1,
        "(404 no-such-group)",
    );
    shell.fails(
        &["group", "describe", "readers"],
        "",
        1,
        "There is no group",
    );
    assert!(!shell.prints(&["group", "list"], "").contains("readers"));
}

/// A consumer that commits without being a member.
struct Committer(BaseConsumer);

fn group(name: &str, kafka: SocketAddr) -> Committer {
    let consumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.to_string())
        .set("group.id", name)
        .set("enable.auto.commit", "false")
        .create();
    Committer(consumer.expect("a consumer"))
}

impl Committer {
    fn commit(&self, stream: &str, partition: i32, next: i64) {
        let mut positions = TopicPartitionList::new();
        let added = positions.add_partition_offset(stream, partition, Offset::Offset(next));
        added.expect("a position");
        let committed = self.0.commit(&positions, CommitMode::Sync);
        committed.expect("committed");
    }
}

#[test]
fn failures_are_told_in_words() {
    let shell = Shell::start();
    shell.fails(
        &["produce", "nope"],
        "1\n",
        1,
        "There is no stream \"nope\" (404",
    );
    shell.fails(
        &["consume", "nope"],
        "",
        1,
        "There is no stream \"nope\" (404",
    );
    shell.fails(
        &["consume", "nope", "--follow"],
        "",
        1,
        "There is no stream",
    );
    shell.fails(&["stream", "delete", "nope/x"], "", 1, "(4");
    shell.fails(&["consume", "events", "--from", "soon"], "", 2, "RFC 3339");
    shell.fails(
        &["consume", "events", "--filter", "a#"],
        "",
        2,
        "topic filter",
    );
    shell.fails(
        &["consume", "events", "--partition", "8"],
        "",
        1,
        "8 partitions",
    );
    shell.fails(
        &["produce", "events", "--partition", "8"],
        "1",
        1,
        "partition",
    );
    shell.fails(
        &["produce", "events", "--url", "mqtt://x"],
        "1",
        2,
        "cannot be used multiple",
    );
    // What came before the bad line is stored, and counted.
    let input = "{\"value\":\"1\"}\n{\"value\":\"2\"}\nnothing\n{\"value\":\"3\"}\n";
    let said = shell.run(&["produce", "events", "--ndjson"], input);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(1), "2 records stored\n")
    );
    assert!(said.err.starts_with("Line 3"), "{said:?}");
    assert_eq!(shell.broker.records("events"), Ok(2));

    let nobody = NOWHERE.parse().expect("an address");
    let said = command::run(program(), nobody, &["stream", "list"], b"");
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.starts_with("Cannot connect to http://") && said.err.contains("--url"),
        "{said:?}"
    );
    let mqtt = shell.broker.process().address("mqtt");
    let said = command::run(program(), mqtt, &["stream", "list"], b"");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("HTTP listener"), "{said:?}");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let shell = Shell::start();
    let many: String = (0..20_000).map(|n| format!("{n:0100}\n")).collect();
    assert_eq!(
        shell.prints(&["produce", "events"], &many),
        "20000 records stored\n"
    );
    let url = format!("http://{}", shell.web());
    let script = format!(
        "set -o pipefail; '{}' broker consume events --url {url} | head -n 2",
        program().display()
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .stderr(Stdio::piped())
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(printed.lines().count(), 2);
}

#[test]
fn what_comes_is_followed_over_cut_connections() {
    let shell = Shell::start();
    let proxy = Proxy::new(shell.web());
    shell.prints(&["produce", "events", "--key", "old"], "0");
    let mut follow = Running::start(
        program(),
        proxy.address(),
        &[
            "consume", "events", "--follow", "--from", "earliest", "--limit", "4", "--output",
            "json",
        ],
    );
    let value = |line: Option<String>| {
        let json: serde_json::Value = serde_json::from_str(&line.expect("a record")).expect("JSON");
        json["value"].as_str().expect("a value").to_owned()
    };
    assert_eq!(value(follow.line()), "0");
    // A producer whose lines come one by one: each is sent when it comes.
    let mut typed = Running::start(program(), shell.web(), &["produce", "events", "--key", "k"]);
    let mut keys = typed.input.take().expect("a pipe");
    for line in ["1", "2"] {
        writeln!(keys, "{line}").expect("it reads");
        assert_eq!(value(follow.line()), line);
        proxy.cut();
    }
    writeln!(keys, "3").expect("it reads");
    drop(keys);
    assert_eq!(typed.line().as_deref(), Some("3 records stored"));
    assert_eq!(typed.wait(), Some(0));
    assert_eq!(value(follow.line()), "3");
    assert_eq!((follow.line(), follow.wait()), (None, Some(0)));
}
