//! A client that says exactly what a test wants.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use headwater_mqtt::{Connect, Packet, Properties, Sender, Version, frame, parse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// After this a test gives up.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Client {
    socket: TcpStream,
    version: Version,
    out: BytesMut,
    came: BytesMut,
}

pub(super) fn connect(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::NONE,
        client_id,
        will: None,
        user: None,
        password: None,
    }
}

impl Client {
    pub(super) async fn dial(address: SocketAddr, version: Version) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        Self {
            socket,
            version,
            out: BytesMut::new(),
            came: BytesMut::new(),
        }
    }

    pub(super) fn put(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.out).unwrap();
    }

    pub(super) async fn flush(&mut self) {
        let out = std::mem::take(&mut self.out);
        self.send_bytes(&out).await;
    }

    pub(super) async fn send(&mut self, packet: &Packet<'_>) {
        self.put(packet);
        self.flush().await;
    }

    /// The other side may have closed while this was written; the next answer tells.
    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _maybe_closed = timeout(PATIENCE, self.socket.write_all(bytes))
            .await
            .unwrap();
    }

    /// The next packet must be as `wanted` says.
    pub(super) async fn expect(&mut self, wanted: impl Fn(&Packet<'_>) -> bool) {
        let bytes = self
            .next()
            .await
            .expect("A packet was expected, not the end");
        let found = frame(&bytes, usize::MAX).unwrap().unwrap();
        let packet = parse(self.version, Sender::Server, found, &bytes).unwrap();
        assert!(wanted(&packet), "{packet:?}");
    }

    /// The connection must end without another packet.
    pub(super) async fn expect_end(&mut self) {
        assert_eq!(self.next().await, None);
    }

    async fn next(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(found) = frame(&self.came, usize::MAX).unwrap() {
                return Some(self.came.split_to(found.total));
            }
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.came))
                .await
                .unwrap();
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}
