use headwater_mqtt::{
    Ack, Connect, Id, Options, Packet, Properties, PropertyBuf, Publish, Qos, Reason, TopicBuf,
    Unsubscribe, Value, Version,
};

use super::harness::{Broker, Client, connect, publish};

/// The number that a payload of [`numbered`] holds.
fn number(publish: &Publish<'_>) -> u32 {
    u32::from_be_bytes(*publish.payload.first_chunk().expect("a number"))
}

fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(size, 0x55);
    payload
}

/// Publishes numbers with a window of 50, as QoS 1.
fn publish_numbers(client: &mut Client, topic: &str, count: u32, size: usize) {
    let mut answered = 0;
    for sent in 0..count {
        let packet_id = Some(u16::try_from(sent % 60_000 + 1).unwrap());
        let payload = numbered(sent, size);
        client.send(&Packet::Publish(Publish {
            packet_id,
            ..publish(topic, &payload)
        }));
        while sent - answered >= 50 {
            assert_eq!(client.expect().puback().1, Reason::SUCCESS);
            answered += 1;
        }
    }
    while answered < count {
        assert_eq!(client.expect().puback().1, Reason::SUCCESS);
        answered += 1;
    }
}

#[test]
fn both_versions_get_what_either_publishes_with_the_lower_qos() {
    let broker = Broker::start("", 2);
    let mut new = broker.connected(Version::V5, "new");
    let mut old = broker.connected(Version::V311, "old");
    new.subscribe("+/b", Qos::AtLeastOnce);
    old.subscribe("a/#", Qos::AtMostOnce);
    let mut publisher = broker.connected(Version::V5, "p");
    assert_eq!(publisher.publish("a/b", b"one"), Reason::SUCCESS);
    let at_most_once = Publish {
        qos: Qos::AtMostOnce,
        packet_id: None,
        ..publish("a/b", b"two")
    };
    publisher.send(&Packet::Publish(at_most_once));
    for (client, qos) in [(&mut new, Qos::AtLeastOnce), (&mut old, Qos::AtMostOnce)] {
        let (one, two) = (client.expect(), client.expect());
        let (one, two) = (one.publish(), two.publish());
        assert_eq!((one.topic, one.payload, one.qos), ("a/b", &b"one"[..], qos));
        assert_eq!((two.payload, two.qos), (&b"two"[..], Qos::AtMostOnce));
    }
}

#[test]
fn who_acknowledges_nothing_holds_no_memory_of_what_it_does_not_get() {
    let broker = Broker::start("", 1);
    let mut one = PropertyBuf::new();
    one.push(Id::ReceiveMaximum, Value::Short(1)).unwrap();
    let mut silent = broker.client();
    silent.connect(&Connect {
        client_id: "silent",
        properties: one.view(),
        ..connect(Version::V5)
    });
    silent.subscribe("#", Qos::AtLeastOnce);
    let mut publisher = broker.connected(Version::V5, "p");
    // Before the last is answered, the one before it has been given out.
    for _ in 0..3 {
        let outcome = publisher.publish("a", &numbered(0, 10_000));
        assert_eq!(outcome, Reason::SUCCESS);
    }
    assert_eq!(number(&silent.expect().publish()), 0);
    let mut all = broker.door.limits.reserve_answer();
    assert!(all.grow_to(32 << 20), "somebody holds some of it");
}

