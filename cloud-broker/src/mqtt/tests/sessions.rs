use headwater_mqtt::{
    Connect, Disconnect, Id, Packet, PropertyBuf, Publish, Qos, Reason, Value, Version, Will,
};

use super::harness::{Broker, connect, publish};

#[test]
fn a_client_id_has_one_connection_on_whatever_core() {
    let broker = Broker::start("", 2);
    let mut clients: Vec<_> = (0..6).map(|_| broker.client()).collect();
    let (last, earlier) = clients.split_last_mut().expect("several");
    for client in earlier.iter_mut() {
        client.connect(&connect(Version::V5));
        // The one before has been told, or will be: its end is awaited below.
    }
    last.connect(&connect(Version::V5));
    for client in earlier {
        assert_eq!(client.expect().disconnect(), Reason::SESSION_TAKEN_OVER);
        client.expect_end();
    }
    assert_eq!(last.publish("a", b"still here"), Reason::SUCCESS);
}

#[test]
fn an_old_client_that_is_taken_over_is_just_cut() {
    let broker = Broker::start("", 1);
    let mut first = broker.connected(Version::V311, "c");
    let mut second = broker.connected(Version::V311, "c");
    first.expect_end();
    assert_eq!(second.publish("a", b"x"), Reason::SUCCESS);
}

#[test]
fn a_connection_begins_with_one_connect() {
    let broker = Broker::start("", 1);
    let mut client = broker.client();
    client.send(&Packet::PingReq);
    client.expect_end();
    let mut client = broker.connected(Version::V5, "c");
    client.send(&Packet::Connect(connect(Version::V5)));
    assert_eq!(client.expect().disconnect(), Reason::PROTOCOL_ERROR);
    client.expect_end();
}

