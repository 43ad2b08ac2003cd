//! The door by raw packets.

mod client;
mod deliver;
mod lines;

use std::net::SocketAddr;
use std::time::Duration;

use headwater_mqtt::{
    Connect, Id, Packet, Properties, PropertyBuf, Publish, Qos, Reason, Value, Version,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::config::SourceSettings;
use crate::log::{Log, LogOptions, Use};
use crate::sources::Stopping;
use crate::status::Changes;
use client::{Client, connect};

use Version::{V5, V311};

struct Agent {
    log: Log,
    intake: Intake,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Agent {
    async fn start(limits: Limits) -> Self {
        Self::start_with(limits, |_| {}).await
    }

    async fn start_with(limits: Limits, set: impl FnOnce(&mut LogOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = LogOptions::new(dir.path(), "gw-1");
        set(&mut options);
        let log = Log::open(options).unwrap();
        let (stop, stopping) = Stopping::new();
        let settings = SourceSettings {
            kind: "mqtt".to_owned(),
            ..SourceSettings::default()
        };
        let intake = Intake::new(&settings, log.clone(), Changes::default(), stopping).unwrap();
        let opened = open(intake.clone(), "127.0.0.1:0", limits).await.unwrap();
        let (address, task) = (opened.listen.unwrap(), tokio::spawn(opened.task));
        Self {
            log,
            intake,
            address,
            stop,
            task,
            _dir: dir,
        }
    }

    async fn client(&self, version: Version, id: &str) -> Client {
        let mut client = Client::dial(self.address, version).await;
        client.send(&Packet::Connect(connect(version, id))).await;
        client
            .expect(
                |packet| matches!(packet, Packet::ConnAck(ack) if ack.reason == Reason::SUCCESS),
            )
            .await;
        client
    }

    /// Events that the source has counted as durable.
    fn events(&self) -> u64 {
        self.intake.view().events
    }

    /// Events that the log holds; asked of its thread, so that nothing before is missed.
    async fn logged(&self) -> u64 {
        let status = self.log.status().await;
        status.lanes.first().map_or(0, |lane| lane.next.0)
    }
}

fn publish(topic: &str, id: u16) -> Publish<'_> {
    Publish {
        dup: false,
        qos: if id == 0 {
            Qos::AtMostOnce
        } else {
            Qos::AtLeastOnce
        },
        retain: false,
        topic,
        packet_id: (id != 0).then_some(id),
        properties: Properties::NONE,
        payload: b"21.5",
    }
}

fn is_ack(packet: &Packet<'_>, id: u16, reason: Reason) -> bool {
    matches!(packet, Packet::PubAck(ack) if ack.packet_id == id && ack.reason == reason)
}

fn is_end(packet: &Packet<'_>, reason: Reason) -> bool {
    matches!(packet, Packet::Disconnect(end) if end.reason == reason)
}

#[tokio::test]
async fn publishes_are_answered_in_order_when_they_are_in_the_log() {
    let agent = Agent::start(Limits::default()).await;
    for version in [V311, V5] {
        let mut client = agent.client(version, "c").await;
        let before = agent.logged().await;
        for id in [3, 1, 2] {
            client.put(&Packet::Publish(publish("a/b", id)));
        }
        client.flush().await;
        for id in [3, 1, 2] {
            client
                .expect(|packet| is_ack(packet, id, Reason::SUCCESS))
                .await;
        }
        assert_eq!(agent.logged().await, before + 3);
    }
    assert_eq!(agent.events(), 6);
}

#[tokio::test]
async fn the_connack_says_what_is_possible() {
    let agent = Agent::start(Limits::default()).await;
    let mut client = Client::dial(agent.address, V5).await;
    client.send(&Packet::Connect(connect(V5, ""))).await;
    let said = |packet: &Packet<'_>| {
        let Packet::ConnAck(ack) = packet else {
            return false;
        };
        let properties = ack.properties;
        properties.byte(Id::MaximumQos) == Some(1)
            && properties.byte(Id::RetainAvailable) == Some(0)
            && properties.int(Id::MaximumPacketSize) == Some(240_000)
            && properties.text(Id::AssignedClientId).is_some()
    };
    client.expect(said).await;

    let mut old = Client::dial(agent.address, V311).await;
    let nameless = Connect {
        clean_start: false,
        ..connect(V311, "")
    };
    old.send(&Packet::Connect(nameless)).await;
    old.expect(|packet| matches!(packet, Packet::ConnAck(ack) if ack.reason.0 == 2))
        .await;
    old.expect_end().await;
}

#[tokio::test]
async fn reserved_topics_are_refused_in_their_turn() {
    let agent = Agent::start(Limits::default()).await;
    let mut client = agent.client(V5, "c").await;
    for (id, topic) in [(1, "a"), (2, "cmd/x"), (3, "$hw/1/status"), (4, "b")] {
        client.put(&Packet::Publish(publish(topic, id)));
    }
    client.flush().await;
    for (id, reason) in [
        (1, Reason::SUCCESS),
        (2, Reason::NOT_AUTHORIZED),
        (3, Reason::NOT_AUTHORIZED),
        (4, Reason::SUCCESS),
    ] {
        client.expect(|packet| is_ack(packet, id, reason)).await;
    }
    assert_eq!((agent.events(), agent.intake.view().rejected), (2, 2));

    let mut old = agent.client(V311, "old").await;
    old.put(&Packet::Publish(publish("a", 1)));
    old.put(&Packet::Publish(publish("cmd/x", 2)));
    old.put(&Packet::Publish(publish("cmd/y", 0)));
    old.put(&Packet::Publish(publish("b", 3)));
    old.flush().await;
    for id in 1..=3 {
        old.expect(|packet| is_ack(packet, id, Reason::SUCCESS))
            .await;
    }
    client.send(&Packet::Publish(publish("cmd/z", 0))).await;
    while agent.intake.view().rejected < 5 {
        tokio::task::yield_now().await;
    }
    // Whoever cannot be told finds its message in `rejected`.
    let lanes = agent.log.status().await.lanes;
    let next = |stream: &str| {
        let lane = lanes.iter().find(|lane| &*lane.name.stream == stream);
        lane.map(|lane| lane.next.0)
    };
    assert_eq!((next("events"), next("rejected")), (Some(4), Some(3)));
    assert_eq!((agent.events(), agent.intake.view().rejected), (4, 5));
}

#[tokio::test]
async fn what_is_not_supported_ends_its_own_connection_alone() {
    let agent = Agent::start(Limits::default()).await;
    let mut other = agent.client(V311, "other").await;
    let twice = Publish {
        qos: Qos::ExactlyOnce,
        ..publish("a", 1)
    };
    let retained = Publish {
        retain: true,
        ..publish("a", 1)
    };
    let mut alias = PropertyBuf::new();
    alias.push(Id::TopicAlias, Value::Short(1)).unwrap();
    let aliased = Publish {
        properties: alias.view(),
        ..publish("a", 1)
    };
    for (packet, reason) in [
        (twice, Reason::QOS_NOT_SUPPORTED),
        (retained, Reason::RETAIN_NOT_SUPPORTED),
        (aliased, Reason::TOPIC_ALIAS_INVALID),
    ] {
        let mut client = agent.client(V5, "c").await;
        client.send(&Packet::Publish(packet)).await;
        client.expect(|packet| is_end(packet, reason)).await;
        client.expect_end().await;
    }
    let mut old = agent.client(V311, "c").await;
    old.send(&Packet::Publish(twice)).await;
    old.expect_end().await;
    assert_eq!(agent.logged().await, 0);
    other.send(&Packet::PingReq).await;
    other
        .expect(|packet| matches!(packet, Packet::PingResp))
        .await;
}

#[tokio::test]
async fn a_hostile_length_costs_its_own_connection() {
    let agent = Agent::start(Limits::default()).await;
    let mut other = agent.client(V311, "other").await;
    for version in [V311, V5] {
        let mut client = agent.client(version, "c").await;
        client.send_bytes(&[0x32, 0xff, 0xff, 0xff, 0x7f]).await;
        if version == V5 {
            client
                .expect(|packet| is_end(packet, Reason::PACKET_TOO_LARGE))
                .await;
        }
        client.expect_end().await;
    }
    let mut stranger = Client::dial(agent.address, V5).await;
    stranger.send_bytes(&[0x10, 0xff, 0xff, 0x7f]).await;
    stranger.expect_end().await;
    other.send(&Packet::Publish(publish("a", 1))).await;
    other
        .expect(|packet| is_ack(packet, 1, Reason::SUCCESS))
        .await;
}

#[tokio::test]
async fn an_event_of_300_kb_is_refused_clearly() {
    let agent = Agent::start(Limits::default()).await;
    let payload = vec![b'x'; 300_000];
    let large = Publish {
        payload: &payload,
        ..publish("a", 1)
    };
    for version in [V311, V5] {
        let mut client = agent.client(version, "c").await;
        client.send(&Packet::Publish(large)).await;
        if version == V5 {
            client
                .expect(|packet| is_end(packet, Reason::PACKET_TOO_LARGE))
                .await;
        }
        client.expect_end().await;
    }
    // With its headers this one is larger than an event may be, although its packet is not.
    let payload = vec![b'x'; 239_990];
    let mut client = agent.client(V5, "c").await;
    client
        .send(&Packet::Publish(Publish {
            payload: &payload,
            ..publish("a", 1)
        }))
        .await;
    client
        .expect(|packet| is_ack(packet, 1, Reason::QUOTA_EXCEEDED))
        .await;
    assert_eq!(agent.logged().await, 0);
}

#[tokio::test]
async fn a_stranger_must_begin_with_connect() {
    let agent = Agent::start(Limits::default()).await;
    let mut stranger = Client::dial(agent.address, V311).await;
    stranger.send(&Packet::PingReq).await;
    stranger.expect_end().await;
    let mut old = Client::dial(agent.address, V311).await;
    old.send_bytes(b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00")
        .await;
    old.expect(|packet| matches!(packet, Packet::ConnAck(ack) if ack.reason.0 == 1))
        .await;
    old.expect_end().await;
    let mut again = agent.client(V5, "c").await;
    again.send(&Packet::Connect(connect(V5, "c"))).await;
    again
        .expect(|packet| is_end(packet, Reason::PROTOCOL_ERROR))
        .await;
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let limits = Limits {
        connect_timeout: Duration::from_millis(50),
        packet_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let agent = Agent::start(limits).await;
    Client::dial(agent.address, V311).await.expect_end().await;
    let mut half = agent.client(V5, "half").await;
    half.send_bytes(&[0x32, 0x40, 0x00]).await;
    half.expect(|packet| is_end(packet, Reason::UNSPECIFIED))
        .await;
    let mut quiet = Client::dial(agent.address, V5).await;
    quiet
        .send(&Packet::Connect(Connect {
            keep_alive: 1,
            ..connect(V5, "quiet")
        }))
        .await;
    quiet
        .expect(|packet| matches!(packet, Packet::ConnAck(_)))
        .await;
    quiet
        .expect(|packet| is_end(packet, Reason::KEEP_ALIVE_TIMEOUT))
        .await;
}

#[tokio::test]
async fn a_second_client_of_a_name_ends_the_first() {
    let agent = Agent::start(Limits::default()).await;
    let mut first = agent.client(V5, "same").await;
    let mut second = agent.client(V311, "same").await;
    first
        .expect(|packet| is_end(packet, Reason::SESSION_TAKEN_OVER))
        .await;
    second.send(&Packet::PingReq).await;
    second
        .expect(|packet| matches!(packet, Packet::PingResp))
        .await;
}

#[tokio::test]
async fn more_connections_than_the_limit_are_closed() {
    let agent = Agent::start(Limits {
        connections_max: 1,
        ..Limits::default()
    })
    .await;
    let _first = agent.client(V5, "first").await;
    Client::dial(agent.address, V5).await.expect_end().await;
}

#[tokio::test]
async fn a_spent_budget_only_slows_down() {
    let agent = Agent::start(Limits::default()).await;
    // Others hold all but a little of it, and give it back in the end.
    let held = agent.log.room().hold(Use::Queue, (320 << 10) - 1);
    let mut one = agent.client(V5, "one").await;
    let mut two = agent.client(V311, "two").await;
    for id in 1..=50 {
        one.put(&Packet::Publish(publish("a", id)));
        two.put(&Packet::Publish(publish("b", id)));
    }
    one.flush().await;
    two.flush().await;
    for id in 1..=50 {
        one.expect(|packet| is_ack(packet, id, Reason::SUCCESS))
            .await;
        two.expect(|packet| is_ack(packet, id, Reason::SUCCESS))
            .await;
    }
    drop(held);
}

#[tokio::test]
async fn stopping_answers_what_was_taken() {
    let agent = Agent::start(Limits::default()).await;
    let mut client = agent.client(V5, "c").await;
    client.send(&Packet::Publish(publish("a", 1))).await;
    client
        .expect(|packet| is_ack(packet, 1, Reason::SUCCESS))
        .await;
    agent.stop.send(true).unwrap();
    client
        .expect(|packet| is_end(packet, Reason::SERVER_SHUTTING_DOWN))
        .await;
    agent.task.await.unwrap();
}

#[tokio::test]
async fn a_log_that_takes_nothing_is_told_to_the_client() {
    let agent = Agent::start(Limits::default()).await;
    let mut client = agent.client(V5, "c").await;
    let mut old = agent.client(V311, "old").await;
    agent.log.stop().await;
    client.send(&Packet::Publish(publish("a", 1))).await;
    client
        .expect(|packet| is_ack(packet, 1, Reason::UNSPECIFIED))
        .await;
    old.send(&Packet::Publish(publish("a", 1))).await;
    old.expect_end().await;
    assert_eq!(agent.intake.view().rejected, 2);
}