#[test]
fn options_of_a_subscription_are_kept() {
    let broker = Broker::start("", 1);
    let mut client = broker.connected(Version::V5, "c");
    let mut id = PropertyBuf::new();
    id.push(Id::SubscriptionId, Value::Var(300)).unwrap();
    let no_local = Options {
        qos: Qos::ExactlyOnce,
        no_local: true,
        ..Options::default()
    };
    assert_eq!(client.subscribe_with(&[("#", no_local)], id.view()), [1]);
    let mut other = broker.connected(Version::V311, "other");
    assert_eq!(client.publish("a", b"own"), Reason::SUCCESS);
    other.send(&Packet::Publish(Publish {
        retain: true,
        ..publish("a", b"foreign")
    }));
    let received = client.expect();
    assert_eq!(received.publish().payload, b"foreign");
    assert_eq!(
        received.publish().properties.int(Id::SubscriptionId),
        Some(300)
    );
    assert!(!received.publish().retain);
    id.clear();
    id.push(Id::SubscriptionId, Value::Var(4)).unwrap();
    let as_published = Options {
        retain_as_published: true,
        ..Options::default()
    };
    assert_eq!(
        client.subscribe_with(&[("a", as_published)], id.view()),
        [0]
    );
    other.send(&Packet::Publish(Publish {
        retain: true,
        ..publish("a", b"again")
    }));
    let received = client.expect();
    let publish = received.publish();
    assert_eq!(
        (publish.retain, publish.qos),
        (true, Qos::AtLeastOnce),
        "both, put together"
    );
    let ids = publish
        .properties
        .iter()
        .filter(|property| property.id == Id::SubscriptionId);
    assert_eq!(ids.count(), 2);
}

#[test]
fn filters_that_are_not_served_are_refused_one_by_one() {
    let broker = Broker::start("", 1);
    let mut client = broker.connected(Version::V5, "c");
    let options = Options::default();
    let deep = ["a"; 200].join("/");
    let filters = [
        ("a", options),
        ("$share/g/a", options),
        (deep.as_str(), options),
    ];
    assert_eq!(
        client.subscribe_with(&filters, Properties::NONE),
        [0, 0x9e, 0x8f]
    );
    let mut old = broker.connected(Version::V311, "old");
    assert_eq!(
        old.subscribe_with(&[(deep.as_str(), options)], Properties::NONE),
        [0x80]
    );
}

#[test]
fn nothing_comes_after_an_unsubscribe() {
    let broker = Broker::start("", 1);
    let mut client = broker.connected(Version::V5, "c");
    client.subscribe("a", Qos::AtMostOnce);
    let mut filters = TopicBuf::default();
    ["a", "b"]
        .iter()
        .for_each(|filter| filters.push(filter).unwrap());
    let properties = Properties::NONE;
    let packet = Unsubscribe {
        packet_id: 9,
        properties,
        filters: filters.view(),
    };
    client.send(&Packet::Unsubscribe(packet));
    match client.expect().packet() {
        Packet::UnsubAck(unsuback) => assert_eq!(unsuback.reasons, [0x00, 0x11]),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.publish("a", b"x"), Reason::SUCCESS);
    client.send(&Packet::PingReq);
    assert_eq!(client.expect().packet(), Packet::PingResp);
}

#[test]
fn what_was_committed_before_a_subscription_is_none_of_its_business() {
    let broker = Broker::start("", 2);
    let mut publisher = broker.connected(Version::V5, "p");
    for round in 0..50 {
        let mut client = broker.connected(Version::V5, "c");
        assert_eq!(
            publisher.publish("a", &numbered(2 * round, 4)),
            Reason::SUCCESS
        );
        client.subscribe("a", Qos::AtMostOnce);
        assert_eq!(
            publisher.publish("a", &numbered(2 * round + 1, 4)),
            Reason::SUCCESS
        );
        assert_eq!(number(&client.expect().publish()), 2 * round + 1);
    }
}

