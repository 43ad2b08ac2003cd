//! Clients that send half of much, and clients that ask for much and never read it, many at once at
//! every door: the broker's memory stays within its limits, and everybody else is served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use headwater_tests::broker::Broker;
use headwater_tests::command;
use headwater_tests::source::{connect, packet, text};
use headwater_tests::uplink::Uplink;
use headwater_tests::{consume, http};

/// Small, so that few clients are enough.
const SETTINGS: &str = "limits.request_memory = \"32MiB\"\nkafka.max_request = \"8MiB\"\n";
/// What the broker may hold altogether: requests and answers as set, what waits for a commit, the
/// ring of recent commits, and the program itself with all its threads.
const MEMORY_BYTES_MAX: u64 = 160 << 20;
/// Of each kind. Without limits each kind alone would take more than [`MEMORY_BYTES_MAX`].
const CLIENTS: usize = 100;
const MIB: usize = 1 << 20;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

/// A connection that has sent all of `bytes` that it could without being read.
fn half_sent(door: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut link = TcpStream::connect(door).expect("a listener");
    let wait = Some(Duration::from_millis(50));
    link.set_write_timeout(wait).expect("a timeout");
    // The broker may stop reading, or hang up.
    let _as_far_as_it_goes = link.write_all(bytes);
    link
}

/// A Kafka frame of 8 MiB, of which 1 MiB comes.
fn half_a_frame() -> Vec<u8> {
    let mut bytes = u32::try_from(8 * MIB)
        .expect("small")
        .to_be_bytes()
        .to_vec();
    bytes.resize(MIB, 0);
    bytes
}

/// A body of 16 MiB, of which 1 MiB comes.
fn half_a_post() -> Vec<u8> {
    let mut bytes = b"POST /api/v1/streams/events/records HTTP/1.1\r\nHost: x\r\n\
        Content-Type: application/x-ndjson\r\nContent-Length: 16000000\r\n\r\n"
        .to_vec();
    bytes.resize(MIB, b' ');
    bytes
}

/// A publish of 1 MiB, of which all but a byte comes.
fn half_a_publish(number: usize) -> Vec<u8> {
    let mut bytes = connect(&format!("half-{number}"));
    let mut body = Vec::new();
    text(&mut body, "t");
    body.resize(MIB, 0);
    bytes.extend(packet(0x30, &body));
    bytes.pop();
    bytes
}

/// Fetch, version 4, of every partition of `events`, up to 8 MiB.
fn fetch() -> Vec<u8> {
    let mut body = b"\0\x01\0\x04\0\0\0\x01\xff\xff".to_vec();
    for number in [-1, 1000, 1, 8 << 20] {
        body.extend(i32::to_be_bytes(number));
    }
    body.extend(b"\0\0\0\0\x01\0\x06events\0\0\0\x08");
    for partition in 0..8 {
        body.extend(i32::to_be_bytes(partition));
        body.extend(0_i64.to_be_bytes());
        body.extend(i32::to_be_bytes(8 << 20));
    }
    let mut bytes = u32::try_from(body.len())
        .expect("small")
        .to_be_bytes()
        .to_vec();
    bytes.extend(body);
    // Three, so that more is waiting whatever the system buffers.
    bytes.repeat(3)
}

/// Subscribes to everything from the beginning on, MQTT 5.
fn replay(number: usize) -> Vec<u8> {
    let mut hello = Vec::new();
    text(&mut hello, "MQTT");
    hello.extend(b"\x05\x02\0\0\0");
    text(&mut hello, &format!("replay-{number}"));
    let mut bytes = packet(0x10, &hello);
    let mut body = b"\0\x01\x13\x26".to_vec();
    text(&mut body, "from");
    text(&mut body, "earliest");
    body[2] = u8::try_from(body.len() - 3).expect("short");
    text(&mut body, "#");
    body.push(0);
    bytes.extend(packet(0x82, &body));
    bytes
}

