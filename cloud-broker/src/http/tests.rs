//! The door from outside: a broker in this process, and a client of few lines.

mod appending;
mod clock;
mod declare;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use headwater_wire::batch::{BatchBuilder, Producer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::{Config, Flags};
use crate::run::{Handle, run};

pub(super) struct Broker {
    handle: Option<Handle>,
    _dir: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Broker {
    pub(super) fn start(more: &str) -> Self {
        Self::start_with("", more)
    }

    fn start_with(first: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let text = format!(
            "limits.disk_min_free = \"0%\"\n{first}[listeners]\nhttp = \"127.0.0.1:0\"\n{more}"
        );
        let flags = Flags {
            data_dir: Some(dir.path().join("data")),
            ..Flags::default()
        };
        let config = Config::parse(&text, &dir.path().join("b.toml"), [], &flags);
        let handle = run(config.expect("settings")).expect("runs");
        Self {
            handle: Some(handle),
            _dir: dir,
        }
    }

    pub(super) fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("runs until it is dropped")
    }

    /// Sends a request and gives what then can be read.
    fn send(&self, method: &str, path: &str, headers: &str) -> BufReader<TcpStream> {
        let address = self.handle().address("http").expect("open");
        let mut stream = TcpStream::connect(address).expect("connects");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        BufReader::new(stream)
    }