#[test]
fn a_client_that_acknowledges_little_gets_everything_in_order() {
    let broker = Broker::start("", 1);
    let mut receive_max = PropertyBuf::new();
    receive_max
        .push(Id::ReceiveMaximum, Value::Short(3))
        .unwrap();
    let mut slow = broker.client();
    slow.connect(&Connect {
        properties: receive_max.view(),
        ..connect(Version::V5)
    });
    slow.subscribe("a", Qos::AtLeastOnce);
    let mut publisher = broker.connected(Version::V5, "p");
    publish_numbers(&mut publisher, "a", 400, 20);
    let mut open = std::collections::VecDeque::new();
    for expected in 0..400 {
        let received = slow.expect();
        let publish = received.publish();
        assert_eq!(number(&publish), expected);
        open.push_back(publish.packet_id.expect("QoS 1"));
        assert!(open.len() <= 3, "Receive Maximum is 3");
        if open.len() == 3 {
            open.drain(..)
                .for_each(|id| slow.send(&Packet::PubAck(Ack::success(id))));
        }
    }
    open.drain(..)
        .for_each(|id| slow.send(&Packet::PubAck(Ack::success(id))));
    publish_numbers(&mut publisher, "a", 1, 20);
    assert_eq!(number(&slow.expect().publish()), 0, "live again");
}

#[test]
fn a_client_that_does_not_read_costs_nothing_and_misses_nothing() {
    let broker = Broker::start("", 2);
    let mut slow = broker.connected(Version::V311, "slow");
    slow.subscribe("#", Qos::AtMostOnce);
    let mut quick = broker.connected(Version::V311, "quick");
    quick.subscribe("other", Qos::AtMostOnce);
    let mut publisher = broker.connected(Version::V5, "p");
    // More than the socket's buffers and the ring of recent commits hold.
    publish_numbers(&mut publisher, "a", 1500, 20_000);
    assert_eq!(publisher.publish("other", b"x"), Reason::SUCCESS);
    assert_eq!(
        quick.expect().publish().payload,
        b"x",
        "others are served meanwhile"
    );
    for expected in 0..1500 {
        let received = slow.expect();
        assert_eq!(number(&received.publish()), expected);
        assert_eq!(received.publish().payload.len(), 20_000);
    }
    assert_eq!(slow.expect().publish().topic, "other");
    assert_eq!(publisher.publish("last", b"y"), Reason::SUCCESS);
    assert_eq!(slow.expect().publish().topic, "last");
}

#[test]
fn a_subscription_made_while_lagging_begins_now() {
    let broker = Broker::start("", 1);
    let mut receive_max = PropertyBuf::new();
    receive_max
        .push(Id::ReceiveMaximum, Value::Short(1))
        .unwrap();
    let mut slow = broker.client();
    slow.connect(&Connect {
        properties: receive_max.view(),
        ..connect(Version::V5)
    });
    slow.subscribe("a", Qos::AtLeastOnce);
    let mut publisher = broker.connected(Version::V5, "p");
    for topic in ["a", "a", "b", "a"] {
        assert_eq!(publisher.publish(topic, b"before"), Reason::SUCCESS);
    }
    let first = slow.expect();
    slow.subscribe("b", Qos::AtMostOnce);
    assert_eq!(publisher.publish("b", b"after"), Reason::SUCCESS);
    let mut topics = vec![first.publish().topic.to_owned()];
    let mut last = first.publish().packet_id;
    while topics.len() < 4 {
        last.into_iter()
            .for_each(|id| slow.send(&Packet::PubAck(Ack::success(id))));
        let received = slow.expect();
        last = received.publish().packet_id;
        topics.push(received.publish().topic.to_owned());
    }
    assert_eq!(topics, ["a", "a", "a", "b"]);
}

#[test]
fn what_is_too_large_for_a_client_is_passed_over() {
    let broker = Broker::start("", 1);
    let mut size = PropertyBuf::new();
    size.push(Id::MaximumPacketSize, Value::Int(100)).unwrap();
    let mut small = broker.client();
    small.connect(&Connect {
        properties: size.view(),
        ..connect(Version::V5)
    });
    small.subscribe("a", Qos::AtLeastOnce);
    let mut publisher = broker.connected(Version::V5, "p");
    assert_eq!(publisher.publish("a", &[0; 200]), Reason::SUCCESS);
    assert_eq!(publisher.publish("a", b"small"), Reason::SUCCESS);
    assert_eq!(small.expect().publish().payload, b"small");
}
