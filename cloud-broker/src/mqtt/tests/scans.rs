//! How much of the log replays make the broker read, and that readers do not wait for each other.

use headwater_mqtt::{
    Ack, Connect, Id, Options, Packet, PropertyBuf, Publish, Qos, Reason, Value, Version,
};

use super::harness::{Broker, Client, connect, publish};

const TOPICS: u32 = 100;
/// Records of each topic, one behind the other.
const RECORDS: u32 = 20;
const RECORD_BYTES: usize = 1_000;

/// A broker whose memory holds the last commit alone, and records of many topics in its log.
fn filled(cores: usize) -> Broker {
    let broker = Broker::start_forgetful("", cores);
    let mut publisher = broker.connected(Version::V5, "p");
    for topic_number in 0..TOPICS {
        let topic = name(topic_number);
        for number in 0..RECORDS {
            let mut payload = number.to_be_bytes().to_vec();
            // Nothing that could be compressed.
            let mut noise = topic_number * RECORDS + number + 1;
            while payload.len() < RECORD_BYTES {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                payload.extend_from_slice(&noise.to_be_bytes());
            }
            publisher.send(&Packet::Publish(Publish {
                packet_id: u16::try_from(number + 1).ok(),
                ..publish(&topic, &payload)
            }));
        }
        for _ in 0..RECORDS {
            assert_eq!(publisher.expect().puback().1, Reason::SUCCESS);
        }
    }
    assert_eq!(publisher.publish("last", b""), Reason::SUCCESS);
    broker
}

fn name(topic: u32) -> String {
    format!("plant/{}/{topic}", topic % 10)
}

fn subscribe(client: &mut Client, filter: &str) {
    let mut from = PropertyBuf::new();
    from.push_user("from", "earliest").expect("short");
    let options = Options {
        qos: Qos::AtLeastOnce,
        ..Options::default()
    };
    client.send_subscribe(&[(filter, options)], from.view());
}

/// Takes the records of one topic, in order.
fn take_all(client: &mut Client) {
    for expected in 0..RECORDS {
        let mut received = client.expect();
        if matches!(received.packet(), Packet::SubAck(_)) {
            received = client.expect();
        }
        let publish = received.publish();
        let number = publish
            .payload
            .first_chunk()
            .map(|n| u32::from_be_bytes(*n));
        assert_eq!(number, Some(expected), "{}", publish.topic);
        let id = publish.packet_id.expect("QoS 1");
        client.send(&Packet::PubAck(Ack::success(id)));
    }
}

/// Bytes in the log, and bytes that were read of it so far.
fn bytes(broker: &Broker) -> (u64, u64) {
    let backend = &broker.door.backend;
    let catalog = backend.catalog();
    let events = catalog.by_name("events").expect("there by default");
    let partitions = events.partitions.iter();
    let log = partitions.map(|partition| backend.bounds(*partition).bytes);
    (log.sum(), broker.door.metrics.store_read_bytes.value())
}

#[test]
fn one_topic_is_found_without_reading_the_others() {
    let broker = filled(1);
    let mut client = broker.connected(Version::V5, "c");
    let (log, before) = bytes(&broker);
    subscribe(&mut client, &name(7));
    take_all(&mut client);
    let read = bytes(&broker).1 - before;
    assert!(
        read > 0 && read <= log / 20,
        "{read} of {log} bytes were read"
    );
}

#[test]
fn all_topics_together_read_the_log_at_most_twice() {
    let broker = filled(1);
    let (log, before) = bytes(&broker);
    let connected = |topic| {
        let mut client = broker.connected(Version::V5, &format!("c{topic}"));
        subscribe(&mut client, &name(topic));
        client
    };
    let mut clients: Vec<_> = (0..TOPICS).map(connected).collect();
    clients.iter_mut().for_each(take_all);
    let read = bytes(&broker).1 - before;
    assert!(read <= 2 * log, "{read} of {log} bytes were read");
}

#[test]
fn a_reader_that_takes_nothing_holds_up_nobody() {
    let broker = filled(1);
    let mut one = PropertyBuf::new();
    one.push(Id::ReceiveMaximum, Value::Short(1))
        .expect("short");
    let mut slow = broker.client();
    slow.connect(&Connect {
        client_id: "slow",
        properties: one.view(),
        ..connect(Version::V5)
    });
    let mut quick: Vec<_> = (0..3)
        .map(|n| broker.connected(Version::V5, &format!("quick{n}")))
        .collect();
    subscribe(&mut slow, "plant/#");
    for (topic, client) in (50..).zip(&mut quick) {
        subscribe(client, &name(topic));
    }
    quick.iter_mut().for_each(take_all);
    let mut left = TOPICS * RECORDS;
    while left > 0 {
        let received = slow.expect();
        if let Packet::Publish(publish) = received.packet() {
            left -= 1;
            let id = publish.packet_id.expect("QoS 1");
            slow.send(&Packet::PubAck(Ack::success(id)));
        }
    }
}