#[test]
fn unknown_versions_are_told_so() {
    let broker = Broker::start("", 1);
    let mut client = broker.client();
    client.send_bytes(b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0");
    client.expect_end_after(b"\x20\x02\0\x01");
}

#[test]
fn what_3_1_1_cannot_refuse_ends_the_connection() {
    let broker = Broker::start("[[stream]]\nname = \"s\"\nfilters = [\"a/#\"]\n", 1);
    let exactly_once = Publish {
        qos: Qos::ExactlyOnce,
        ..publish("a", b"x")
    };
    let unrouted = publish("b", b"x");
    let uplink = publish("$hw/1/status", b"{}");
    for bad in [exactly_once, unrouted, uplink] {
        let mut client = broker.connected(Version::V311, "c");
        let retained = Publish {
            retain: true,
            ..publish("a", b"x")
        };
        client.send(&Packet::Publish(retained));
        assert_eq!(
            client.expect().puback().1,
            Reason::SUCCESS,
            "the flag is kept"
        );
        client.send(&Packet::Publish(bad));
        client.expect_end();
    }
    assert_eq!(broker.door.metrics.unrouted.value(), 1);
}

#[test]
fn version_5_says_why() {
    let broker = Broker::start("[[stream]]\nname = \"s\"\nfilters = [\"a/#\"]\n", 1);
    let mut alias = PropertyBuf::new();
    alias.push(Id::TopicAlias, Value::Short(17)).unwrap();
    let mut unknown = PropertyBuf::new();
    unknown.push(Id::TopicAlias, Value::Short(3)).unwrap();
    let good = publish("a", b"x");
    for (bad, reason) in [
        (
            Publish {
                qos: Qos::ExactlyOnce,
                ..good
            },
            Reason::QOS_NOT_SUPPORTED,
        ),
        (
            Publish {
                retain: true,
                ..good
            },
            Reason::RETAIN_NOT_SUPPORTED,
        ),
        (
            Publish {
                properties: alias.view(),
                ..good
            },
            Reason::TOPIC_ALIAS_INVALID,
        ),
        (
            Publish {
                topic: "",
                properties: unknown.view(),
                ..good
            },
            Reason::PROTOCOL_ERROR,
        ),
    ] {
        let mut client = broker.connected(Version::V5, "c");
        client.send(&Packet::Publish(bad));
        assert_eq!(client.expect().disconnect(), reason);
        client.expect_end();
    }
    let mut client = broker.connected(Version::V5, "c");
    assert_eq!(client.publish("b", b"x"), Reason::TOPIC_NAME_INVALID);
    assert_eq!(
        client.publish("a", b"x"),
        Reason::SUCCESS,
        "a refusal ends nothing"
    );
}

#[test]
fn an_alias_stands_for_its_topic() {
    let broker = Broker::start("", 1);
    let mut client = broker.connected(Version::V5, "c");
    client.subscribe("#", Qos::AtMostOnce);
    let mut alias = PropertyBuf::new();
    alias.push(Id::TopicAlias, Value::Short(16)).unwrap();
    for topic in ["first", "", "second", ""] {
        let properties = alias.view();
        client.send(&Packet::Publish(Publish {
            properties,
            ..publish(topic, b"x")
        }));
    }
    let mut topics = Vec::new();
    while topics.len() < 4 {
        let received = client.expect();
        if let Packet::Publish(publish) = received.packet() {
            topics.push(publish.topic.to_owned());
        }
    }
    assert_eq!(topics, ["first", "first", "second", "second"]);
}

#[test]
fn a_will_is_published_when_nobody_said_goodbye() {
    let broker = Broker::start("", 2);
    let mut watcher = broker.connected(Version::V5, "watcher");
    watcher.subscribe("will/#", Qos::AtLeastOnce);
    let mut properties = PropertyBuf::new();
    properties.push(Id::WillDelay, Value::Int(3600)).unwrap();
    properties.push_user("k", "v").unwrap();
    let will = |topic| Will {
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: properties.view(),
        topic,
        payload: b"gone",
    };
    let connected = |topic, client_id| {
        let mut client = broker.client();
        let will = Some(will(topic));
        client.connect(&Connect {
            will,
            client_id,
            ..connect(Version::V5)
        });
        client
    };
    let mut polite = connected("will/polite", "a");
    polite.send(&Packet::Disconnect(Disconnect::new(Reason::SUCCESS)));
    polite.expect_end();
    let mut wishing = connected("will/wishing", "b");
    wishing.send(&Packet::Disconnect(Disconnect::new(
        Reason::DISCONNECT_WITH_WILL,
    )));
    let received = watcher.expect();
    assert_eq!(received.publish().topic, "will/wishing");
    assert_eq!(
        received.publish().properties.user().collect::<Vec<_>>(),
        [("k", "v")]
    );
    drop(connected("will/cut", "c"));
    assert_eq!(watcher.expect().publish().topic, "will/cut");
    let _taken_over = connected("will/taken", "d");
    let _taker = broker.connected(Version::V5, "d");
    assert_eq!(watcher.expect().publish().topic, "will/taken");
}

#[test]
fn a_stop_answers_what_was_taken_and_says_goodbye() {
    let mut broker = Broker::start("", 2);
    let mut client = broker.connected(Version::V5, "c");
    for packet_id in 1..=500 {
        let publish = Publish {
            packet_id: Some(packet_id),
            ..publish("a", b"x")
        };
        client.send(&Packet::Publish(publish));
    }
    // The first answer shows that the broker has begun to read.
    assert_eq!(client.expect().puback().0, 1);
    broker.stop();
    let mut last = 1;
    loop {
        let received = client.expect();
        match received.packet() {
            Packet::PubAck(ack) => {
                last += 1;
                assert_eq!((ack.packet_id, ack.reason), (last, Reason::SUCCESS));
            }
            _ => break assert_eq!(received.disconnect(), Reason::SERVER_SHUTTING_DOWN),
        }
    }
    client.expect_end();
    let taken = broker
        .door
        .metrics
        .records_in
        .of(crate::metrics::DoorName::Mqtt)
        .value();
    assert_eq!(taken, u64::from(last), "what was taken was answered");
}
