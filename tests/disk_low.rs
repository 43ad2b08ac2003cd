//! A disk with less room than `limits.disk_min_free`: every door refuses records in its own way,
//! none acknowledges, all still read, and with room again everything goes on without a restart.

use std::path::Path;
use std::time::{Duration, Instant};

use headwater_tests::command::{self, Said};
use headwater_tests::process::{GIVE_UP, Process};
use headwater_tests::small_disk::SmallDisk;
use headwater_tests::uplink::Uplink;
use headwater_tests::{consume, http};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

const MIB: u32 = 200;
/// Quota exceeded.
const FULL: u8 = 0x97;
const TIMEOUT: Duration = Duration::from_secs(10);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

/// A broker with all its data on `disk`.
fn start(disk: &SmallDisk, min_free: &str) -> Process {
    let settings = disk.path().join("broker.toml");
    let text = format!(
        "data_dir = \"{}/broker\"\n[limits]\ndisk_min_free = \"{min_free}\"\n[listeners]\n\
         mqtt = \"127.0.0.1:0\"\nkafka = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n",
        disk.path().display()
    );
    std::fs::write(&settings, text).expect("settings");
    let settings = settings.display().to_string();
    Process::start(program(), "broker", &["run", "--config", &settings]).expect("a broker")
}

/// The error that a Kafka producer gets which does not try again, if any.
fn produce(broker: &Process) -> Option<RDKafkaErrorCode> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.address("kafka").to_string())
        .set("retries", "0")
        .create()
        .expect("a producer");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let record = FutureRecord::to("events").key("k/kafka").payload("kafka");
    let sent = runtime.block_on(producer.send(record, TIMEOUT));
    // Nothing of it lives on.
    producer.flush(TIMEOUT).expect("flushed");
    match sent {
        Ok(_) => None,
        Err((KafkaError::MessageProduction(code), _)) => Some(code),
        Err((other, _)) => panic!("{other}"),
    }
}

fn post(broker: &Process) -> Said {
    let arguments = ["produce", "events", "--key", "k/http"];
    command::run(program(), broker.address("http"), &arguments, b"http\n")
}

fn publish(broker: &Process) -> u8 {
    let mut link = Uplink::connect(broker.address("mqtt"), "sensor").expect("a link");
    let answer = link.publish("k/mqtt", b"mqtt").expect("an answer");
    answer.reason
}

fn ready(broker: &Process) -> (u16, String) {
    http::get(broker.address("http"), "/readyz").expect("an answer")
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < GIVE_UP, "never {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every door takes a record; how many are stored now.
#[track_caller]
fn all_take(broker: &Process) -> usize {
    assert_eq!(publish(broker), 0);
    assert_eq!(produce(broker), None);
    assert_eq!(post(broker).code, Some(0));
    stored(broker)
}

fn stored(broker: &Process) -> usize {
    let records = consume::everything(broker.address("kafka"), "events");
    records.expect("records").len()
}

#[track_caller]
fn all_refuse(broker: &Process) {
    assert_eq!(publish(broker), FULL);
    assert_eq!(produce(broker), Some(RDKafkaErrorCode::KafkaStorageError));
    let said = post(broker);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("503 disk-full"), "{said:?}");
    let mut device = Uplink::connect(broker.address("mqtt"), "gw-1").expect("a link");
    let answer = device.resume("events", 0, 1).expect("an answer");
    assert_eq!((answer.reason, answer.property("error")), (FULL, "busy"));
    assert!(answer.property("retry_ms").parse::<u32>().is_ok());
}

#[test]
fn less_room_than_the_least() {
    SmallDisk::run("less_room_than_the_least", MIB, |disk| {
        let broker = start(disk, "20%");
        let before = all_take(&broker);
        let ballast = disk.fill_but((u64::from(MIB) << 20) / 10);
        wait_for("full", || ready(&broker).0 == 503);
        assert!(ready(&broker).1.contains("disk-full"));
        all_refuse(&broker);
        assert_eq!(stored(&broker), before, "nothing came, and all is read");
        let arguments = ["consume", "events"];
        let seen = command::run(program(), broker.address("http"), &arguments, b"");
        assert_eq!(seen.out.lines().count(), before);

        drop(ballast);
        wait_for("well again", || ready(&broker).0 == 200);
        assert_eq!(all_take(&broker), before + 3);
    });
}
