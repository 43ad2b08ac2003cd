//! An agent's side of the uplink by hand: one MQTT 5 connection that resumes lanes and sends
//! batches, good and bad ones, and gives the broker's answers as they are.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use headwater_mqtt::{Connect, Packet, Properties, Publish, Qos, Sender, Version, frame, parse};
use headwater_wire::batch::{BatchBuilder, Compressor, Producer};
use headwater_wire::uplink::{Position, producer_id};

const TIMEOUT: Duration = Duration::from_secs(10);
const PACKET_BYTES_MAX: usize = 2 << 20;

/// A PUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Reason code.
    pub reason: u8,
    /// User properties.
    pub properties: BTreeMap<String, String>,
}

impl Answer {
    /// A user property, or nothing.
    #[must_use]
    pub fn property(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }
}

/// A connection of device `device`.
#[derive(Debug)]
pub struct Uplink {
    device: String,
    link: TcpStream,
    received: BytesMut,
    packet_id: u16,
}

impl Uplink {
    /// Connects without TLS, as the anonymous device that the client id names.
    ///
    /// # Errors
    /// What the socket or the broker says.
    pub fn connect(mqtt: SocketAddr, device: &str) -> Result<Self, String> {
        Self::connect_as(mqtt, device, "0badcafe")
    }

    /// As [`Uplink::connect`], as the agent's process that `digits`, eight of them, name.
    ///
    /// # Errors
    /// What the socket or the broker says.
    pub fn connect_as(mqtt: SocketAddr, device: &str, digits: &str) -> Result<Self, String> {
        let link = TcpStream::connect(mqtt).map_err(|e| e.to_string())?;
        link.set_read_timeout(Some(TIMEOUT))
            .map_err(|e| e.to_string())?;
        link.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut uplink = Self {
            device: device.to_owned(),
            link,
            received: BytesMut::new(),
            packet_id: 0,
        };
        let client_id = format!("{device}~{digits}");
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive: 0,
            properties: Properties::NONE,
            client_id: &client_id,
            will: None,
            user: None,
            password: None,
        };
        uplink.send(&Packet::Connect(connect))?;
        match uplink.receive(|packet| match packet {
            Packet::ConnAck(connack) => Some(connack.reason.0),
            _ => None,
        })? {
            0 => Ok(uplink),
            reason => Err(format!("Refused with {reason:#04x}")),
        }
    }

    /// Publishes `payload` to `topic` at QoS 1 and waits for the answer.
    ///
    /// # Errors
    /// If the broker closes the connection, or answers something else.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<Answer, String> {
        self.packet_id += 1;
        let packet_id = self.packet_id;
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic,
            packet_id: Some(packet_id),
            properties: Properties::NONE,
            payload,
        }))?;
        self.receive(|packet| match packet {
            Packet::PubAck(ack) if ack.packet_id == packet_id => Some(Answer {
                reason: ack.reason.0,
                properties: ack
                    .properties
                    .user()
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect(),
            }),
            _ => None,
        })
    }

    /// Opens lane `main` of `stream`.
    ///
    /// # Errors
    /// As [`Uplink::publish`].
    pub fn resume(&mut self, stream: &str, oldest: u64, next: u64) -> Result<Answer, String> {
        let payload = format!(r#"{{"oldest":{oldest},"next":{next},"predecessor":null}}"#);
        self.publish(&format!("$hw/1/resume/{stream}/main/0"), payload.as_bytes())
    }

    /// Sends a batch on lane `main` of `stream`.
    ///
    /// # Errors
    /// As [`Uplink::publish`].
    pub fn batch(&mut self, stream: &str, batch: &[u8]) -> Result<Answer, String> {
        self.publish(&format!("$hw/1/batch/{stream}/main/0"), batch)
    }

    /// A batch of this device's lane at `position` with one record for each of `values`.
    ///
    /// # Panics
    /// If the position or a record is beyond its bounds.
    #[must_use]
    pub fn make_batch(&self, stream: &str, position: u64, values: &[&str]) -> Vec<u8> {
        make_batch(&self.device, stream, position, values)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// What the socket says.
    pub fn write_raw(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.link.write_all(bytes).map_err(|e| e.to_string())
    }

    /// Whether the broker has closed the connection, waiting for it.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1024];
        loop {
            match self.link.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let mut out = BytesMut::new();
        packet
            .encode(Version::V5, &mut out)
            .map_err(|e| e.to_string())?;
        self.write_raw(&out)
    }

    /// Reads packets until one is `wanted`.
    fn receive<T>(&mut self, wanted: impl Fn(&Packet<'_>) -> Option<T>) -> Result<T, String> {
        let mut buffer = [0; 4096];
        loop {
            while let Some(found) =
                frame(&self.received, PACKET_BYTES_MAX).map_err(|e| format!("{e:?}"))?
            {
                let bytes = self.received.split_to(found.total);
                let packet = parse(Version::V5, Sender::Server, found, &bytes)
                    .map_err(|e| format!("{e:?}"))?;
                if let Some(answer) = wanted(&packet) {
                    return Ok(answer);
                }
                if let Packet::Disconnect(disconnect) = packet {
                    return Err(format!("Disconnected with {:#04x}", disconnect.reason.0));
                }
            }
            match self.link.read(&mut buffer).map_err(|e| e.to_string())? {
                0 => return Err("The broker closed the connection".to_owned()),
                read => self.received.extend_from_slice(&buffer[..read]),
            }
        }
    }
}

/// A batch of `device`'s lane `main`, generation 0, at `position`.
///
/// # Panics
/// If the position or a record is beyond its bounds.
#[must_use]
pub fn make_batch(device: &str, stream: &str, position: u64, values: &[&str]) -> Vec<u8> {
    let id = producer_id(device, stream, "main", 0);
    let producer = Position(position)
        .producer(id)
        .expect("a position within 46 bits");
    batch_of(producer, &format!("{device}/test"), values)
}

/// A compressed batch with `producer`'s stamp, every record under `key`.
///
/// # Panics
/// If a record is beyond its bounds.
#[must_use]
pub fn batch_of(producer: Producer, key: &str, values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (n, value) in values.iter().enumerate() {
        let timestamp = 1_760_000_000_000 + i64::try_from(n).expect("few values");
        let none: [(&str, Option<&[u8]>); 0] = [];
        builder
            .push(
                timestamp,
                Some(key.as_bytes()),
                Some(value.as_bytes()),
                none,
            )
            .expect("a small record");
    }
    let mut batch = Vec::new();
    builder.finish_zstd_into(producer, &mut Compressor::new(1), &mut batch);
    batch
}
