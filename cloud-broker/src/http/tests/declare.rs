//! Streams that are created and deleted.

use super::*;

const JSON: &str = "content-type: application/json\r\n";

impl Broker {
    fn post(&self, headers: &str, body: &str) -> Answer {
        self.post_at("/api/v1/streams", headers, body)
    }

    fn post_at(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = format!("content-length: {}\r\nconnection: close\r\n", body.len());
        let mut reader = self.send("POST", path, &(length + headers));
        reader.get_mut().write_all(body.as_bytes()).expect("sent");
        answer(reader)
    }

    fn create(&self, body: &Value) -> (u16, Value) {
        let answer = self.post(JSON, &body.to_string());
        (
            answer.status,
            serde_json::from_str(&answer.body).expect("JSON"),
        )
    }
}

fn code(answer: &Answer) -> (u16, String) {
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let code = body["error"]["code"].as_str().expect("a code");
    (answer.status, code.to_owned())
}

#[test]
fn a_stream_is_created_described_and_deleted() {
    let broker = Broker::start("");
    let wanted = json!({"name": "hot", "filters": ["hot/#"], "partitions": 3, "retention_ms": null,
        "cleanup": "compact", "partition_by": "topic"});
    let (status, stream) = broker.create(&wanted);
    assert_eq!(
        (status, &stream["partition"][2]["end"]),
        (201, &json!(0)),
        "{stream}"
    );
    for (field, value) in wanted.as_object().expect("an object") {
        assert_eq!(&stream[field], value);
    }
    assert_eq!(broker.get("/api/v1/streams/hot"), stream);
    let (status, again) = broker.create(&wanted);
    assert_eq!(
        (status, &again["error"]["code"]),
        (409, &json!("stream-exists"))
    );
    let deleted = broker.request("DELETE", "/api/v1/streams/hot");
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    let missing = (404, "no-such-stream".to_owned());
    assert_eq!(broker.error("/api/v1/streams/hot"), missing);
    assert_eq!(
        code(&broker.request("DELETE", "/api/v1/streams/hot")),
        missing
    );
    let (status, recreated) = broker.create(&wanted);
    assert_eq!(status, 201);
    assert_ne!(recreated["id"], stream["id"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let broker = Broker::start("");
    let forbidden = (403, "internal-stream".to_owned());
    let record = r#"{"records":[{"value":"1"}]}"#;
    for refused in [
        broker.request("DELETE", "/api/v1/streams/__lanes"),
        broker.post(JSON, r#"{"name":"__mine"}"#),
        broker.post_at("/api/v1/streams/__lanes/records", JSON, record),
    ] {
        assert_eq!(code(&refused), forbidden);
    }
    for (headers, body, expected) in [
        ("", r#"{"name":"a"}"#, (400, "bad-content-type")),
        (JSON, "{", (400, "bad-json")),
        (JSON, r#"{"name":"a","colour":1}"#, (400, "bad-field")),
        (JSON, r#"{"name":"a","partitions":0}"#, (400, "bad-field")),
        (JSON, &" ".repeat((64 << 10) + 1), (413, "too-large")),
    ] {
        let refused = code(&broker.post(headers, body));
        assert_eq!(refused, (expected.0, expected.1.to_owned()));
    }
    let (status, _) = broker.create(&json!({"name": "a", "partitions": 10_000}));
    assert_eq!(status, 201);
    let (status, refused) = broker.create(&json!({"name": "b", "partitions": 10_000}));
    assert_eq!(
        (status, &refused["error"]["code"]),
        (409, &json!("too-many-partitions"))
    );
}

#[test]
fn whoever_reads_a_stream_hears_that_it_is_gone() {
    let broker = Broker::start("");
    let follow = "/api/v1/streams/events/live";
    let mut live = broker.send("GET", follow, "connection: close\r\n");
    next_id(&mut live);
    let wait = "/api/v1/streams/events/records?wait_ms=60000";
    let waiting = broker.send("GET", wait, "connection: close\r\n");
    // The one that waits is there before the deletion only if it comes in time; either way it is
    // told the same.
    assert_eq!(
        broker.request("DELETE", "/api/v1/streams/events").status,
        204
    );
    assert_eq!(code(&answer(waiting)), (404, "no-such-stream".into()));
    let mut rest = String::new();
    live.read_to_string(&mut rest).expect("the end");
    assert!(rest.contains("event: end\ndata: {\"error\":"), "{rest}");
    assert_eq!(broker.error(follow), (404, "no-such-stream".into()));
}

/// Waits until live events have begun.
fn next_id(reader: &mut impl BufRead) {
    let mut lines = reader.lines().map(|line| line.expect("more lines"));
    assert!(lines.any(|line| line.starts_with("id: ")));
}
