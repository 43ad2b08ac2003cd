//! Subscriptions that begin in the past.

use std::collections::BTreeMap;

use headwater_mqtt::{
    Ack, Connect, Id, Options, Packet, Properties, PropertyBuf, Publish, Qos, Reason,
    RetainHandling, TopicBuf, Unsubscribe, Value, Version,
};

use super::harness::{Broker, Client, Received, connect, publish};

const QOS_1: Options = Options {
    qos: Qos::AtLeastOnce,
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::Send,
};

fn from(place: &str) -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    properties.push_user("from", place).expect("short");
    properties
}

/// Subscribes from somewhere, and is granted QoS 1.
fn subscribe_from(client: &mut Client, filter: &str, place: &str) {
    let reasons = client.subscribe_with(&[(filter, QOS_1)], from(place).view());
    assert_eq!(reasons, [1], "{place}");
}

/// The reason code of a refused SUBSCRIBE, and its words.
fn refused(client: &mut Client, filter: &str, place: &str) -> (u8, Option<String>) {
    client.send_subscribe(&[(filter, QOS_1)], from(place).view());
    let received = client.expect();
    let Packet::SubAck(suback) = received.packet() else {
        panic!("No SUBACK: {:?}", received.packet());
    };
    let words = suback.properties.text(Id::ReasonString).map(str::to_owned);
    (suback.reasons[0], words)
}

/// The next record, acknowledged: where it lies, and its payload.
fn next(client: &mut Client) -> (Option<String>, String) {
    let received = client.expect();
    acknowledge(client, &received);
    let publish = received.publish();
    let places: Vec<_> = publish
        .properties
        .user()
        .filter(|(name, _)| *name == "hw-offset")
        .map(|(_, place)| place.to_owned())
        .collect();
    assert!(places.len() <= 1, "it is said once: {places:?}");
    let payload = String::from_utf8(publish.payload.to_vec()).expect("text");
    (places.into_iter().next(), payload)
}

fn acknowledge(client: &mut Client, received: &Received) {
    if let Some(id) = received.publish().packet_id {
        client.send(&Packet::PubAck(Ack::success(id)));
    }
}

fn payloads(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| next(client).1).collect()
}

fn publish_all(client: &mut Client, topic: &str, payloads: impl IntoIterator<Item = String>) {
    for payload in payloads {
        assert_eq!(client.publish(topic, payload.as_bytes()), Reason::SUCCESS);
    }
}

