//! MQTT packets of both versions and both sides.

use bytes::BytesMut;
use headwater_mqtt::{Bad, PACKET_BYTES_MAX, Packet, Sender, Version, frame, parse};

use super::Check;

/// Any bytes as packets; what is accepted is the same after encoding and parsing.
pub const MQTT: Check = Check {
    name: "mqtt",
    run,
    memory_fixed: 64 << 10,
    memory_per_byte: 64,
};

fn run(bytes: &[u8]) {
    for version in [Version::V311, Version::V5] {
        for sender in [Sender::Client, Sender::Server] {
            packets(version, sender, bytes);
        }
    }
    let limited = frame(bytes, 16);
    assert!(limited.is_err() || limited.is_ok_and(|frame| frame.is_none_or(|f| f.total <= 16)));
}

/// Reads one packet behind the other, as a connection does.
fn packets(version: Version, sender: Sender, mut bytes: &[u8]) {
    while let Ok(Some((packet, total))) = read(version, sender, bytes) {
        for end in [total - 1, total / 2, 1] {
            let prefix = read(version, sender, &bytes[..end]);
            assert_eq!(prefix, Ok(None), "{end} of {total} bytes");
        }
        stable(version, sender, &packet);
        bytes = &bytes[total..];
    }
}

/// Decode, encode, decode: the same packet; and again, the same bytes.
fn stable(version: Version, sender: Sender, packet: &Packet<'_>) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let first = encoded(version, packet);
    let (again, total) = read(version, sender, &first)
        .expect("own output is valid")
        .expect("and whole");
    assert_eq!(&again, packet);
    assert_eq!(total, first.len());
    assert_eq!(first, encoded(version, &again));
    assert!(format!("{packet:?}").len() > 2, "iterates over every part");
}

fn encoded(version: Version, packet: &Packet<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    packet
        .encode(version, &mut out)
        .expect("it came in as one packet");
    out
}

fn read(
    version: Version,
    sender: Sender,
    bytes: &[u8],
) -> Result<Option<(Packet<'_>, usize)>, Bad> {
    let Some(frame) = frame(bytes, PACKET_BYTES_MAX)? else {
        return Ok(None);
    };
    let packet = parse(version, sender, frame, bytes)?;
    Ok(Some((packet, frame.total)))
}
