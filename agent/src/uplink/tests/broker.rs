//! A broker that keeps lanes as the real one does, and misbehaves as its script says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use headwater_mqtt::{
    Ack, ConnAck, Id, Packet, Properties, PropertyBuf, Publish, Reason, Sender, Value, Version,
    frame, parse,
};
use headwater_wire::batch::{Codec, Decompressor, Header, check_crc, payload, records};
use headwater_wire::uplink::{BatchRange, Topic};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

const V5: Version = Version::V5;

/// What the broker does wrong.
#[derive(Debug, Clone)]
pub(super) struct Script {
    seed: Option<u64>,
    missing: BTreeSet<String>,
}

/// What it did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) cuts: u32,
    pub(super) frozen: u32,
    pub(super) refusals: u32,
    pub(super) swallowed: u32,
    pub(super) duplicates: u32,
    pub(super) statuses: u32,
}

impl Script {
    pub(super) fn good() -> Self {
        Self {
            seed: None,
            missing: BTreeSet::new(),
        }
    }

    pub(super) fn bad(seed: u64) -> Self {
        Self {
            seed: Some(seed),
            ..Self::good()
        }
    }

    pub(super) fn without_stream(mut self, stream: &str) -> Self {
        self.missing.insert(stream.to_owned());
        self
    }
}

pub(super) struct Broker {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    appended: watch::Sender<()>,
    missing: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<String, Lane>,
    counts: Counts,
    random: Option<u64>,
    /// Frozen connections stay open.
    frozen: Vec<Box<dyn Stream>>,
    connections: u64,
}

#[derive(Default)]
struct Lane {
    next: u64,
    /// First, next and CRC of the last entries.
    ring: Vec<(u64, u64, u32)>,
    keys: Vec<String>,
    opened_by: u64,
}

/// What becomes of one publish.
enum Act {
    Answer(Reason, Vec<(&'static str, String)>),
    Swallow,
    Cut,
    Freeze,
}

impl Broker {
    pub(super) async fn start(script: Script) -> Self {
        Self::listen(script, None).await
    }

    /// As [`Self::start`], over TLS.
    pub(super) async fn start_tls(config: rustls::ServerConfig) -> Self {
        Self::listen(Script::good(), Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                random: script.seed,
                ..State::default()
            }),
            appended: watch::Sender::new(()),
            missing: script.missing,
        });
        let broker = Self {
            address,
            shared: Arc::clone(&shared),
        };
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    let socket: Box<dyn Stream> = match tls {
                        None => Box::new(socket),
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => Box::new(socket),
                            Err(_) => return,
                        },
                    };
                    serve(shared, socket).await;
                });
            }
        });
        broker
    }

    pub(super) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) async fn has(&self, stream: &str, count: usize) {
        let mut appended = self.shared.appended.subscribe();
        while self.keys(stream).len() < count {
            appended.changed().await.unwrap();
        }
    }

    pub(super) fn keys(&self, stream: &str) -> Vec<String> {
        let state = self.shared.state.lock().unwrap();
        state
            .lanes
            .get(stream)
            .map(|lane| lane.keys.clone())
            .unwrap_or_default()
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.state.lock().unwrap().counts
    }
}

async fn serve(shared: Arc<Shared>, mut socket: Box<dyn Stream>) {
    let connection = {
        let mut state = shared.state.lock().unwrap();
        state.connections += 1;
        state.connections
    };
    let mut came = BytesMut::new();
    let mut out = BytesMut::new();
    while socket
        .read_buf(&mut came)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        while let Some(found) = frame(&came, usize::MAX).unwrap() {
            let bytes = came.split_to(found.total);
            let act = match parse(V5, Sender::Client, found, &bytes).unwrap() {
                Packet::Connect(_) => {
                    let reason = Reason::SUCCESS;
                    let properties = Properties::NONE;
                    let ack = ConnAck {
                        session_present: false,
                        reason,
                        properties,
                    };
                    ack.encode(V5, &mut out).unwrap();
                    continue;
                }
                Packet::PingReq => {
                    Packet::PingResp.encode(V5, &mut out).unwrap();
                    continue;
                }
                Packet::Publish(publish) => {
                    let act = shared.handle(connection, &publish);
                    (publish.packet_id.unwrap(), act)
                }
                _ => return,
            };
            match act {
                (packet_id, Act::Answer(reason, properties)) => {
                    answer(packet_id, reason, &properties, &mut out);
                }
                (_, Act::Swallow) => {}
                (_, Act::Cut) => return,
                (_, Act::Freeze) => {
                    shared.state.lock().unwrap().frozen.push(socket);
                    return;
                }
            }
        }
        if socket.write_all(&out.split()).await.is_err() {
            return;
        }
    }
}

