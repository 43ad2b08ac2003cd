//! MQTT packets of clients and agents, right and wrong ones.

use bytes::BytesMut;
use headwater_mqtt::{
    Ack, Auth, Connect, Disconnect, FilterBuf, Id, Options, Packet, PropertyBuf, Publish, Qos,
    Reason, RetainHandling, Subscribe, TopicBuf, Unsubscribe, Value, Version, Will,
};
use headwater_wire::batch::{BatchBuilder, Producer};

use super::bytes::{below, noise, pick};
use crate::rng::Rng;
use crate::uplink::make_batch;

const TOPICS: &[&str] = &["t/1", "t/2", "t/\u{20ac}", "cmd/h1/x", "/", "t//x"];
const BAD_TOPICS: &[&str] = &[
    "",
    "#",
    "t/+",
    "$SYS/x",
    "$hw/1/status",
    "$hw/2/x",
    "$hw/1/batch/events/main/0",
    "\u{0}",
];
const FILTERS: &[&str] = &[
    "t/#",
    "t/1",
    "+/1",
    "#",
    "$share/g/t/#",
    "$SYS/#",
    "$hw/#",
    "t/#/x",
    "",
    "a+",
];
const DEVICES: &[&str] = &["h1", "h2", "h3"];

/// A client: what its packets need to know of the ones before.
pub(super) struct Client {
    pub(super) version: Version,
    pub(super) device: String,
    /// Position that its lane has come to, as it was told last.
    pub(super) next: u64,
    packet_id: u16,
}

impl Client {
    pub(super) fn new(random: &mut Rng) -> Self {
        Self {
            version: pick(random, &[Version::V311, Version::V5, Version::V5]),
            device: pick(random, DEVICES).to_owned(),
            next: random.below(20),
            packet_id: 0,
        }
    }

    /// A CONNECT that the broker must take.
    pub(super) fn connect(&mut self, random: &mut Rng) -> Vec<u8> {
        let client_id = format!("{}~{:08x}", self.device, random.below(1 << 32));
        let payload = noise(random, 50);
        let will = random.one_in(4).then(|| Will {
            qos: pick(random, &[Qos::AtMostOnce, Qos::AtLeastOnce]),
            retain: false,
            properties: headwater_mqtt::Properties::NONE,
            topic: "t/will",
            payload: &payload,
        });
        let mut properties = PropertyBuf::new();
        if self.version == Version::V5 && random.one_in(2) {
            let _fits = properties.push(
                Id::SessionExpiry,
                Value::Int(pick(random, &[0, 1, u32::MAX])),
            );
            let _fits = properties.push(
                Id::ReceiveMaximum,
                Value::Short(pick(random, &[1, 7, u16::MAX])),
            );
        }
        self.encode(&Packet::Connect(Connect {
            version: self.version,
            clean_start: random.one_in(2),
            keep_alive: pick(random, &[0, 1, 60, u16::MAX]),
            properties: properties.view(),
            client_id: &client_id,
            will,
            user: None,
            password: None,
        }))
    }

    /// A packet that is well formed and may come at any time, and is answered if it has to be.
    pub(super) fn plain(&mut self, random: &mut Rng) -> Vec<u8> {
        let topic = pick(random, TOPICS);
        match random.below(6) {
            0 => self.subscribe(random, "t/#"),
            1 => self.encode(&Packet::PingReq),
            _ => {
                let qos = pick(random, &[Qos::AtMostOnce, Qos::AtLeastOnce]);
                let payload = noise(random, 300);
                self.publish(topic, qos, false, &payload)
            }
        }
    }

    /// Any packet, right or wrong in what it says and when it comes.
    pub(super) fn any(&mut self, random: &mut Rng) -> Vec<u8> {
        let packet_id = pick(random, &[0, 1, 2, self.packet_id, u16::MAX]);
        let reason = pick(
            random,
            &[Reason::SUCCESS, Reason(0x10), Reason(0x92), Reason(0xff)],
        );
        let properties = headwater_mqtt::Properties::NONE;
        let ack = Ack {
            packet_id,
            reason,
            properties,
        };
        match random.below(16) {
            0 => self.encode(&Packet::PubAck(ack)),
            1 => self.encode(&Packet::PubRec(ack)),
            2 => self.encode(&Packet::PubRel(ack)),
            3 => self.encode(&Packet::PubComp(ack)),
            4 => {
                let filter = pick(random, FILTERS);
                self.subscribe(random, filter)
            }
            5 => self.unsubscribe(random),
            6 => self.encode(&Packet::PingReq),
            7 if random.one_in(3) => {
                self.encode(&Packet::Disconnect(Disconnect { reason, properties }))
            }
            8 if random.one_in(3) => self.encode(&Packet::Auth(Auth { reason, properties })),
            9 if random.one_in(3) => self.connect(random),
            10 => {
                let topic = pick(random, BAD_TOPICS);
                let (qos, payload) = (qos(random), noise(random, 100));
                self.publish(topic, qos, random.one_in(3), &payload)
            }
            11 => {
                let kind = u8::try_from(random.below(256)).unwrap_or(0);
                let mut raw = vec![kind, u8::try_from(random.below(128)).unwrap_or(0)];
                raw.extend_from_slice(&noise(random, 128));
                raw
            }
            12 => {
                let (topic, qos, payload) =
                    (pick(random, TOPICS), qos(random), noise(random, 70_000));
                self.publish(topic, qos, random.one_in(4), &payload)
            }
            _ => self.uplink(random),
        }
    }

