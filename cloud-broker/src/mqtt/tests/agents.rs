use headwater_mqtt::{Packet, Publish, Qos, Reason, Version};
use headwater_wire::batch::{BatchBuilder, Compressor, Producer};
use headwater_wire::uplink::{LossReason, LostRange, Position, producer_id};

use super::harness::{Broker, Client, publish};
use crate::metrics::DoorName;

const AGENT: &str = "gw-1~0123abcd";
const RESUME: &str = "$hw/1/resume/events/main/0";
const BATCH: &str = "$hw/1/batch/events/main/0";
const EMPTY: &[u8] = br#"{"oldest":0,"next":0,"predecessor":null}"#;

/// A batch of `count` records under `key` that begins at `position`.
fn batch(key: &str, position: u64, count: u64) -> Vec<u8> {
    batch_of("gw-1", key, position, count)
}

fn batch_of(device: &str, key: &str, position: u64, count: u64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for number in position..position + count {
        let value = format!("{{\"number\":{number}}}");
        let lost = format!("{position}-{}", position + count);
        let headers = key
            .starts_with("$hw/loss/")
            .then_some(("hw-lost", Some(lost.as_bytes())));
        let time = 1_760_000_000_000 + i64::try_from(number).unwrap();
        builder
            .push(time, Some(key.as_bytes()), Some(value.as_bytes()), headers)
            .unwrap();
    }
    let id = producer_id(device, "events", "main", 0);
    let producer = Position(position).producer(id).unwrap();
    let mut batch = Vec::new();
    builder.finish_zstd_into(producer, &mut Compressor::new(1), &mut batch);
    batch
}

type Answer = (Reason, Vec<(String, String)>);

/// Publishes and gives the answer.
fn ask(client: &mut Client, topic: &str, payload: &[u8]) -> Answer {
    client.send(&Packet::Publish(publish(topic, payload)));
    let (_, reason, properties) = client.expect().puback();
    (reason, properties)
}

fn property<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.1.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.as_str())
}

fn refused(code: u8, error: &str) -> impl Fn(&Answer) -> bool {
    move |answer| answer.0 == Reason(code) && property(answer, "error") == Some(error)
}

fn agent(broker: &Broker) -> Client {
    let mut client = broker.connected(Version::V5, AGENT);
    assert_eq!(ask(&mut client, RESUME, EMPTY).0, Reason::SUCCESS);
    client
}

#[test]
fn a_lane_is_opened_appended_to_and_taken_up_again() {
    let broker = Broker::start("", 2);
    let mut client = broker.connected(Version::V5, AGENT);
    let first = batch("gw-1/t", 0, 10);
    assert!(
        refused(0x83, "stale")(&ask(&mut client, BATCH, &first)),
        "resume comes first"
    );
    let resumed = ask(&mut client, RESUME, EMPTY);
    assert_eq!(
        (resumed.0, property(&resumed, "next")),
        (Reason::SUCCESS, Some("0"))
    );
    assert_eq!(property(&resumed, "topic_id").map(str::len), Some(36));
    assert_eq!(property(&resumed, "crc"), None);
    let answer = ask(&mut client, BATCH, &first);
    assert_eq!(
        answer,
        (Reason::SUCCESS, vec![("next".into(), "10".into())])
    );
    let answer = ask(&mut client, BATCH, &first);
    assert_eq!(
        (answer.0, property(&answer, "duplicate")),
        (Reason::SUCCESS, Some("1"))
    );
    let answer = ask(&mut client, BATCH, &batch("gw-1/t", 20, 1));
    assert!(refused(0x83, "out-of-order")(&answer));
    assert_eq!(property(&answer, "next"), Some("10"));
    let mut second = broker.connected(Version::V5, "gw-1~ffffffff");
    let resumed = ask(
        &mut second,
        RESUME,
        br#"{"oldest":0,"next":10,"predecessor":null}"#,
    );
    assert_eq!(property(&resumed, "next"), Some("10"));
    let crc = u32::from_be_bytes(first[17..21].try_into().unwrap());
    assert_eq!(
        property(&resumed, "crc"),
        Some(format!("{crc:08x}").as_str())
    );
    let answer = ask(&mut client, BATCH, &batch("gw-1/t", 10, 1));
    assert!(
        refused(0x83, "stale")(&answer),
        "another connection holds the lane"
    );
    let answer = ask(&mut second, BATCH, &batch("gw-1/other", 0, 10));
    assert!(refused(0x83, "conflict")(&answer));
    let metrics = &broker.door.metrics;
    assert_eq!(metrics.records_in.of(DoorName::Mqtt).value(), 10);
    assert_eq!(metrics.duplicates.of(DoorName::Mqtt).value(), 10);
}

