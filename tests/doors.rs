//! A hostile length at each door costs the connection that sent it, and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use headwater_tests::broker::Broker;
use headwater_tests::stack::Stack;
use headwater_tests::uplink::Uplink;
use headwater_tests::{consume, http};

const TIMEOUT: Duration = Duration::from_secs(10);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

/// Sends `bytes` and waits until the other side hangs up; gives what it said before that.
fn hangs_up(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut link = TcpStream::connect(address).expect("a listener");
    link.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    // The door may hang up in the midst of this.
    let _cut = link.write_all(bytes);
    let mut said = Vec::new();
    match link.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "{bytes:?} is still connected"
        ),
    }
    said
}

/// MQTT 3.1.1 CONNECT, client id `x`, then the given bytes.
fn after_connect(more: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01x".to_vec();
    bytes.extend(more);
    bytes
}

fn mqtt_attacks() -> Vec<Vec<u8>> {
    vec![
        b"\x10\xff\xff\xff\x7f\0\x04MQTT".to_vec(),
        b"\x10\xff\xff\xff\xff\xff".to_vec(),
        b"\x10\x0c\xff\xffMQTT\x04\x02\0\0\0\0".to_vec(),
        after_connect(b"\x32\xff\xff\xff\x7f\0\x01a"),
        after_connect(b"\x32\x04\xff\xffaa"),
        after_connect(b"\x82\x02\0\x01"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ]
}

fn kafka_attacks() -> Vec<Vec<u8>> {
    let frame = |body: &[u8]| {
        let mut frame = u32::try_from(body.len())
            .expect("short")
            .to_be_bytes()
            .to_vec();
        frame.extend(body);
        frame
    };
    vec![
        b"\x7f\xff\xff\xff\0\x03\0\x01".to_vec(),
        b"\xff\xff\xff\xff".to_vec(),
        b"\0\0\0\0".to_vec(),
        // Metadata v1 with 2^31-1 topics in seven bytes: a decoder that believes it aborts.
        frame(b"\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff\0\0\0"),
        // Produce v3 with as many topics.
        frame(b"\0\0\0\x03\0\0\0\x01\xff\xff\xff\xff\0\x01\0\0\0\x01\x7f\xff\xff\xff"),
        // A key that nobody has.
        frame(b"\x03\xe7\0\0\0\0\0\x01\xff\xff"),
    ]
}

#[test]
fn the_brokers_doors() {
    let broker = Broker::start(program()).expect("a broker");
    let (mqtt, kafka, web) = (
        broker.process().address("mqtt"),
        broker.process().address("kafka"),
        broker.process().address("http"),
    );
    let mut bystander = Uplink::connect(mqtt, "bystander").expect("a link");
    for attack in mqtt_attacks() {
        hangs_up(mqtt, &attack);
    }
    for attack in kafka_attacks() {
        hangs_up(kafka, &attack);
    }
    let mut endless = b"GET /healthz HTTP/1.1\r\nX: ".to_vec();
    endless.resize(4 << 20, b'a');
    hangs_up(web, &endless);
    let said = hangs_up(
        web,
        b"GET /healthz HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    );
    assert!(
        said.starts_with(b"HTTP/1.1 4"),
        "{}",
        String::from_utf8_lossy(&said)
    );

    assert_eq!(
        bystander.resume("events", 0, 1).expect("an answer").reason,
        0,
        "others go on"
    );
    let batch = bystander.make_batch("events", 0, &["still here"]);
    assert_eq!(
        bystander.batch("events", &batch).expect("an answer").reason,
        0
    );
    assert_eq!(
        consume::everything(kafka, "events").expect("records").len(),
        1
    );
    assert_eq!(
        http::get(web, "/healthz").expect("an answer"),
        (200, "ok".to_owned())
    );
}

#[test]
fn the_agents_door() {
    let stack = Stack::start(program(), "", "").expect("a stack");
    let door = stack.agent().address("mqtt");
    for attack in mqtt_attacks() {
        hangs_up(door, &attack);
    }
    // An event of 300 KB: refused before anything is acknowledged, on both versions.
    let mut event = after_connect(b"\x32\xe5\xa7\x12\0\x01t\0\x01");
    event.resize(event.len() + 300_000, b'x');
    let said = hangs_up(door, &event);
    assert_eq!(said, b"\x20\x02\0\0", "CONNACK, then the end");
    hangs_up(stack.agent().address("http"), &[b'G'; 1 << 20]);

    let mut other = Uplink::connect(door, "sensor").expect("a link");
    assert_eq!(
        other.publish("plant/a", b"1").expect("an answer").reason,
        0,
        "others go on"
    );
    let status = http::json(stack.agent().address("http"), "/status").expect("a status");
    assert_eq!(status["device"], "gw-1");
}