    fn request(&self, method: &str, path: &str) -> Answer {
        answer(self.send(method, path, "connection: close\r\n"))
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let answer = self.request("GET", path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    fn error(&self, path: &str) -> (u16, String) {
        let answer = self.request("GET", path);
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert!(body["error"]["message"].is_string(), "{body}");
        (
            answer.status,
            body["error"]["code"].as_str().expect("a code").to_owned(),
        )
    }

    /// Appends one batch of `key`=`value` to a partition of `events`.
    pub(super) fn append(&self, partition: usize, pairs: &[(&str, &str)]) {
        let mut builder = BatchBuilder::new();
        for (time, (key, value)) in (1000..).zip(pairs) {
            let none: [(&str, Option<&[u8]>); 0] = [];
            builder
                .push(time, Some(key.as_bytes()), Some(value.as_bytes()), none)
                .expect("room");
        }
        let mut batch = Vec::new();
        builder.finish_into(Producer::NONE, &mut batch);
        let backend = self.handle().backend();
        let catalog = backend.catalog();
        let id = catalog.by_name("events").expect("a stream").partitions[partition];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime
            .block_on(backend.append(id, Bytes::from(batch)))
            .expect("appended");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
    }
}

/// All that comes until the connection ends.
fn answer(mut reader: impl Read) -> Answer {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn offsets(page: &Value) -> Vec<i64> {
    let records = page["records"].as_array().expect("records");
    records
        .iter()
        .map(|record| record["offset"].as_i64().expect("a number"))
        .collect()
}

/// The next event with data, as (id, record).
fn next_event(reader: &mut impl BufRead) -> (String, Value) {
    let mut id = String::new();
    for line in reader.lines() {
        let line = line.expect("more events");
        if let Some(new) = line.strip_prefix("id: ") {
            id = new.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            return (id, serde_json::from_str(data).expect("JSON"));
        }
    }
    panic!("The stream of events has ended");
}

#[test]
fn health_and_metrics_are_told() {
    let broker = Broker::start("");
    assert_eq!(broker.request("GET", "/healthz").body, "ok");
    assert_eq!(broker.get("/readyz"), json!({"ready": true}));
    let alone = |text: &str| text.contains("headwater_connections{door=\"http\"} 1\n");
    let mut metrics = (0..10_000).map(|_| broker.request("GET", "/metrics").body);
    assert!(
        metrics.any(|text| alone(&text)),
        "those before it have gone"
    );
}

#[test]
fn streams_are_described() {
    let broker = Broker::start("");
    broker.append(3, &[("a/b", "1"), ("a/c", "2")]);
    let listed = broker.get("/api/v1/streams");
    let names: Vec<_> = listed["streams"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0]["name"], "events");
    assert_eq!(names[0]["filters"], json!(["#"]));
    assert_eq!(names[0]["retention_ms"], 604_800_000);
    assert_eq!(names[0]["records"], 2);
    let stream = broker.get("/api/v1/streams/events");
    assert_eq!(stream["id"], names[0]["id"]);
    let partition = &stream["partition"][3];
    assert_eq!(
        (&partition["id"], &partition["start"], &partition["end"]),
        (&json!(3), &json!(0), &json!(2))
    );
    let all = broker.get("/api/v1/streams?internal=true");
    assert!(
        all["streams"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|s| s["name"] == "__lanes")
    );
    assert_eq!(
        broker.error("/api/v1/streams/none"),
        (404, "no-such-stream".into())
    );
    assert_eq!(broker.get("/api/v1/devices"), json!({"devices": []}));
    assert_eq!(broker.get("/api/v1/cluster")["store"], "file");
}

#[test]
fn records_are_read_by_offset_and_limit() {
    let broker = Broker::start("");
    broker.append(1, &[("a", "0"), ("a", "1"), ("a", "2")]);
    broker.append(1, &[("a", "3"), ("a", "4")]);
    let path = "/api/v1/streams/events/records?partition=1";
    let page = broker.get(path);
    assert_eq!(offsets(&page), [0, 1, 2, 3, 4]);
    assert_eq!(
        page["records"][3],
        json!({
            "offset": 3, "timestamp": 1000, "key": "a", "value": "3", "encoding": "utf8",
            "headers": []
        })
    );
    let page = broker.get(&format!("{path}&offset=1&limit=3"));
    assert_eq!(
        (offsets(&page), &page["next"], &page["end"]),
        (vec![1, 2, 3], &json!(4), &json!(5))
    );
    let page = broker.get(&format!("{path}&offset=earliest&max_bytes=4"));
    assert_eq!(offsets(&page), [0, 1]);
    let page = broker.get(&format!("{path}&max_bytes=1"));
    assert_eq!(offsets(&page), [0], "the first is always given");
    let page = broker.get(&format!("{path}&offset=latest"));
    assert_eq!((offsets(&page), &page["next"]), (vec![], &json!(5)));
    let page = broker.get(&format!("{path}&offset=time:1970-01-01T00:00:01.002Z"));
    assert_eq!(offsets(&page), [2, 3, 4]);
    let page = broker.get(&format!("{path}&offset=time:2100-01-01T00:00:00Z"));
    assert_eq!(offsets(&page), Vec::<i64>::new());
}

#[test]
fn a_wait_for_records_ends_when_they_come() {
    let broker = Broker::start("");
    let path = "/api/v1/streams/events/records?partition=2&offset=latest&wait_ms=60000";
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            // Whether the record comes before or during the wait, it is found.
            broker.get(&path.replace("latest", "0"))
        });
        broker.append(2, &[("a", "x")]);
        assert_eq!(offsets(&waiting.join().expect("no panic")), [0]);
    });
}

#[test]
fn wrong_requests_get_a_code_and_a_message() {
    let broker = Broker::start("");
    let records = "/api/v1/streams/events/records";
    for query in [
        "limit=0",
        "limit=10001",
        "limit=x",
        "max_bytes=17MiB",
        "max_bytes=x",
        "wait_ms=60001",
        "offset=-1",
        "offset=time:x",
        "partition=-1",
        "limit=1&limit=2",
        "colour=red",
    ] {
        let (status, code) = broker.error(&format!("{records}?{query}"));
        assert_eq!((status, code.as_str()), (400, "bad-parameter"), "{query}");
    }
    let live = "/api/v1/streams/events/live";
    for query in ["from=x", "from=0:1,0:2", "filter=a%23", "filter="] {
        let (status, code) = broker.error(&format!("{live}?{query}"));
        assert_eq!((status, code.as_str()), (400, "bad-parameter"), "{query}");
    }
    assert_eq!(
        broker.error(&format!("{records}?offset=1")),
        (400, "offset-out-of-range".into())
    );
    assert_eq!(
        broker.error(&format!("{live}?from=0:1")),
        (400, "offset-out-of-range".into())
    );
    assert_eq!(
        broker.error(&format!("{records}?partition=8")),
        (404, "no-such-partition".into())
    );
    assert_eq!(
        broker.error("/api/v1/streams/%ff"),
        (400, "bad-path".into())
    );
    assert_eq!(
        broker.error("/api/v2/streams"),
        (404, "no-such-path".into())
    );
    let answer = broker.request("DELETE", "/api/v1/cluster");
    assert_eq!(answer.status, 405);
    assert!(
        answer
            .body
            .starts_with("{\"error\":{\"code\":\"no-such-method\""),
        "{}",
        answer.body
    );
}

