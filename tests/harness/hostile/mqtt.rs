//! Sessions at the MQTT door, read by a codec that is not ours.

use std::net::SocketAddr;

use bytes::BytesMut;
use headwater_mqtt::{Packet, Version};
use tokio_util::codec::Decoder;

use super::Session;
use super::bytes::{mutate, noise};
use super::link::Link;
use super::packets::Client;
use crate::rng::Rng;

const PACKET_BYTES_MAX: u32 = 4 << 20;
const CONNACK: u8 = 0x20;
const PINGRESP: [u8; 2] = [0xd0, 0];

pub(super) fn session(address: SocketAddr, random: &mut Rng) -> Result<Session, String> {
    let mut link = Link::connect(address)?;
    let mut client = Client::new(random);
    let mut answers = Answers::new(client.version);
    match random.below(8) {
        0 => return wild(&mut link, random),
        1 | 2 => return plain(&mut link, &mut client, random),
        _ => {}
    }
    let connect = client.connect(random);
    link.send(random, &connect);
    link.wait(|received| received.len() >= 4)?;
    for _ in 0..=random.below(30) {
        let mut packet = match random.below(3) {
            0 => client.any(random),
            1 => client.plain(random),
            _ => client.uplink(random),
        };
        if random.one_in(5) {
            mutate(random, &mut packet);
        }
        link.send(random, &packet);
        if random.one_in(3) {
            link.glance();
            answers.take(&mut link)?;
        }
        if link.is_closed {
            break;
        }
    }
    if random.one_in(3) {
        link.half_close();
    } else {
        link.flush();
    }
    link.glance();
    answers.take(&mut link)?;
    Ok(Session {
        answers: answers.count,
        is_plain: false,
    })
}

/// Nothing that comes need be a packet, or come after a CONNECT.
fn wild(link: &mut Link, random: &mut Rng) -> Result<Session, String> {
    let mut client = Client::new(random);
    for _ in 0..=random.below(4) {
        let mut bytes = match random.below(3) {
            0 => noise(random, 300),
            1 => client.any(random),
            _ => client.connect(random),
        };
        if random.one_in(2) {
            mutate(random, &mut bytes);
        }
        link.send(random, &bytes);
        link.glance();
    }
    link.flush();
    Ok(Session::default())
}

/// A client that does all as it should: every packet is answered, and the connection stays.
fn plain(link: &mut Link, client: &mut Client, random: &mut Rng) -> Result<Session, String> {
    let mut answers = Answers::new(client.version);
    let connect = client.connect(random);
    link.send(random, &connect);
    link.wait(|received| received.len() >= 4)?;
    if link.received.first() != Some(&CONNACK) {
        return Err(format!("No CONNACK: {:?}", link.received));
    }
    for _ in 0..random.below(20) {
        let packet = client.plain(random);
        link.send(random, &packet);
        link.glance();
        answers.take(link)?;
    }
    let ping = client.encode(&Packet::PingReq);
    link.send(random, &ping);
    while !answers.pong {
        link.wait(|received| received.len() >= PINGRESP.len())?;
        answers.take(link)?;
        if link.is_closed {
            let (version, last) = (client.version, &answers.last);
            return Err(format!(
                "Closed, though nothing was wrong: {version:?}, last answer {last:02x?}"
            ));
        }
    }
    Ok(Session {
        answers: answers.count,
        is_plain: true,
    })
}

/// Decodes what the broker says.
struct Answers {
    version: Version,
    undecoded: BytesMut,
    count: u64,
    pong: bool,
    last: Vec<u8>,
}

impl Answers {
    fn new(version: Version) -> Self {
        Self {
            version,
            undecoded: BytesMut::new(),
            count: 0,
            pong: false,
            last: Vec::new(),
        }
    }

    fn take(&mut self, link: &mut Link) -> Result<(), String> {
        self.undecoded.extend_from_slice(&link.received);
        link.received.clear();
        loop {
            let before = self.undecoded.clone();
            let is_whole = match self.version {
                Version::V311 => {
                    let packet =
                        rmqtt_codec::v3::Codec::new(PACKET_BYTES_MAX).decode(&mut self.undecoded);
                    packet
                        .map(|packet| packet.is_some())
                        .map_err(|e| format!("{e:?}"))
                }
                Version::V5 => {
                    let packet = rmqtt_codec::v5::Codec::new(PACKET_BYTES_MAX, 0)
                        .decode(&mut self.undecoded);
                    packet
                        .map(|packet| packet.is_some())
                        .map_err(|e| format!("{e:?}"))
                }
            };
            let start = &before[..before.len().min(80)];
            if !is_whole.map_err(|error| format!("Bad answer: {error}: {start:02x?}"))? {
                self.undecoded = before;
                return Ok(());
            }
            self.count += 1;
            self.last = start.to_vec();
            self.pong |= before.starts_with(&PINGRESP);
        }
    }
}