fn texts(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

const ONE_PARTITION: &str = "[[stream]]\nname = \"s\"\nfilters = [\"#\"]\npartitions = 1\n";

#[test]
fn from_the_earliest_record_to_the_live_ones_without_a_gap() {
    let broker = Broker::start("", 2);
    // Clients of their own partitions: the order is that of arrival.
    let mut publishers: Vec<_> = (0..5)
        .map(|n| broker.connected(Version::V5, &format!("p{n}")))
        .collect();
    let count = 60;
    for number in 0..count {
        let publisher = &mut publishers[number % 5];
        publish_all(publisher, "a/b", [number.to_string()]);
    }
    let mut client = broker.connected(Version::V5, "c");
    subscribe_from(&mut client, "a/+", "earliest");
    publish_all(&mut publishers[3], "a/c", ["live".to_owned()]);
    publish_all(&mut publishers[3], "x", ["of others".to_owned()]);
    publish_all(&mut publishers[4], "a/c", ["last".to_owned()]);
    let mut last = BTreeMap::new();
    let mut got = Vec::new();
    for _ in 0..count + 2 {
        let (place, payload) = next(&mut client);
        let place = place.expect("it says its offset");
        let (partition, offset) = place.rsplit_once('/').expect("an offset");
        assert!(partition.starts_with("events/"), "{place}");
        let offset: i64 = offset.parse().expect("a number");
        let before = last.insert(partition.to_owned(), offset);
        assert!(before.is_none_or(|before| before < offset), "{place}");
        got.push(payload);
    }
    let mut expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    expected.extend(["live".to_owned(), "last".to_owned()]);
    // Commits within one millisecond are told apart by their partition alone.
    assert_eq!(got[count..], expected[count..]);
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}

#[test]
fn from_offsets_goes_on_where_the_client_was() {
    let broker = Broker::start(ONE_PARTITION, 1);
    let mut publisher = broker.connected(Version::V5, "p");
    publish_all(&mut publisher, "a", texts(0..20));
    let mut client = broker.connected(Version::V5, "c");
    subscribe_from(&mut client, "#", "0:15");
    assert_eq!(
        next(&mut client),
        (Some("s/0/15".to_owned()), "15".to_owned())
    );
    assert_eq!(payloads(&mut client, 4), texts(16..20));
    publish_all(&mut publisher, "a", texts(20..21));
    assert_eq!(
        next(&mut client),
        (Some("s/0/20".to_owned()), "20".to_owned())
    );
    let mut at_the_end = broker.connected(Version::V5, "e");
    subscribe_from(&mut at_the_end, "#", "s/0:21");
    publish_all(&mut publisher, "a", texts(21..22));
    assert_eq!(payloads(&mut at_the_end, 1), ["21"]);
}

#[test]
fn a_time_says_which_records() {
    let broker = Broker::start(ONE_PARTITION, 1);
    let mut publisher = broker.connected(Version::V5, "p");
    publish_all(&mut publisher, "a", texts(0..5));
    let mut past = broker.connected(Version::V5, "past");
    subscribe_from(&mut past, "a", "1970-01-01T00:00:01Z");
    assert_eq!(payloads(&mut past, 5), texts(0..5));
    let mut future = broker.connected(Version::V5, "future");
    subscribe_from(&mut future, "a", "9999-01-01T00:00:00Z");
    publish_all(&mut publisher, "a", texts(5..6));
    assert_eq!(payloads(&mut past, 1), ["5"]);
    assert_eq!(
        payloads(&mut future, 1),
        ["5"],
        "what comes is delivered in any case"
    );
}

#[test]
fn what_cannot_be_is_refused_in_words_and_touches_nothing() {
    let settings = "[[stream]]\nname = \"s\"\nfilters = [\"s/#\"]\npartitions = 2\n\
        [[stream]]\nname = \"t\"\nfilters = [\"t/#\"]\npartitions = 1\n";
    let broker = Broker::start(settings, 1);
    let mut client = broker.connected(Version::V5, "c");
    client.subscribe("s/#", Qos::AtLeastOnce);
    for (filter, place, words) in [
        ("s/#", "", "from must be"),
        ("s/#", "latest", "from must be"),
        ("s/#", "yesterday", "from must be"),
        ("s/#", "0:1,", "from must be"),
        ("s/#", "0:-1", "from must be"),
        ("#", "x", "from must be"),
        ("s/#", "0:0,0:0", "names a partition twice"),
        ("s/#", "2:0", "Stream s has no partition 2"),
        ("s/#", "0:1", "Partition 0 of stream s ends at 0"),
        (
            "s/#",
            "t/0:0",
            "No topic of these filters belongs to stream t",
        ),
        (
            "#",
            "0:0",
            "name the stream of each offset, STREAM/PARTITION:OFFSET, of s, t",
        ),
        ("u", "0:0", "No topic of these filters belongs to a stream"),
    ] {
        let (reason, why) = refused(&mut client, filter, place);
        assert_eq!(reason, Reason::IMPLEMENTATION_SPECIFIC.0, "{place}");
        let why = why.expect("words");
        assert!(why.contains(words), "{place}: {why}");
    }
    assert_eq!(client.publish("s/1", b"still live"), Reason::SUCCESS);
    assert_eq!(next(&mut client), (None, "still live".to_owned()));
}

#[test]
fn offsets_of_several_streams_name_them() {
    let settings = "[[stream]]\nname = \"s\"\nfilters = [\"s/#\"]\npartitions = 1\n\
        [[stream]]\nname = \"t\"\nfilters = [\"t/#\"]\npartitions = 1\n";
    let broker = Broker::start(settings, 1);
    let mut publisher = broker.connected(Version::V5, "p");
    for topic in ["s/x", "t/x", "s/y", "t/y"] {
        publish_all(&mut publisher, topic, [topic.to_owned()]);
    }
    let mut client = broker.connected(Version::V5, "c");
    subscribe_from(&mut client, "+/+", "s/0:1,t/0:1");
    let mut got = payloads(&mut client, 2);
    got.sort();
    assert_eq!(got, ["s/y", "t/y"]);
    let mut client = broker.connected(Version::V5, "d");
    subscribe_from(&mut client, "+/+", "s/0:2");
    assert_eq!(
        payloads(&mut client, 2),
        ["t/x", "t/y"],
        "what is not named begins at 0"
    );
}

#[test]
fn offsets_are_told_live_and_nobody_else_says_them() {
    let broker = Broker::start(ONE_PARTITION, 1);
    let mut telling = broker.connected(Version::V5, "c");
    let mut properties = PropertyBuf::new();
    properties.push_user("offsets", "").expect("short");
    assert_eq!(
        telling.subscribe_with(&[("a", QOS_1)], properties.view()),
        [1]
    );
    let mut plain = broker.connected(Version::V5, "d");
    plain.subscribe("a", Qos::AtLeastOnce);
    let mut publisher = broker.connected(Version::V5, "p");
    let mut forged = PropertyBuf::new();
    forged.push_user("k", "v").expect("short");
    forged.push_user("hw-offset", "s/0/7").expect("short");
    publisher.send(&Packet::Publish(Publish {
        properties: forged.view(),
        ..publish("a", b"x")
    }));
    let received = telling.expect();
    let user: Vec<_> = received.publish().properties.user().collect();
    assert_eq!(user, [("hw-offset", "s/0/0"), ("k", "v")]);
    assert_eq!(next(&mut plain).0.as_deref(), Some("s/0/7"));
}

#[test]
fn a_slow_replay_is_whole_and_holds_up_nothing_live() {
    let broker = Broker::start(ONE_PARTITION, 1);
    let mut publisher = broker.connected(Version::V5, "p");
    publish_all(&mut publisher, "old", texts(0..100));
    let mut receive_max = PropertyBuf::new();
    receive_max
        .push(Id::ReceiveMaximum, Value::Short(3))
        .unwrap();
    let mut client = broker.client();
    client.connect(&Connect {
        properties: receive_max.view(),
        ..connect(Version::V5)
    });
    client.subscribe("live", Qos::AtMostOnce);
    subscribe_from(&mut client, "old", "earliest");
    let unacknowledged: Vec<_> = (0..3).map(|_| client.expect()).collect();
    publish_all(&mut publisher, "live", ["now".to_owned()]);
    let received = client.expect();
    assert_eq!(received.publish().payload, b"now", "beside the replay");
    publish_all(&mut publisher, "old", texts(100..110));
    unacknowledged
        .iter()
        .for_each(|received| acknowledge(&mut client, received));
    assert_eq!(payloads(&mut client, 107), texts(3..110));
    publish_all(&mut publisher, "old", texts(110..111));
    assert_eq!(payloads(&mut client, 1), ["110"]);
}

#[test]
fn more_than_memory_keeps_is_replayed_from_the_disk() {
    let broker = Broker::start("", 2);
    let mut publisher = broker.connected(Version::V5, "p");
    let large = "x".repeat(100_000);
    publish_all(
        &mut publisher,
        "a",
        (0..300).map(|n| format!("{n} {large}")),
    );
    let mut client = broker.connected(Version::V5, "c");
    subscribe_from(&mut client, "a", "earliest");
    for number in 0..300 {
        let (_, payload) = next(&mut client);
        assert_eq!(
            payload.split_once(' ').map(|(n, _)| n.to_owned()),
            Some(number.to_string())
        );
    }
}

#[test]
fn a_filter_has_one_subscription_whichever_way_it_is_asked_for() {
    let broker = Broker::start(ONE_PARTITION, 1);
    let mut publisher = broker.connected(Version::V5, "p");
    publish_all(&mut publisher, "a", texts(0..3));
    let mut client = broker.connected(Version::V5, "c");
    client.subscribe("a", Qos::AtLeastOnce);
    subscribe_from(&mut client, "a", "0:1");
    assert_eq!(payloads(&mut client, 2), texts(1..3));
    publish_all(&mut publisher, "a", texts(3..4));
    assert_eq!(payloads(&mut client, 1), texts(3..4));
    client.subscribe("a", Qos::AtLeastOnce);
    publish_all(&mut publisher, "a", texts(4..5));
    assert_eq!(next(&mut client), (None, "4".to_owned()));
    subscribe_from(&mut client, "a", "0:5");
    let mut filters = TopicBuf::default();
    filters.push("a").unwrap();
    client.send(&Packet::Unsubscribe(Unsubscribe {
        packet_id: 9,
        properties: Properties::NONE,
        filters: filters.view(),
    }));
    match client.expect().packet() {
        Packet::UnsubAck(unsuback) => assert_eq!(unsuback.reasons, [0]),
        other => panic!("{other:?}"),
    }
    publish_all(&mut publisher, "a", texts(5..6));
    client.send(&Packet::PingReq);
    assert_eq!(client.expect().packet(), Packet::PingResp);
}

#[test]
fn several_replays_of_a_client_are_served_each_in_order() {
    let broker = Broker::start("", 2);
    let mut publisher = broker.connected(Version::V5, "p");
    for number in 0..200 {
        let topic = if number % 2 == 0 { "even" } else { "odd" };
        publish_all(&mut publisher, topic, [number.to_string()]);
    }
    let mut client = broker.connected(Version::V5, "c");
    for filter in ["even", "odd"] {
        client.send_subscribe(&[(filter, QOS_1)], from("earliest").view());
    }
    let mut got: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut granted = 0;
    while granted < 2 || got.values().map(Vec::len).sum::<usize>() < 200 {
        let received = client.expect();
        if matches!(received.packet(), Packet::SubAck(_)) {
            granted += 1;
            continue;
        }
        acknowledge(&mut client, &received);
        let text = std::str::from_utf8(received.publish().payload).expect("text");
        let number: u32 = text.parse().expect("a number");
        got.entry(number % 2).or_default().push(number);
    }
    assert_eq!(got[&0], (0..200).step_by(2).collect::<Vec<_>>());
    assert_eq!(got[&1], (1..200).step_by(2).collect::<Vec<_>>());
}