#[test]
fn live_events_go_on_where_they_ended() {
    let broker = Broker::start("");
    broker.append(0, &[("a/b", "0"), ("c", "1")]);
    let path = "/api/v1/streams/events/live?from=earliest";
    let mut events = broker.send("GET", path, "");
    let (id, first) = next_event(&mut events);
    assert_eq!(id, "0:1,1:0,2:0,3:0,4:0,5:0,6:0,7:0");
    assert_eq!(
        (&first["partition"], &first["offset"]),
        (&json!(0), &json!(0))
    );
    drop(events);
    broker.append(1, &[("a/c", "2")]);
    let mut events = broker.send("GET", path, &format!("last-event-id: {id}\r\n"));
    assert_eq!(next_event(&mut events).1["key"], "c");
    let (id, last) = next_event(&mut events);
    assert_eq!(
        (id.as_str(), &last["key"]),
        ("0:2,1:1,2:0,3:0,4:0,5:0,6:0,7:0", &json!("a/c"))
    );
    broker.append(5, &[("later", "3")]);
    assert_eq!(next_event(&mut events).1["key"], "later");
}

#[test]
fn live_events_can_be_filtered() {
    let broker = Broker::start("");
    let mut events = broker.send(
        "GET",
        "/api/v1/streams/events/live?filter=a/%2B&from=earliest",
        "",
    );
    broker.append(0, &[("b", "0"), ("a/x", "1"), ("a/x/y", "2")]);
    broker.append(0, &[("a/z", "3")]);
    let (id, event) = next_event(&mut events);
    assert_eq!(
        (event["key"].as_str(), id.starts_with("0:2,")),
        (Some("a/x"), true)
    );
    assert_eq!(next_event(&mut events).1["key"], "a/z");
}

#[test]
fn a_large_batch_is_sent_in_pieces_without_loss() {
    let broker = Broker::start("");
    let value = "v".repeat(1000);
    let pairs = vec![("a", value.as_str()); 1000];
    broker.append(0, &pairs);
    let mut events = broker.send("GET", "/api/v1/streams/events/live?from=earliest", "");
    for offset in 0..1000 {
        assert_eq!(next_event(&mut events).1["offset"], offset);
    }
}

#[test]
fn a_client_that_must_show_a_certificate_is_told_so() {
    let broker = Broker::start("[auth]\nanonymous = \"never\"\n");
    for path in ["/", "/api/v1/streams", "/api/v1/streams/events/live"] {
        assert_eq!(broker.error(path), (401, "unauthorized".into()));
    }
}

#[test]
fn the_page_asks_no_other_host() {
    let broker = Broker::start("");
    let page = broker.request("GET", "/");
    assert_eq!(page.status, 200);
    assert!(
        page.head
            .contains("content-security-policy: default-src 'self'"),
        "{}",
        page.head
    );
    assert!(page.body.contains("id=\"events\""));
    let links = page
        .body
        .split('"')
        .filter(|text| text.starts_with("/page/"));
    let links: Vec<&str> = links.collect();
    assert!(links.len() >= 5, "{links:?}");
    for link in links {
        assert_eq!(broker.request("GET", link).status, 200, "{link}");
    }
    for link in [
        "/page/main.js",
        "/page/live.js",
        "/page/series.js",
        "/page/chart.js",
    ] {
        assert!(!broker.request("GET", link).body.contains("://"), "{link}");
    }
}
