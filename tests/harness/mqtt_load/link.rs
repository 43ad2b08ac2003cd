//! A client's connection: packets in, bytes out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wire::{self, Qos};

const READ_BYTES: usize = 64 << 10;
/// A broker that says nothing for so long will not say anything more.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    /// To be written with the next [`Link::flush`].
    pub(super) out: Vec<u8>,
    /// Beginning of a packet that is not whole yet.
    tail: Vec<u8>,
}

impl Link {
    /// Connects with a clean session and a keep alive that no run lasts.
    pub(super) async fn connect(broker: SocketAddr, client_id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(broker).await?;
        stream.set_nodelay(true)?;
        let mut link = Self {
            stream,
            out: wire::connect(client_id),
            tail: Vec::new(),
        };
        link.flush().await?;
        link.expect(&[0x20, 2, 0, 0]).await?;
        Ok(link)
    }

    pub(super) async fn subscribe(&mut self, filter: &str, qos: Qos) -> io::Result<()> {
        self.out.extend(wire::subscribe(filter, qos));
        self.flush().await?;
        self.expect(&[0x90, 3, 0, 1, u8::from(qos == Qos::One)])
            .await
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Reads once and gives every packet that is whole: first byte, body, and where to put what
    /// is to be written.
    pub(super) async fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        mut each: impl FnMut(u8, &[u8], &mut Vec<u8>),
    ) -> io::Result<()> {
        buffer.clear();
        buffer.append(&mut self.tail);
        buffer.reserve(READ_BYTES);
        let read = timeout(SILENCE_MAX, self.stream.read_buf(buffer)).await;
        if read?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &buffer[..];
        while let Some((first, body, end)) = wire::frame(rest) {
            each(first, &rest[body..end], &mut self.out);
            rest = &rest[end..];
        }
        self.tail.extend_from_slice(rest);
        Ok(())
    }

    async fn expect(&mut self, answer: &[u8]) -> io::Result<()> {
        let mut got = [0; 8];
        let got = &mut got[..answer.len()];
        timeout(SILENCE_MAX, self.stream.read_exact(got)).await??;
        if got != answer {
            return Err(io::Error::other(format!(
                "Got {got:?} where {answer:?} was due"
            )));
        }
        Ok(())
    }
}

/// A buffer for [`Link::read`].
pub(super) fn buffer() -> Vec<u8> {
    Vec::with_capacity(2 * READ_BYTES)
}
