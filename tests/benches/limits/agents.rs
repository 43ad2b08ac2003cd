//! Agents that come back: raw uplink clients, all in this process, at a lower priority than the
//! live pair, since on a real site they run elsewhere.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use headwater_mqtt::{Connect, Packet, Properties, Publish, Qos, Sender, Version, frame, parse};
use headwater_tests::events::Events;
use headwater_wire::batch::{BatchBuilder, Compressor, Producer};
use headwater_wire::crc::crc32c;
use headwater_wire::uplink::{Position, producer_id};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const STREAM: &str = "events";
const BATCH_BYTES: usize = 64_000;
/// Batches that an agent has in flight, its default.
const WINDOW: u64 = 12;
const PACKET_BYTES_MAX: usize = 1 << 20;
const START_MS: i64 = 1_760_000_000_000;
/// Lower than that of everybody else.
const NICE: i32 = 10;

/// How many return, with how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet {
    pub(super) agents: usize,
    pub(super) batches: u64,
}

impl Fleet {
    /// Bytes of all batches.
    pub(super) fn bytes(self) -> u64 {
        self.agents as u64 * self.batches * BATCH_BYTES as u64
    }

    /// All connect at once, and are done when the last batch of the last is acknowledged.
    pub(super) fn run(self, door: SocketAddr) -> Result<Duration, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(|| {
                let _as_permitted = rustix::process::nice(NICE);
            })
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let (records, payload) = payload();
        runtime.block_on(async {
            let begun = Instant::now();
            let mut fleet = JoinSet::new();
            for number in 0..self.agents {
                let payload = payload.clone();
                let agent = Agent::new(format!("gw-{number}"), records, payload);
                fleet.spawn(async move { agent.run(door, self.batches).await });
            }
            while let Some(ended) = fleet.join_next().await {
                ended
                    .map_err(|e| e.to_string())?
                    .map_err(|e| e.to_string())?;
            }
            Ok(begun.elapsed())
        })
    }
}

/// A batch of sensor events, compressed once for all, and the number of its records.
fn payload() -> (u64, Bytes) {
    let mut compressor = Compressor::new(1);
    let mut count = 400;
    loop {
        let mut builder = BatchBuilder::new();
        for event in Events::new(1, START_MS).take(count) {
            let none: [(&str, Option<&[u8]>); 0] = [];
            let (key, value) = (Some(event.topic.as_bytes()), Some(event.payload.as_bytes()));
            builder
                .push(event.timestamp_ms, key, value, none)
                .expect("a small record");
        }
        let mut batch = Vec::new();
        builder.finish_zstd_into(Producer::NONE, &mut compressor, &mut batch);
        if batch.len() >= BATCH_BYTES {
            return (count as u64, batch.into());
        }
        count += count / 8;
    }
}

/// One agent.
pub(super) struct Agent {
    device: String,
    records: u64,
    batch: Vec<u8>,
    received: BytesMut,
}

impl Agent {
    /// That sends `batch`, of so many records, again and again.
    pub(super) fn new(device: String, records: u64, batch: Bytes) -> Self {
        Self {
            device,
            records,
            batch: batch.to_vec(),
            received: BytesMut::new(),
        }
    }

    pub(super) async fn run(mut self, door: SocketAddr, batches: u64) -> io::Result<()> {
        let mut link = TcpStream::connect(door).await?;
        link.set_nodelay(true)?;
        let client_id = format!("{}~00000000", self.device);
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive: 300,
            properties: Properties::NONE,
            client_id: &client_id,
            will: None,
            user: None,
            password: None,
        };
        send(&mut link, &Packet::Connect(connect)).await?;
        let next = batches * self.records;
        let resume = format!(r#"{{"oldest":0,"next":{next},"predecessor":null}}"#);
        let topic = format!("$hw/1/resume/{STREAM}/main/0");
        send(&mut link, &publish(&topic, 1, resume.as_bytes())).await?;
        self.acknowledged(&mut link, 1).await?;
        let (mut sent, mut acked) = (0, 0);
        while acked < batches {
            while sent < batches && sent < acked + WINDOW {
                self.stamp(sent * self.records);
                let topic = format!("$hw/1/batch/{STREAM}/main/0");
                let id = u16::try_from(sent + 2).map_err(io::Error::other)?;
                send(&mut link, &publish(&topic, id, &self.batch)).await?;
                sent += 1;
            }
            self.acknowledged(&mut link, 1).await?;
            acked += 1;
        }
        Ok(())
    }

    /// Puts the position into the batch, and the checksum that covers it.
    fn stamp(&mut self, position: u64) {
        let id = producer_id(&self.device, STREAM, "main", 0);
        let producer = Position(position).producer(id).expect("within 46 bits");
        self.batch[43..51].copy_from_slice(&producer.id.to_be_bytes());
        self.batch[51..53].copy_from_slice(&producer.epoch.to_be_bytes());
        self.batch[53..57].copy_from_slice(&producer.base_sequence.to_be_bytes());
        let crc = crc32c(&self.batch[21..]);
        self.batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }

    /// Waits for so many acknowledgements.
    async fn acknowledged(&mut self, link: &mut TcpStream, mut count: u32) -> io::Result<()> {
        while count > 0 {
            let found = frame(&self.received, PACKET_BYTES_MAX);
            let Some(found) = found.map_err(|bad| io::Error::other(bad.why))? else {
                if link.read_buf(&mut self.received).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            };
            let bytes = self.received.split_to(found.total);
            let packet = parse(Version::V5, Sender::Server, found, &bytes);
            match packet.map_err(|bad| io::Error::other(bad.why))? {
                Packet::PubAck(ack) if ack.reason.0 == 0 => count -= 1,
                Packet::ConnAck(connack) if connack.reason.0 == 0 => {}
                other => return Err(io::Error::other(format!("{}: {other:?}", self.device))),
            }
        }
        Ok(())
    }
}

fn publish<'a>(topic: &'a str, packet_id: u16, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(packet_id),
        properties: Properties::NONE,
        payload,
    })
}

async fn send(link: &mut TcpStream, packet: &Packet<'_>) -> io::Result<()> {
    let mut out = BytesMut::new();
    let encoded = packet.encode(Version::V5, &mut out);
    encoded.map_err(|error| io::Error::other(error.to_string()))?;
    link.write_all(&out).await
}
