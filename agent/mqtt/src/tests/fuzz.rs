//! Properties that hold for any bytes, run over generated packets and mutations of them.

use super::*;

/// What any bytes from a socket must satisfy: no panic, and what is accepted is stable.
fn fuzz(data: &[u8]) {
    for version in [Version::V311, Version::V5] {
        for sender in [Sender::Client, Sender::Server] {
            if let Ok(Some(packet)) = read(version, sender, data) {
                stable(version, sender, &packet);
            }
        }
    }
}

/// Decode, encode, decode: the same packet; and again, the same bytes.
fn stable(version: Version, sender: Sender, packet: &Packet<'_>) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let first = encoded(version, packet);
    let again = read(version, sender, &first)
        .expect("own output is valid")
        .expect("and whole");
    assert_eq!(&again, packet);
    assert_eq!(first, encoded(version, &again));
    assert!(format!("{packet:?}").len() > 2, "iterates over every part");
}

const KINDS: [(Version, Sender); 4] = [
    (Version::V311, Sender::Client),
    (Version::V311, Sender::Server),
    (Version::V5, Sender::Client),
    (Version::V5, Sender::Server),
];

#[test]
fn generated_packets_are_valid_and_stable() {
    for seed in 0..8_000 {
        let dice = &mut Dice::new(seed);
        let (version, sender) = dice.pick(&KINDS);
        let bytes = generate::packet(dice, version, sender);
        let packet = read(version, sender, &bytes);
        let packet = packet.unwrap_or_else(|bad| panic!("Seed {seed}: {bad} {bytes:?}"));
        stable(version, sender, &packet.expect("whole"));
        assert_eq!(encoded(version, &packet.unwrap()), bytes, "seed {seed}");
    }
}

#[test]
fn every_prefix_is_incomplete() {
    for seed in 0..600 {
        let dice = &mut Dice::new(seed);
        let (version, sender) = dice.pick(&KINDS);
        let bytes = generate::packet(dice, version, sender);
        for end in 0..bytes.len() {
            let prefix = &bytes[..end];
            assert_eq!(
                read(version, sender, prefix),
                Ok(None),
                "seed {seed}, {end} bytes"
            );
        }
    }
}

#[test]
fn mutations_never_panic() {
    for seed in 0..30_000 {
        let dice = &mut Dice::new(seed);
        let (version, sender) = dice.pick(&KINDS);
        let bytes = generate::packet(dice, version, sender);
        fuzz(&mutated(dice, bytes));
    }
}

#[test]
fn noise_never_panics() {
    for seed in 0..30_000 {
        let dice = &mut Dice::new(seed);
        let length = dice.below(40);
        let mut noise: Vec<u8> = (0..length).map(|_| dice.roll().to_be_bytes()[3]).collect();
        if let Some(length) = noise.get_mut(1) {
            *length &= 0x1f;
        }
        fuzz(&noise);
    }
}

/// Some bytes changed, removed or doubled; half the time with a length that fits again.
pub(super) fn mutated(dice: &mut Dice, mut bytes: BytesMut) -> Vec<u8> {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(4) {
            0 => bytes[at] = dice.roll().to_be_bytes()[5],
            1 => bytes[at] ^= 1 << dice.below(8),
            2 => bytes.truncate(at.max(2)),
            _ => bytes = [&bytes[..at], &bytes[at / 2..]].concat().as_slice().into(),
        }
    }
    let mut bytes = bytes.to_vec();
    if dice.chance(2) && bytes.len() < 130 {
        bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
    }
    bytes
}
