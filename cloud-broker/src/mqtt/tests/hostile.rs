use std::time::Instant;

use bytes::BytesMut;
use headwater_mqtt::{
    Disconnect, FilterBuf, Options, Packet, Properties, Publish, Qos, Reason, Subscribe, Version,
};

use super::PATIENCE;
use super::harness::{Broker, Client, connect, publish};
use crate::metrics::DoorName;

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits")
    }
}

/// What a client might send, from good to anything.
fn conversation(dice: &mut Dice, version: Version) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut filters = FilterBuf::default();
    filters
        .push(
            "a/#",
            Options {
                qos: Qos::AtLeastOnce,
                ..Options::default()
            },
        )
        .expect("short");
    let properties = Properties::NONE;
    let uplink = "$hw/1/batch/events/main/0";
    for _ in 0..dice.roll() % 8 {
        let retained = Publish {
            retain: true,
            ..publish("a/c", b"y")
        };
        let packet = match dice.roll() % 6 {
            0 => Packet::Publish(publish("a/b", b"x")),
            1 => Packet::Publish(publish(uplink, &[7; 100])),
            2 => Packet::Publish(retained),
            3 => Packet::Subscribe(Subscribe {
                packet_id: 3,
                properties,
                filters: filters.view(),
            }),
            4 => Packet::PingReq,
            _ => Packet::Disconnect(Disconnect::new(Reason::SUCCESS)),
        };
        packet.encode(version, &mut out).expect("short");
    }
    let mut bytes = out.to_vec();
    for _ in 0..dice.roll() % 4 {
        if !bytes.is_empty() {
            let at = dice.roll() % bytes.len();
            bytes[at] = dice.0.to_be_bytes()[3];
        }
    }
    bytes
}

#[test]
fn whatever_is_sent_costs_only_its_own_connection() {
    let broker = Broker::start("", 2);
    for seed in 1..=300_u64 {
        let dice = &mut Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let version = if seed % 2 == 0 {
            Version::V5
        } else {
            Version::V311
        };
        let mut client = Client::open(broker.address, version);
        if seed % 5 > 0 {
            let client_id = if seed % 3 == 0 { "gw-1~01234567" } else { "c" };
            client.connect(&headwater_mqtt::Connect {
                client_id,
                ..connect(version)
            });
        }
        client.send_anything(&conversation(dice, version));
    }
    let mut good = broker.connected(Version::V5, "good");
    assert_eq!(good.publish("a/b", b"x"), Reason::SUCCESS);
    drop(good);
    // A task that had panicked would leave its connection in the table for ever.
    let began = Instant::now();
    while broker.door.metrics.connections.of(DoorName::Mqtt).value() > 0 {
        assert!(began.elapsed() < PATIENCE, "connections are left");
        std::thread::yield_now();
    }
}

#[test]
fn a_second_connect_is_a_protocol_error_whatever_is_wrong_in_it() {
    let broker = Broker::start("", 1);
    for version_byte in [5, 9] {
        let mut client = broker.connected(Version::V5, "c");
        let mut again = BytesMut::new();
        let packet = Packet::Connect(connect(Version::V5));
        packet.encode(Version::V5, &mut again).expect("short");
        again[8] = version_byte;
        client.send_bytes(&again);
        assert_eq!(client.expect().disconnect(), Reason::PROTOCOL_ERROR);
    }
}
