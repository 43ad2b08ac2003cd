//! A door, and a client that speaks bytes and blocks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use headwater_mqtt::{
    Connect, FilterBuf, Options, PACKET_BYTES_MAX, Packet, Properties, Publish, Qos, Reason,
    Sender, Subscribe, Version, frame, parse,
};

use super::PATIENCE;
use crate::auth::Auth;
use crate::backend::{self, Backend};
use crate::config::{Config, Flags};
use crate::door::{Door, Listener, StopSwitch, stop_pair};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::mqtt::{Served, serve};
use crate::tls::Tls;

/// A running door.
pub(super) struct Broker {
    pub(super) door: Door,
    pub(super) address: SocketAddr,
    switch: StopSwitch,
    served: Option<Served>,
    _dir: tempfile::TempDir,
}

impl Broker {
    /// With settings as they would stand in the file.
    pub(super) fn start(settings: &str, cores: usize) -> Self {
        Self::start_with(settings, cores, None)
    }

    pub(super) fn start_with(settings: &str, cores: usize, tls: Option<Arc<Tls>>) -> Self {
        Self::start_on(settings, cores, tls, |_| {})
    }

    /// One that keeps only the last commit in memory.
    pub(super) fn start_forgetful(settings: &str, cores: usize) -> Self {
        Self::start_on(settings, cores, None, |options| options.recent_bytes = 0)
    }

    fn start_on(
        settings: &str,
        cores: usize,
        tls: Option<Arc<Tls>>,
        change: impl FnOnce(&mut backend::Options),
    ) -> Self {
        let config = Config::parse(settings, Path::new("test"), [], &Flags::default());
        let config = Arc::new(config.expect("valid settings"));
        let dir = tempfile::tempdir().expect("a directory");
        let streams = config.stream.iter().map(|stream| stream.spec()).collect();
        let metrics = Arc::new(Metrics::default());
        let mut options = backend::Options::on_any_disk(dir.path(), streams);
        options.metrics = Arc::clone(&metrics);
        change(&mut options);
        let backend = Backend::open(options).expect("a log");
        let (switch, stop) = stop_pair();
        let door = Door {
            backend,
            auth: Arc::new(Auth::new(&config)),
            limits: Limits::new(&config.limits, Arc::clone(&metrics)),
            metrics,
            addresses: Arc::default(),
            presence: Arc::default(),
            stop,
            config,
        };
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let listener = Listener {
            name: "mqtt",
            socket,
            tls,
        };
        let cores = NonZeroUsize::new(cores).expect("at least one");
        let served = serve(door.clone(), vec![listener], cores).expect("serves");
        Self {
            door,
            address,
            switch,
            served: Some(served),
            _dir: dir,
        }
    }

    pub(super) fn client(&self) -> Client {
        Client::open(self.address, Version::V5)
    }

    /// A client that has connected.
    pub(super) fn connected(&self, version: Version, client_id: &str) -> Client {
        let mut client = Client::open(self.address, version);
        client.connect(&Connect {
            client_id,
            ..connect(version)
        });
        client
    }

    /// Tells the door to stop, and waits until it has.
    pub(super) fn stop(&mut self) {
        self.switch.request();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        self.served
            .take()
            .into_iter()
            .for_each(|served| runtime.block_on(served.ended()));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
        self.door.backend.stop();
    }
}

/// A CONNECT without anything special.
pub(super) fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::NONE,
        client_id: "test",
        will: None,
        user: None,
        password: None,
    }
}

/// A QoS 1 publish.
pub(super) fn publish<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(1),
        properties: Properties::NONE,
        payload,
    }
}

/// What carries a client's bytes.
pub(super) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A client.
pub(super) struct Client {
    wire: Box<dyn Wire>,
    received: BytesMut,
    version: Version,
}

/// A packet that came.
pub(super) struct Received {
    bytes: BytesMut,
    version: Version,
}

impl Received {
    pub(super) fn packet(&self) -> Packet<'_> {
        let frame = frame(&self.bytes, PACKET_BYTES_MAX)
            .expect("valid")
            .expect("whole");
        parse(self.version, Sender::Server, frame, &self.bytes).expect("the broker's are valid")
    }

    pub(super) fn puback(&self) -> (u16, Reason, Vec<(String, String)>) {
        let Packet::PubAck(ack) = self.packet() else {
            panic!("No PUBACK: {:?}", self.packet());
        };
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        (
            ack.packet_id,
            ack.reason,
            ack.properties.user().map(owned).collect(),
        )
    }

    pub(super) fn publish(&self) -> Publish<'_> {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("No PUBLISH: {other:?}"),
        }
    }

    /// The reason of a DISCONNECT.
    pub(super) fn disconnect(&self) -> Reason {
        match self.packet() {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("No DISCONNECT: {other:?}"),
        }
    }
}