#[test]
fn a_batch_is_delivered_record_by_record() {
    let broker = Broker::start("", 1);
    let mut watcher = broker.connected(Version::V5, "watcher");
    watcher.subscribe("gw-1/#", Qos::AtLeastOnce);
    let mut client = agent(&broker);
    ask(&mut client, BATCH, &batch("gw-1/t", 0, 3));
    for number in 0..3 {
        let received = watcher.expect();
        assert_eq!(
            received.publish().payload,
            format!("{{\"number\":{number}}}").as_bytes()
        );
        assert_eq!(
            received.publish().qos,
            Qos::AtLeastOnce,
            "1 if none is stored"
        );
    }
}

#[test]
fn damage_is_told_apart_from_what_is_not_permitted() {
    let broker = Broker::start("", 1);
    let mut client = agent(&broker);
    let good = batch("gw-1/t", 0, 5);
    let mut bad_crc = good.clone();
    *bad_crc.last_mut().unwrap() ^= 1;
    let mut false_count = good.clone();
    false_count[60] += 1;
    let mut offset_set = good.clone();
    offset_set[7] = 1;
    let mut epoch_set = good.clone();
    epoch_set[12..16].fill(0);
    let longer = [&good[..], b"x"].concat();
    let damaged = [
        &bad_crc,
        &false_count,
        &offset_set,
        &epoch_set,
        &longer,
        &good[..60].to_vec(),
        &vec![],
    ];
    for bytes in damaged {
        assert!(refused(0x99, "corrupt")(&ask(&mut client, BATCH, bytes)));
    }
    let foreign = batch_of("gw-2", "gw-2/t", 0, 1);
    assert!(refused(0x87, "not-yours")(&ask(
        &mut client,
        BATCH,
        &foreign
    )));
    for key in ["cmd/gw-2/led", "$SYS/x", "$hw/repair/gw-1/events"] {
        let answer = ask(&mut client, BATCH, &batch(key, 0, 1));
        assert!(refused(0x87, "forbidden-key")(&answer), "{key}");
    }
    assert_eq!(
        ask(&mut client, BATCH, &good).0,
        Reason::SUCCESS,
        "the lane is as it was"
    );
}

#[test]
fn topics_that_nobody_has_are_refused() {
    let broker = Broker::start(
        "[[stream]]\nname = \"events\"\nfilters = [\"a/#\"]\n\
         [[stream]]\nname = \"by-topic\"\nfilters = [\"#\"]\npartition_by = \"topic\"\n",
        1,
    );
    let mut client = agent(&broker);
    let by_topic = "$hw/1/batch/by-topic/main/0";
    for topic in [
        "$hw/1/batch/none/main/0",
        "$hw/1/resume/none/main/0",
        "$hw/1/repair/__lanes/x/0",
    ] {
        assert!(
            refused(0x90, "no-stream")(&ask(&mut client, topic, EMPTY)),
            "{topic}"
        );
    }
    assert!(refused(0x83, "partitioned-by-topic")(&ask(
        &mut client,
        by_topic,
        EMPTY
    )));
    for topic in [
        "$hw",
        "$hw/2/status",
        "$hw/1/batch/events/main",
        "$hw/1/batch/events/main/00",
    ] {
        assert!(
            refused(0x87, "not-yours")(&ask(&mut client, topic, EMPTY)),
            "{topic}"
        );
    }
    for payload in [&b"{"[..], b"", b"[]", br#"{"oldest":-1,"next":0}"#] {
        assert!(refused(0x99, "corrupt")(&ask(&mut client, RESUME, payload)));
    }
}