fn answer(packet_id: u16, reason: Reason, named: &[(&str, String)], out: &mut BytesMut) {
    let mut properties = PropertyBuf::new();
    for (name, value) in named {
        properties.push(Id::User, Value::Pair(name, value)).unwrap();
    }
    let properties = properties.view();
    Packet::PubAck(Ack {
        packet_id,
        reason,
        properties,
    })
    .encode(V5, out)
    .unwrap();
}

impl Shared {
    fn handle(&self, connection: u64, publish: &Publish<'_>) -> Act {
        let mut state = self.state.lock().unwrap();
        match Topic::parse(publish.topic).unwrap() {
            Topic::Status => {
                state.counts.statuses += 1;
                Act::Answer(Reason::SUCCESS, Vec::new())
            }
            Topic::Resume(lane) if self.missing.contains(lane.stream) => {
                refuse(Reason(0x90), "no-stream")
            }
            Topic::Resume(lane) => {
                let lane = state.lanes.entry(lane.stream.to_owned()).or_default();
                lane.opened_by = connection;
                lane.resume()
            }
            Topic::Batch(lane) => {
                let stream = lane.stream.to_owned();
                let act = state.misbehave(&stream, connection, publish.payload);
                let act = act.unwrap_or_else(|| state.append(&stream, connection, publish.payload));
                self.appended.send_replace(());
                act
            }
            Topic::Repair(_) => refuse(Reason::IMPLEMENTATION_SPECIFIC, "stale"),
        }
    }
}

fn refuse(reason: Reason, error: &str) -> Act {
    Act::Answer(reason, vec![("error", error.to_owned())])
}

impl Lane {
    fn resume(&self) -> Act {
        let mut properties = vec![
            ("next", self.next.to_string()),
            (
                "topic_id",
                "01234567-89ab-cdef-0123-456789abcdef".to_owned(),
            ),
        ];
        if let Some((_, _, crc)) = self.ring.last() {
            properties.push(("crc", format!("{crc:08x}")));
        }
        Act::Answer(Reason::SUCCESS, properties)
    }
}

impl State {
    /// About one batch in eight meets with an accident.
    fn misbehave(&mut self, stream: &str, connection: u64, batch: &[u8]) -> Option<Act> {
        let random = self.random.as_mut()?;
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let draw = *random % 40;
        if draw < 3 {
            // Cut before the answer, the batch durable or not.
            if draw == 0 {
                let _unsaid = self.append(stream, connection, batch);
            }
            self.counts.cuts += 1;
            return Some(Act::Cut);
        }
        match draw {
            3 => {
                self.counts.frozen += 1;
                Some(Act::Freeze)
            }
            4 => {
                let _unsaid = self.append(stream, connection, batch);
                self.counts.swallowed += 1;
                Some(Act::Swallow)
            }
            5 => {
                self.lanes.entry(stream.to_owned()).or_default().opened_by = 0;
                self.counts.refusals += 1;
                Some(refuse(Reason::IMPLEMENTATION_SPECIFIC, "stale"))
            }
            _ => None,
        }
    }

    /// The table of kafka.md 3.4, as far as an honest agent meets it.
    fn append(&mut self, stream: &str, connection: u64, batch: &[u8]) -> Act {
        let header = Header::parse_exact(batch).unwrap();
        check_crc(batch, &header).unwrap();
        let BatchRange { first, next } = BatchRange::of(&header).unwrap();
        let (first, next) = (first.0, next.0);
        let lane = self.lanes.entry(stream.to_owned()).or_default();
        if lane.opened_by != connection {
            return refuse(Reason::IMPLEMENTATION_SPECIFIC, "stale");
        }
        if lane.ring.contains(&(first, next, header.crc)) {
            self.counts.duplicates += 1;
            return Act::Answer(Reason::SUCCESS, vec![("duplicate", "1".to_owned())]);
        }
        if first > lane.next {
            return refuse(Reason::IMPLEMENTATION_SPECIFIC, "out-of-order");
        }
        assert_eq!(
            first, lane.next,
            "An honest agent resends exactly what it sent"
        );
        lane.keys.extend(keys(&header, batch));
        lane.next = next;
        lane.ring.push((first, next, header.crc));
        Act::Answer(Reason::SUCCESS, vec![("next", next.to_string())])
    }
}

fn keys(header: &Header, batch: &[u8]) -> Vec<String> {
    let mut plain = Vec::new();
    let body = payload(header, batch);
    let uncompressed = match header.codec().unwrap() {
        Codec::Zstd => {
            Decompressor::new()
                .decompress_into(body, &mut plain, 16 << 20)
                .unwrap();
            plain.as_slice()
        }
        _ => body,
    };
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    records(header, uncompressed)
        .map(|record| text(record.unwrap().key.unwrap()))
        .collect()
}