impl Client {
    pub(super) fn open(address: SocketAddr, version: Version) -> Self {
        let socket = TcpStream::connect(address).expect("connects");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Self::over(Box::new(socket), version)
    }

    pub(super) fn over(wire: Box<dyn Wire>, version: Version) -> Self {
        Self {
            wire,
            received: BytesMut::new(),
            version,
        }
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        self.wire.write_all(bytes).expect("sends");
    }

    pub(super) fn send(&mut self, packet: &Packet<'_>) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).expect("short");
        self.send_bytes(&out);
    }

    /// The next packet; `None` at the end of the connection.
    pub(super) fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(frame) = frame(&self.received, PACKET_BYTES_MAX).expect("valid") {
                let bytes = self.received.split_to(frame.total);
                return Some(Received {
                    bytes,
                    version: self.version,
                });
            }
            let mut buffer = [0; 16 << 10];
            match self.wire.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("Nothing came"),
                Err(_) => return None,
            }
        }
    }

    pub(super) fn expect(&mut self) -> Received {
        self.next().expect("the connection goes on")
    }

    /// The connection ends without another packet.
    pub(super) fn expect_end(&mut self) {
        if let Some(received) = self.next() {
            panic!("Not the end but {:?}", received.packet());
        }
    }

    /// Sends to a peer that may have closed already.
    pub(super) fn send_lossy(&mut self, packet: &Packet<'_>) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).expect("short");
        self.send_anything(&out);
    }

    /// Sends to a peer that may have closed already: reading then finds it.
    pub(super) fn send_anything(&mut self, bytes: &[u8]) {
        drop(self.wire.write_all(bytes));
    }

    /// The connection ends, with nothing but a TLS alert.
    pub(super) fn expect_alert(&mut self) {
        let mut rest = Vec::new();
        self.wire.read_to_end(&mut rest).expect("an orderly end");
        assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
    }

    /// The connection ends after exactly these bytes.
    pub(super) fn expect_end_after(&mut self, bytes: &[u8]) {
        let mut rest = Vec::new();
        self.wire.read_to_end(&mut rest).expect("an orderly end");
        assert_eq!(rest, bytes);
    }

    /// Connects and gives the reason of the CONNACK.
    pub(super) fn try_connect(&mut self, connect: &Connect<'_>) -> Reason {
        self.version = connect.version;
        self.send(&Packet::Connect(*connect));
        match self.expect().packet() {
            Packet::ConnAck(connack) => {
                assert!(!connack.session_present);
                connack.reason
            }
            other => panic!("No CONNACK: {other:?}"),
        }
    }

    pub(super) fn connect(&mut self, connect: &Connect<'_>) {
        assert_eq!(self.try_connect(connect), Reason::SUCCESS);
    }

    pub(super) fn send_subscribe(
        &mut self,
        filters: &[(&str, Options)],
        properties: Properties<'_>,
    ) {
        let mut buf = FilterBuf::default();
        filters
            .iter()
            .for_each(|(filter, options)| buf.push(filter, *options).expect("short"));
        let subscribe = Subscribe {
            packet_id: 7,
            properties,
            filters: buf.view(),
        };
        self.send(&Packet::Subscribe(subscribe));
    }

    /// Subscribes and gives the reasons of the SUBACK.
    pub(super) fn subscribe_with(
        &mut self,
        filters: &[(&str, Options)],
        properties: Properties<'_>,
    ) -> Vec<u8> {
        self.send_subscribe(filters, properties);
        match self.expect().packet() {
            Packet::SubAck(suback) if suback.packet_id == 7 => suback.reasons.to_vec(),
            other => panic!("No SUBACK: {other:?}"),
        }
    }

    pub(super) fn subscribe(&mut self, filter: &str, qos: Qos) {
        let options = Options {
            qos,
            ..Options::default()
        };
        let reasons = self.subscribe_with(&[(filter, options)], Properties::NONE);
        assert_eq!(reasons, [qos as u8]);
    }

    /// Publishes with QoS 1 and waits for the answer.
    pub(super) fn publish(&mut self, topic: &str, payload: &[u8]) -> Reason {
        self.send(&Packet::Publish(publish(topic, payload)));
        self.expect().puback().1
    }
}