    /// What an agent sends, in any order.
    pub(super) fn uplink(&mut self, random: &mut Rng) -> Vec<u8> {
        let stream = pick(
            random,
            &["events", "events", "events", "nope", "__lanes", "t1"],
        );
        let lane = pick(random, &["main", "main", "main", "live", "UPPER"]);
        let generation = pick(random, &["0", "0", "0", "1", "2", "x", "99999999999"]);
        let (verb, payload) = match random.below(8) {
            0 | 1 => ("resume", resume(random, self.next)),
            2 => (
                "repair",
                pick(random, &[r#"{"reason":"clone"}"#, r#"{"reason":"x"}"#, "{"])
                    .as_bytes()
                    .to_vec(),
            ),
            3 => {
                let status = pick(
                    random,
                    &["{}", r#"{"device":"h1","lanes":[]}"#, "", "[1", "\u{0}"],
                );
                return self.publish("$hw/1/status", Qos::AtLeastOnce, false, status.as_bytes());
            }
            4 => ("batch", self.loss(random)),
            _ => ("batch", self.batch(random, stream)),
        };
        let topic = format!("$hw/1/{verb}/{stream}/{lane}/{generation}");
        let is_retained = random.one_in(20);
        let qos = if random.one_in(20) {
            Qos::ExactlyOnce
        } else {
            Qos::AtLeastOnce
        };
        self.publish(&topic, qos, is_retained, &payload)
    }

    fn batch(&mut self, random: &mut Rng, stream: &str) -> Vec<u8> {
        let first = match random.below(4) {
            0 => random.below(1 << 46),
            1 => self.next.saturating_sub(random.below(4)),
            _ => self.next,
        };
        let device = if random.one_in(8) { "h9" } else { &self.device };
        let values = vec!["v"; 1 + below(random, 5)];
        let mut batch = make_batch(device, stream, first, &values);
        self.next = first + u64::try_from(values.len()).expect("a few");
        if random.one_in(4) {
            super::bytes::mutate(random, &mut batch);
        }
        batch
    }

    fn loss(&mut self, random: &mut Rng) -> Vec<u8> {
        let to = self.next + 1 + random.below(50);
        let range = match random.below(4) {
            0 => format!("{to}-{}", self.next),
            1 => "0-99999999999999999999".to_owned(),
            _ => format!("{}-{to}", self.next),
        };
        let key = format!("$hw/loss/{}/events", self.device);
        let mut builder = BatchBuilder::new();
        let header = ("hw-lost", Some(range.as_bytes()));
        builder
            .push(0, Some(key.as_bytes()), Some(b"{}"), [header])
            .expect("a short record");
        let id = headwater_wire::uplink::producer_id(&self.device, "events", "main", 0);
        let place = headwater_wire::uplink::Position(to - 1).producer(id);
        let mut batch = Vec::new();
        builder.finish_into(place.unwrap_or(Producer::NONE), &mut batch);
        self.next = to;
        batch
    }

    fn publish(&mut self, topic: &str, qos: Qos, retain: bool, payload: &[u8]) -> Vec<u8> {
        let is_numbered = qos != Qos::AtMostOnce;
        if is_numbered {
            self.packet_id = self.packet_id % 500 + 1;
        }
        let packet_id = is_numbered.then_some(self.packet_id);
        self.encode(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain,
            topic,
            packet_id,
            properties: headwater_mqtt::Properties::NONE,
            payload,
        }))
    }

    fn subscribe(&mut self, random: &mut Rng, filter: &str) -> Vec<u8> {
        self.packet_id = self.packet_id % 500 + 1;
        let mut filters = FilterBuf::default();
        let options = Options {
            qos: qos(random),
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let _short = filters.push(filter, options);
        let mut properties = PropertyBuf::new();
        if self.version == Version::V5 && random.one_in(4) {
            let from = pick(
                random,
                &["earliest", "2026-01-01T00:00:00Z", "0:0,1:5", "x", "0:-1"],
            );
            let _short = properties.push_user("from", from);
        }
        self.encode(&Packet::Subscribe(Subscribe {
            packet_id: self.packet_id,
            properties: properties.view(),
            filters: filters.view(),
        }))
    }

    fn unsubscribe(&mut self, random: &mut Rng) -> Vec<u8> {
        self.packet_id = self.packet_id % 500 + 1;
        let mut filters = TopicBuf::default();
        let _short = filters.push(pick(random, FILTERS));
        self.encode(&Packet::Unsubscribe(Unsubscribe {
            packet_id: self.packet_id,
            properties: headwater_mqtt::Properties::NONE,
            filters: filters.view(),
        }))
    }

    /// The packet's bytes; what has no encoding is left out.
    pub(super) fn encode(&self, packet: &Packet<'_>) -> Vec<u8> {
        let mut out = BytesMut::new();
        let _left_out = packet.encode(self.version, &mut out);
        out.to_vec()
    }
}

fn resume(random: &mut Rng, next: u64) -> Vec<u8> {
    let text = match random.below(6) {
        0 => r#"{"oldest":5,"next":1}"#.to_owned(),
        1 => r#"{"oldest":-1,"next":1e400,"predecessor":"x"}"#.to_owned(),
        2 => format!(r#"{{"oldest":0,"next":{next},"predecessor":0}}"#),
        _ => format!(r#"{{"oldest":0,"next":{next},"predecessor":null}}"#),
    };
    text.into_bytes()
}

fn qos(random: &mut Rng) -> Qos {
    pick(
        random,
        &[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce],
    )
}