/// Stores 24 MiB, three in each partition.
fn store(web: SocketAddr) {
    for partition in 0..8 {
        let line = format!(
            "{{\"key\":\"old\",\"partition\":{partition},\"value\":\"{}\"}}\n",
            noise(900_000, partition)
        );
        let said = command::run(
            program(),
            web,
            &["produce", "events", "--ndjson"],
            line.repeat(3).as_bytes(),
        );
        assert_eq!(said.code, Some(0), "{said:?}");
    }
}

/// Text that does not compress.
fn noise(bytes: usize, seed: u64) -> String {
    let mut rng = headwater_tests::rng::Rng::new(seed + 1);
    let letter = |rng: &mut headwater_tests::rng::Rng| {
        char::from(b'0' + u8::try_from(rng.below(64)).expect("below 64"))
    };
    let text: String = (0..bytes).map(|_| letter(&mut rng)).collect();
    text.replace('\\', "~")
}

/// Well-behaved clients of every door are served.
#[track_caller]
fn others_are_served(broker: &Broker, round: &str) {
    let (mqtt, kafka, web) = (
        broker.process().address("mqtt"),
        broker.process().address("kafka"),
        broker.process().address("http"),
    );
    let mut link = Uplink::connect(mqtt, "good").expect(round);
    assert_eq!(link.publish("good/1", b"1").expect(round).reason, 0);
    let position = broker.metric("headwater_records_in_total").expect(round);
    assert!(position >= 1.0);
    let said = command::run(program(), web, &["produce", "good", "--key", "k"], b"1\n");
    assert_eq!(said.code, Some(0), "{round}: {said:?}");
    let records = consume::everything(kafka, "good").expect(round);
    assert!(!records.is_empty(), "{round}");
    assert_eq!(http::get(web, "/healthz").expect(round).0, 200);
}

#[test]
fn memory_is_bounded_and_others_are_served() {
    let broker = Broker::start_with(program(), SETTINGS).expect("a broker");
    let (mqtt, kafka, web) = (
        broker.process().address("mqtt"),
        broker.process().address("kafka"),
        broker.process().address("http"),
    );
    let said = command::run(program(), web, &["stream", "create", "good"], b"");
    assert_eq!(said.code, Some(0), "{said:?}");
    store(web);
    let page = b"GET /api/v1/streams/events/records?limit=10000&max_bytes=16MiB HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut links = Vec::new();
    let mut attack = |round: &str, door, bytes: &dyn Fn(usize) -> Vec<u8>| {
        links.extend((0..CLIENTS).map(|number| half_sent(door, &bytes(number))));
        others_are_served(&broker, round);
        let peak = broker.process().peak_memory_bytes().expect("it runs");
        assert!(peak <= MEMORY_BYTES_MAX, "{round}: {} MiB", peak >> 20);
    };
    attack("half frames", kafka, &|_| half_a_frame());
    attack("half posts", web, &|_| half_a_post());
    attack("half publishes", mqtt, &half_a_publish);
    attack("fetches", kafka, &|_| fetch());
    attack("pages", web, &|_| page.repeat(3));
    attack("replays", mqtt, &replay);
    drop(links);
    others_are_served(&broker, "afterwards");
    assert!(
        broker.process().log().lines().count() < 100,
        "the log is not flooded"
    );
}

/// Whoever is cut is cut, and finds out.
#[test]
fn a_request_that_trickles_in_is_cut() {
    let broker = Broker::start(program()).expect("a broker");
    let mut links = [
        half_sent(broker.process().address("kafka"), b"\0\x40\0\0\0\0"),
        half_sent(broker.process().address("http"), &half_a_post()[..200]),
        half_sent(broker.process().address("mqtt"), &half_a_publish(1)[..2000]),
    ];
    for link in &mut links {
        link.set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout");
        let mut said = Vec::new();
        // A reset is an end too.
        let end = link.read_to_end(&mut said);
        assert!(end.map_err(|error| error.kind()) != Err(std::io::ErrorKind::WouldBlock));
    }
}
