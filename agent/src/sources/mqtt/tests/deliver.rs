//! Subscriptions, deliveries and wills.

use headwater_mqtt::{
    Ack, Connect, Disconnect, FilterBuf, Options, Packet, Properties, Publish, Qos, Reason,
    Subscribe, Will,
};

use super::*;

#[tokio::test]
async fn subscribers_get_what_others_publish() {
    let agent = Agent::start(Limits::default()).await;
    let mut subscriber = agent.client(V5, "subscriber").await;
    let mut filters = FilterBuf::default();
    filters
        .push(
            "a/+",
            Options {
                qos: Qos::ExactlyOnce,
                ..Options::default()
            },
        )
        .unwrap();
    filters.push("$share/g/a", Options::default()).unwrap();
    subscriber
        .send(&Packet::Subscribe(Subscribe {
            packet_id: 9,
            properties: Properties::NONE,
            filters: filters.view(),
        }))
        .await;
    let granted = [Reason::GRANTED_QOS_1.0, Reason::SHARED_NOT_SUPPORTED.0];
    subscriber
        .expect(|packet| matches!(packet, Packet::SubAck(ack) if ack.reasons == granted))
        .await;

    let mut publisher = agent.client(V311, "publisher").await;
    publisher.put(&Packet::Publish(publish("a/b", 1)));
    publisher.put(&Packet::Publish(publish("other", 2)));
    publisher.put(&Packet::Publish(publish("a/c", 0)));
    publisher.flush().await;
    let delivered = |packet: &Packet<'_>, topic, id| {
        matches!(packet, Packet::Publish(publish)
            if publish.topic == topic && publish.packet_id == id && publish.payload == b"21.5")
    };
    subscriber
        .expect(|packet| delivered(packet, "a/b", Some(1)))
        .await;
    subscriber.send(&Packet::PubAck(Ack::success(1))).await;
    subscriber
        .expect(|packet| delivered(packet, "a/c", None))
        .await;
}

#[tokio::test]
async fn a_slow_subscriber_never_holds_the_intake() {
    let limits = Limits {
        mailbox_bytes_max: 1_000,
        ..Limits::default()
    };
    let agent = Agent::start(limits).await;
    let mut slow = agent.client(V5, "slow").await;
    let mut filters = FilterBuf::default();
    filters
        .push(
            "#",
            Options {
                qos: Qos::AtLeastOnce,
                ..Options::default()
            },
        )
        .unwrap();
    let (packet_id, properties) = (1, Properties::NONE);
    slow.send(&Packet::Subscribe(Subscribe {
        packet_id,
        properties,
        filters: filters.view(),
    }))
    .await;
    slow.expect(|packet| matches!(packet, Packet::SubAck(_)))
        .await;
    // It acknowledges nothing, so its window fills, then its mailbox.
    let mut publisher = agent.client(V5, "publisher").await;
    let payload = [b'x'; 500];
    for id in 1..=200 {
        publisher.put(&Packet::Publish(Publish {
            payload: &payload,
            ..publish("a", id)
        }));
    }
    publisher.flush().await;
    for id in 1..=200 {
        publisher
            .expect(|packet| is_ack(packet, id, Reason::SUCCESS))
            .await;
    }
    assert_eq!(agent.logged().await, 200);
}

#[tokio::test]
async fn a_will_is_published_unless_the_client_says_goodbye() {
    let agent = Agent::start(Limits::default()).await;
    let will = Will {
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: Properties::NONE,
        topic: "gone",
        payload: b"x",
    };
    let mut watcher = agent.client(V5, "watcher").await;
    let mut filters = FilterBuf::default();
    filters.push("gone", Options::default()).unwrap();
    let (packet_id, properties) = (1, Properties::NONE);
    watcher
        .send(&Packet::Subscribe(Subscribe {
            packet_id,
            properties,
            filters: filters.view(),
        }))
        .await;
    watcher
        .expect(|packet| matches!(packet, Packet::SubAck(_)))
        .await;
    for polite in [true, false] {
        let mut client = Client::dial(agent.address, V5).await;
        client
            .send(&Packet::Connect(Connect {
                will: Some(will),
                ..connect(V5, "c")
            }))
            .await;
        client
            .expect(|packet| matches!(packet, Packet::ConnAck(_)))
            .await;
        if polite {
            client
                .send(&Packet::Disconnect(Disconnect::new(Reason::SUCCESS)))
                .await;
            client.expect_end().await;
            assert_eq!(agent.logged().await, 0);
        }
    }
    watcher
        .expect(|packet| matches!(packet, Packet::Publish(will) if will.topic == "gone"))
        .await;
    assert_eq!(agent.logged().await, 1);
}
