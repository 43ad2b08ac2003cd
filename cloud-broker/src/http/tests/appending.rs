//! Records over POST.

use headwater_broker_core::StreamSpec;
use headwater_broker_core::catalog::Cleanup;

use super::*;

const RECORDS: &str = "/api/v1/streams/events/records";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

impl Broker {
    fn post_to(&self, path: &str, kind: &str, body: &str) -> (u16, Value, String) {
        let headers = format!(
            "connection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n",
            body.len()
        );
        let mut reader = self.send("POST", path, &headers);
        // The answer may come, and the connection end, before all of it is taken.
        let _refused_early = reader.get_mut().write_all(body.as_bytes());
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        let body: String = match head.to_ascii_lowercase().contains("transfer-encoding") {
            true => body.split("\r\n").skip(1).step_by(2).collect(),
            false => body.to_owned(),
        };
        let body = serde_json::from_str(&body).expect("JSON");
        (status.expect("a status"), body, head.to_ascii_lowercase())
    }

    fn appends(&self, kind: &str, body: &str) -> Vec<(u64, u64)> {
        let (status, answer, _) = self.post_to(RECORDS, kind, body);
        assert_eq!(status, 200, "{answer}");
        let offsets = answer["offsets"].as_array().expect("offsets").iter();
        let number = |value: &Value| value.as_u64().expect("a number");
        offsets
            .map(|place| (number(&place["partition"]), number(&place["offset"])))
            .collect()
    }

    #[track_caller]
    fn refuses(&self, body: &str, code: &str, words: &[&str]) {
        let (status, answer, _) = self.post_to(RECORDS, JSON, body);
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)));
        let message = answer["error"]["message"].as_str().expect("a message");
        for word in words {
            assert!(message.contains(word), "{message}");
        }
    }

    fn create_compacted(&self, name: &str) {
        let spec = StreamSpec {
            cleanup: Cleanup::Compact,
            ..StreamSpec::new(name)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let created = self.handle().backend().create_stream(spec);
        let created = runtime.expect("a runtime").block_on(created);
        created.expect("created");
    }

    fn total(&self) -> u64 {
        self.get("/api/v1/streams/events")["records"]
            .as_u64()
            .expect("a count")
    }
}

#[test]
fn what_is_posted_is_read_back() {
    let broker = Broker::start("");
    let body = json!({"records": [
        {"key": "a/b", "value": "21.5", "timestamp": 1000, "partition": 3,
         "headers": [["unit", "\u{b0}C"], ["raw", "/w==", "base64"], ["none", null]]},
        {"partition": 3, "key": "/w==", "key_encoding": "base64", "value": "AP8=", "encoding": "base64"},
        {"partition": 3, "key": "gone", "value": null},
        {"partition": 1, "value": ""},
    ]});
    let places = broker.appends(JSON, &body.to_string());
    assert_eq!(places, [(3, 0), (3, 1), (3, 2), (1, 0)]);
    let got = broker.get("/api/v1/streams/events/records?partition=3");
    let records = got["records"].as_array().expect("records");
    assert_eq!(
        records[0],
        json!({"offset": 0, "timestamp": 1000, "key": "a/b", "value": "21.5", "encoding": "utf8",
               "headers": [["unit", "\u{b0}C", "utf8"], ["raw", "/w==", "base64"], ["none", null, "utf8"]]})
    );
    assert_eq!(
        (&records[1]["key"], &records[1]["value"]),
        (&json!("/w=="), &json!("AP8="))
    );
    assert!(records[1]["timestamp"].as_i64().expect("a time") > 1_700_000_000_000);
    assert_eq!(records[2]["value"], Value::Null);
    let got = broker.get("/api/v1/streams/events/records?partition=1");
    assert_eq!(
        (&got["records"][0]["key"], &got["records"][0]["value"]),
        (&Value::Null, &json!(""))
    );
    let metrics = broker.request("GET", "/metrics").body;
    assert!(metrics.contains("headwater_records_in_total{door=\"http\"} 4"));
}

#[test]
fn partitions_are_chosen_as_kafkas_clients_do() {
    let broker = Broker::start("");
    let catalog = broker.handle().backend().catalog();
    let stream = catalog.by_name("events").expect("a stream");
    let lines: String = (0..50)
        .map(|n| format!("{{\"key\":\"k{n}\",\"value\":\"{n}\"}}\n\n"))
        .collect();
    for (number, (partition, _)) in broker.appends(LINES, &lines).into_iter().enumerate() {
        let place = stream.partition_for_key(format!("k{number}").as_bytes());
        let expected = stream.partitions.iter().position(|id| *id == place);
        assert_eq!(Some(partition), expected.map(|n| n as u64));
    }
    // Without keys: together within a request, spread over requests (other tests' too).
    let mut used: Vec<u64> = Vec::new();
    for _ in 0..8 {
        let places = broker.appends(LINES, "{\"value\":\"a\"}\r\n{\"value\":\"b\"}");
        assert_eq!(places[0].0, places[1].0);
        assert_eq!(places[0].1 + 1, places[1].1);
        used.push(places[0].0);
    }
    used.sort_unstable();
    used.dedup();
    assert!(used.len() > 1, "all in partition {used:?}");
}