#[test]
fn plain_clients_have_no_uplink() {
    let broker = Broker::start("", 1);
    let mut plain = broker.connected(Version::V5, "gw-1");
    assert!(refused(0x87, "not-yours")(&ask(
        &mut plain,
        "$hw/1/status",
        b"{}"
    )));
    let mut client = agent(&broker);
    client.send(&Packet::Publish(Publish {
        retain: true,
        ..publish("$hw/1/status", b"{}")
    }));
    assert_eq!(client.expect().puback().1, Reason::NOT_AUTHORIZED);
    let status = publish("$hw/1/status", b"{}");
    client.send(&Packet::Publish(Publish {
        qos: Qos::AtMostOnce,
        packet_id: None,
        ..status
    }));
    assert_eq!(client.expect().disconnect(), Reason::NOT_AUTHORIZED);
    let mut old = broker.connected(Version::V311, AGENT);
    old.send(&Packet::Publish(status));
    old.expect_end();
}

#[test]
fn a_status_is_kept_and_a_repair_gives_a_generation() {
    let broker = Broker::start("", 1);
    let mut client = agent(&broker);
    assert_eq!(
        ask(&mut client, "$hw/1/status", br#"{"device":"gw-1"}"#),
        (Reason::SUCCESS, vec![])
    );
    let devices = broker.door.backend.devices();
    assert_eq!(devices[0].device, "gw-1");
    assert_eq!(
        devices[0].status.as_deref(),
        Some(&br#"{"device":"gw-1"}"#[..])
    );
    ask(&mut client, BATCH, &batch("gw-1/t", 0, 1));
    let repair = "$hw/1/repair/events/main/0";
    let answer = ask(&mut client, repair, br#"{"reason":"conflict"}"#);
    assert_eq!(
        (answer.0, property(&answer, "generation")),
        (Reason::SUCCESS, Some("1"))
    );
    let answer = ask(&mut client, repair, br#"{"reason":"whim"}"#);
    assert!(refused(0x99, "corrupt")(&answer));
}

#[test]
fn a_declared_loss_is_counted_with_its_reason() {
    let broker = Broker::start("", 1);
    let mut client = agent(&broker);
    let range = LostRange {
        from: Position(0),
        to: Position(7),
    };
    let value = r#"{"from":0,"to":7,"reason":"overflow","events":7}"#;
    let loss = |key: &str| {
        let mut builder = BatchBuilder::new();
        let lost = range.to_string();
        let headers = [("hw-lost", Some(lost.as_bytes()))];
        builder
            .push(0, Some(key.as_bytes()), Some(value.as_bytes()), headers)
            .unwrap();
        let id = producer_id("gw-1", "events", "main", 0);
        let producer = Producer {
            id,
            epoch: 0,
            base_sequence: 6,
        };
        let mut batch = Vec::new();
        builder.finish_into(producer, &mut batch);
        batch
    };
    let foreign = ask(&mut client, BATCH, &loss("$hw/loss/gw-2/events"));
    assert!(refused(0x87, "forbidden-key")(&foreign));
    let answer = ask(&mut client, BATCH, &loss("$hw/loss/gw-1/events"));
    assert_eq!(
        (answer.0, property(&answer, "next")),
        (Reason::SUCCESS, Some("7"))
    );
    assert_eq!(
        broker
            .door
            .metrics
            .lost_events
            .of(Some(LossReason::Overflow))
            .value(),
        7
    );
}

#[test]
fn answers_come_in_the_order_of_the_publishes() {
    let broker = Broker::start("", 1);
    let mut client = agent(&broker);
    let mut bytes = bytes::BytesMut::new();
    let batches: Vec<Vec<u8>> = (0..5).map(|i| batch("gw-1/t", i * 3, 3)).collect();
    let mut packet_id = 0;
    for batch in &batches {
        for (topic, payload) in [(BATCH, &batch[..]), (BATCH, b"damaged"), ("plain", b"x")] {
            packet_id += 1;
            let publish = Publish {
                packet_id: Some(packet_id),
                ..publish(topic, payload)
            };
            Packet::Publish(publish)
                .encode(Version::V5, &mut bytes)
                .unwrap();
        }
    }
    client.send_bytes(&bytes);
    for expected in 1..=packet_id {
        let (id, reason, _) = client.expect().puback();
        let wanted = if expected % 3 == 2 {
            Reason::PAYLOAD_FORMAT_INVALID
        } else {
            Reason::SUCCESS
        };
        assert_eq!((id, reason), (expected, wanted));
    }
}
