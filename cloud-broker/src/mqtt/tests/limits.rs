use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use headwater_mqtt::{Connect, Packet, Publish, Reason, Version};

use super::harness::{Broker, connect, publish};

#[test]
fn a_packet_too_large_is_refused_by_its_header() {
    let broker = Broker::start("[mqtt]\nmax_packet = \"256KiB\"\n", 1);
    let mut client = broker.connected(Version::V5, "c");
    let largest = vec![1; 256 << 10];
    assert_eq!(client.publish("t", &largest), Reason::SUCCESS);
    // 260 KiB and one byte are announced, nothing more is sent.
    client.send_bytes(&[0x32, 0xff, 0xa0, 0x10]);
    assert_eq!(client.expect().disconnect(), Reason::PACKET_TOO_LARGE);
    client.expect_end();
    let mut stranger = broker.client();
    stranger.send_bytes(&[0x10, 0x80, 0x80, 0x04]);
    stranger.expect_end();
}

#[test]
fn a_packet_may_come_byte_by_byte() {
    let broker = Broker::start("", 1);
    let mut client = broker.client();
    let mut bytes = BytesMut::new();
    Packet::Connect(connect(Version::V5))
        .encode(Version::V5, &mut bytes)
        .unwrap();
    let connect_bytes = bytes.len();
    Packet::Publish(publish("a/b", b"payload"))
        .encode(Version::V5, &mut bytes)
        .unwrap();
    Packet::PingReq.encode(Version::V5, &mut bytes).unwrap();
    for (sent, byte) in bytes.iter().enumerate() {
        client.send_bytes(&[*byte]);
        if sent + 1 == connect_bytes {
            assert!(matches!(client.expect().packet(), Packet::ConnAck(_)));
        }
    }
    let mut came = [client.expect(), client.expect()];
    // The answer to the publish waits for a commit, that to the ping does not.
    came.sort_by_key(|received| matches!(received.packet(), Packet::PingResp));
    assert_eq!(came[0].puback().1, Reason::SUCCESS);
    assert_eq!(came[1].packet(), Packet::PingResp);
}

#[test]
fn a_connect_that_trickles_in_is_given_up() {
    let broker = Broker::start("", 1);
    let mut client = TcpStream::connect(broker.address).expect("connects");
    let pause = Duration::from_millis(50);
    client.set_read_timeout(Some(pause)).expect("a timeout");
    // 60,000 bytes are announced.
    let announced = [0x10, 0xe0, 0xd4, 0x03];
    let trickle = announced.into_iter().chain(std::iter::repeat_n(0, 1000));
    let mut ended = trickle.map(|byte| {
        let sent = client.write_all(&[byte]);
        let end = client.read(&mut [0]);
        sent.is_err() || end.is_ok() || end.is_err_and(|e| e.kind() != ErrorKind::WouldBlock)
    });
    assert!(ended.any(|ended| ended));
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let broker = Broker::start("[limits]\nconnections = 2\n", 1);
    let mut first = broker.connected(Version::V5, "a");
    let _second = broker.connected(Version::V5, "b");
    broker.client().expect_end();
    assert_eq!(first.publish("t", b"x"), Reason::SUCCESS);
}

#[test]
fn more_unanswered_publishes_than_permitted_end_the_connection() {
    let broker = Broker::start("[mqtt]\nreceive_max = 2\n", 1);
    let mut client = broker.connected(Version::V5, "c");
    let mut bytes = BytesMut::new();
    for packet_id in 1..=3 {
        let publish = Publish {
            packet_id: Some(packet_id),
            ..publish("t", b"x")
        };
        Packet::Publish(publish)
            .encode(Version::V5, &mut bytes)
            .unwrap();
    }
    client.send_bytes(&bytes);
    let mut reason = None;
    while let Some(received) = client.next() {
        if let Packet::Disconnect(disconnect) = received.packet() {
            reason = Some(disconnect.reason);
        }
    }
    assert_eq!(reason, Some(Reason::RECEIVE_MAXIMUM_EXCEEDED));
}

#[test]
fn silence_ends_a_connection_that_promised_to_speak() {
    let broker = Broker::start("", 1);
    let mut client = broker.client();
    client.connect(&Connect {
        keep_alive: 1,
        ..connect(Version::V5)
    });
    assert_eq!(client.expect().disconnect(), Reason::KEEP_ALIVE_TIMEOUT);
}

#[test]
fn strangers_are_turned_away() {
    let broker = Broker::start("[auth]\nanonymous = \"never\"\n", 1);
    for version in [Version::V311, Version::V5] {
        let mut client = broker.client();
        let reason = client.try_connect(&connect(version));
        let expected = if version == Version::V5 {
            Reason::NOT_AUTHORIZED
        } else {
            Reason(5)
        };
        assert_eq!(reason, expected);
        client.expect_end();
    }
}