#[test]
fn one_wrong_record_refuses_all_and_is_named() {
    let broker = Broker::start("");
    let second =
        |field: &str| format!(r#"{{"records":[{{"value":"1"}},{{"value":"2",{field}}}]}}"#);
    for (field, words) in [
        (r#""partition":8"#, &["Record 1", "partition"][..]),
        (r#""partition":-1"#, &["Record 1", "partition"]),
        (r#""partition":4294967296"#, &["Record 1", "partition"]),
        (r#""timestamp":-5"#, &["Record 1", "timestamp"]),
        (r#""timestamp":"now""#, &["Record 1", "timestamp"]),
        (r#""key":7"#, &["Record 1", "key"]),
        (r#""value":"3""#, &["Record 1", "value", "twice"]),
        (r#""encoding":"hex""#, &["Record 1", "encoding"]),
        (
            r#""key":"*","key_encoding":"base64""#,
            &["Record 1", "key", "base64"],
        ),
        (r#""headers":[["a"]]"#, &["Record 1", "headers"]),
        (r#""headers":{"a":"b"}"#, &["Record 1", "headers"]),
        (r#""offset":1"#, &["Record 1", "offset"]),
    ] {
        broker.refuses(&second(field), "bad-record", words);
    }
    broker.refuses(
        r#"{"records":[{"key":"a"}]}"#,
        "bad-record",
        &["Record 0", "value"],
    );
    for body in [
        "",
        "[]",
        "{}",
        r#"{"records":{}}"#,
        r#"{"record":[]}"#,
        "{\"records\":[]}x",
    ] {
        broker.refuses(body, "bad-record", &[]);
    }
    broker.refuses(&"[".repeat(1 << 20), "bad-record", &[]);
    let many = format!(
        r#"{{"records":[{{"value":"","headers":[{}["",""]]}}]}}"#,
        r#"["",""],"#.repeat(1000)
    );
    broker.refuses(&many, "bad-record", &["Record 0", "headers"]);
    let (status, answer, _) = broker.post_to(RECORDS, LINES, "{\"value\":\"1\"}\n{\"value\":2}\n");
    assert_eq!(status, 400);
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("Record 1: value"), "{message}");
    assert_eq!(broker.total(), 0);
}

#[test]
fn not_every_stream_takes_every_record() {
    let broker = Broker::start("");
    broker.create_compacted("state");
    let state = "/api/v1/streams/state/records";
    let (status, answer, _) = broker.post_to(state, LINES, "{\"value\":\"1\"}");
    assert_eq!(status, 400, "{answer}");
    assert_eq!(
        broker
            .post_to(state, LINES, "{\"key\":\"k\",\"value\":null}")
            .0,
        200
    );
    for (path, status) in [
        ("/api/v1/streams/nope/records", 404),
        ("/api/v1/streams/__devices/records", 403),
        ("/api/v1/streams/events/records?partition=1", 400),
    ] {
        assert_eq!(
            broker.post_to(path, LINES, "{\"value\":\"1\"}").0,
            status,
            "{path}"
        );
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let (status, answer, _) = broker.post_to(RECORDS, kind, "{\"value\":\"1\"}");
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!("bad-content-type"))
        );
    }
}

#[test]
fn limits_are_told() {
    let broker = Broker::start("");
    let value = |bytes: usize| format!("{{\"value\":\"{}\"}}\n", "x".repeat(bytes));
    for body in [
        "{\"value\":\"\"}\n".repeat(10_001),
        value(1_000_000),
        value(400_000).repeat(3),
        value(17 << 20),
    ] {
        let (status, answer, _) = broker.post_to(RECORDS, LINES, &body);
        assert_eq!(
            (status, &answer["error"]["code"]),
            (413, &json!("too-large"))
        );
    }
    let chunked = "transfer-encoding: chunked\r\ncontent-type: application/x-ndjson\r\n";
    let mut reader = broker.send("POST", RECORDS, chunked);
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    for _ in 0..17 {
        let _refused_early = reader.get_mut().write_all(chunk.as_bytes());
    }
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 413"), "{line}");
    assert_eq!(broker.total(), 0);
    assert_eq!(
        broker
            .appends(LINES, &"{\"value\":\"\"}\n".repeat(10_000))
            .len(),
        10_000
    );
    assert_eq!(broker.appends(LINES, &value(990_000)).len(), 1);
}

#[test]
fn without_memory_the_client_is_told_when_to_come_again() {
    let broker = Broker::start_with(
        "limits.request_memory = \"16MiB\"\nkafka.max_request = \"1MiB\"\n",
        "",
    );
    let body = format!("{{\"value\":\"{}\"}}\n", "x".repeat(900_000)).repeat(18);
    let (status, answer, _) = broker.post_to(RECORDS, LINES, &body[..15 << 20]);
    assert_eq!(
        (status, &answer["error"]["code"]),
        (413, &json!("too-large")),
        "it never fits: {answer}"
    );
    // Each holds 4 MiB of the 10 MiB, and needs 6 MiB while it grows: of those that grow at once one
    // is refused and another takes its place.
    let mut half_sent = Vec::new();
    let refused = (0..1_000).find_map(|_| {
        let length = format!(
            "content-type: {LINES}\r\ncontent-length: {}\r\n",
            body.len()
        );
        let mut another = broker.send("POST", RECORDS, &length);
        let _refused_early = another.get_mut().write_all(&body.as_bytes()[..3 << 20]);
        half_sent.push(another);
        let (status, _, head) = broker.post_to(RECORDS, LINES, &body[..3 << 20]);
        (status == 429).then_some(head)
    });
    let head = refused.expect("once the broker has read what the others sent");
    assert!(head.contains("retry-after: 1"), "{head}");
    drop(half_sent);
    let (status, ..) = broker.post_to(RECORDS, LINES, "{\"value\":\"1\"}");
    assert_eq!(status, 200, "it was given back");
}
