//! What we accept, `rmqtt-codec` and `rumqttc` read as the same packet, save for known differences.
//!
//! The other codec reads our bytes and writes what it understood; we read that and compare. So no
//! table of its fields is needed, and its encoder tests our parser as well.

use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use tokio_util::codec::{Decoder, Encoder};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oracle {
    Rmqtt,
    Rumqttc,
}

#[test]
fn rmqtt_codec_agrees() {
    compare(Oracle::Rmqtt);
}

#[test]
fn rumqttc_agrees() {
    compare(Oracle::Rumqttc);
}

fn compare(oracle: Oracle) {
    let mut compared = 0;
    for seed in 0..20_000 {
        let dice = &mut Dice::new(seed);
        let version = dice.pick(&[Version::V311, Version::V5]);
        let sender = dice.pick(&[Sender::Client, Sender::Server]);
        let bytes = generate::packet(dice, version, sender);
        let bytes = if dice.chance(3) {
            fuzz::mutated(dice, bytes)
        } else {
            bytes.to_vec()
        };
        let Ok(Some(ours)) = read(version, sender, &bytes) else {
            continue;
        };
        let bytes = &bytes[..frame(&bytes, PACKET_BYTES_MAX).unwrap().unwrap().total];
        if known_difference(oracle, version, &ours) {
            continue;
        }
        let theirs = through(oracle, version, bytes);
        let theirs = theirs.unwrap_or_else(|why| panic!("Seed {seed}: {why}\n{ours:?}\n{bytes:?}"));
        let theirs = read(version, sender, &theirs)
            .unwrap_or_else(|bad| panic!("Seed {seed}: {bad} in {theirs:?}, from {ours:?}"));
        assert_eq!(
            normal(&theirs.expect("whole")),
            normal(&ours),
            "seed {seed}"
        );
        compared += 1;
    }
    assert!(compared > 5_000, "the oracle saw only {compared} packets");
}

/// The packet as the other codec writes it after reading it.
fn through(oracle: Oracle, version: Version, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (mut bytes, mut out) = (BytesMut::from(bytes), BytesMut::new());
    match (oracle, version) {
        (Oracle::Rmqtt, Version::V311) => {
            let mut codec = rmqtt_codec::v3::Codec::new(1 << 20);
            let packet = codec.decode(&mut bytes).map_err(|e| format!("{e:?}"))?;
            let (packet, _) = packet.ok_or("incomplete")?;
            codec
                .encode(packet, &mut out)
                .map_err(|e| format!("{e:?}"))?;
        }
        (Oracle::Rmqtt, Version::V5) => {
            let mut codec = rmqtt_codec::v5::Codec::new(1 << 20, 0);
            let packet = codec.decode(&mut bytes).map_err(|e| format!("{e:?}"))?;
            let (packet, _) = packet.ok_or("incomplete")?;
            codec
                .encode(packet, &mut out)
                .map_err(|e| format!("{e:?}"))?;
        }
        (Oracle::Rumqttc, Version::V311) => {
            let packet = v4::Packet::read(&mut bytes, 1 << 20).map_err(|e| format!("{e:?}"))?;
            packet
                .write(&mut out, 1 << 20)
                .map_err(|e| format!("{e:?}"))?;
        }
        (Oracle::Rumqttc, Version::V5) => {
            let packet = v5::Packet::read(&mut bytes, None).map_err(|e| format!("{e:?}"))?;
            packet.write(&mut out, None).map_err(|e| format!("{e:?}"))?;
        }
    }
    Ok(out.to_vec())
}

/// What the others refuse, or write otherwise, of what the specification allows.
fn known_difference(oracle: Oracle, version: Version, packet: &Packet<'_>) -> bool {
    match (oracle, packet) {
        // Writes the empty AUTH with an empty block of properties, where a method is mandatory.
        (Oracle::Rmqtt, Packet::Auth(auth)) => auth.properties.is_empty(),
        // Has no AUTH.
        (Oracle::Rumqttc, Packet::Auth(_)) => true,
        // Wants reason and property length in each DISCONNECT of version 5.
        (Oracle::Rumqttc, Packet::Disconnect(disconnect)) => {
            version == Version::V5 && disconnect.properties.is_empty()
        }
        // Takes will and password for strings.
        (Oracle::Rumqttc, Packet::Connect(connect)) => {
            let password = connect.password.map_or(Ok(""), str::from_utf8);
            let will = connect
                .will
                .map_or(Ok(""), |will| str::from_utf8(will.payload));
            password.is_err() || will.is_err()
        }
        _ => false,
    }
}

/// Properties whose absence means this value: `rmqtt-codec` leaves them out.
fn is_default(property: Property<'_>) -> bool {
    let (off, on) = (Value::Byte(0), Value::Byte(1));
    match property.id {
        Id::PayloadFormat | Id::RequestResponseInfo => property.value == off,
        Id::RequestProblemInfo | Id::RetainAvailable | Id::WildcardAvailable => {
            property.value == on
        }
        Id::SubscriptionIdAvailable | Id::SharedAvailable => property.value == on,
        _ => false,
    }
}

/// The packet and its properties, sorted and without defaults: others write them as they like.
fn normal(packet: &Packet<'_>) -> (String, Vec<String>) {
    let mut bare = *packet;
    let mut properties = Vec::new();
    let mut strip = |taken: &mut Properties<'_>| {
        let taken = core::mem::take(taken)
            .iter()
            .filter(|property| !is_default(*property));
        properties.extend(taken.map(|property| format!("{property:?}")));
    };
    match &mut bare {
        Packet::Connect(p) => {
            strip(&mut p.properties);
            p.will
                .iter_mut()
                .for_each(|will| strip(&mut will.properties));
        }
        Packet::ConnAck(p) => strip(&mut p.properties),
        Packet::Publish(p) => strip(&mut p.properties),
        Packet::PubAck(p) | Packet::PubRec(p) => strip(&mut p.properties),
        Packet::PubRel(p) | Packet::PubComp(p) => strip(&mut p.properties),
        Packet::Subscribe(p) => strip(&mut p.properties),
        Packet::SubAck(p) => strip(&mut p.properties),
        Packet::Unsubscribe(p) => strip(&mut p.properties),
        Packet::UnsubAck(p) => strip(&mut p.properties),
        Packet::Disconnect(p) => strip(&mut p.properties),
        Packet::Auth(p) => strip(&mut p.properties),
        Packet::PingReq | Packet::PingResp => {}
    }
    properties.sort();
    (format!("{bare:?}"), properties)
}
