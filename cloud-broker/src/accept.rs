//! What the listeners of all doors have in common: connections that cannot be accepted, and how the
//! sockets of those that can are set.

use std::io;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// Pause after a connection could not be accepted. The process has no file handle left, and the
/// connection stays in the queue: without a pause the listener would spin on it.
pub const PAUSE: Duration = Duration::from_millis(100);
/// Between two lines in the log.
const SILENCE: Duration = Duration::from_secs(60);

/// Bytes that the system takes beyond what the peer's window lets it send. Its buffer of some
/// megabytes would hide for minutes whether a slow peer still takes anything ([`crate::pace`]), and
/// is memory that nobody has counted.
const UNSENT_BYTES_MAX: u32 = 64 << 10;

/// Sets an accepted socket: small answers go at once, and it is writable only while the peer takes
/// what was written before. A socket that refuses works all the same.
pub fn tune(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    drop(socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX));
}

/// Says that connections cannot be accepted: once, and again only after a while.
#[derive(Debug, Default)]
pub struct AcceptTrouble {
    told: Option<Instant>,
}

impl AcceptTrouble {
    /// One more connection could not be accepted on `listener`.
    pub fn tell(&mut self, listener: &str, error: &io::Error) {
        let now = Instant::now();
        if self.is_due(now) {
            tracing::warn!("Connections cannot be accepted on {listener}: {error}");
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.told.is_none_or(|told| now - told >= SILENCE);
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn a_slow_peer_is_seen_to_take_something() -> io::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        tune(&stream);
        stream.writable().await?;
        let mut sent = 0;
        while let Ok(written) = stream.try_write(&[0; 64 << 10]) {
            sent += written;
        }
        peer.read_exact(&mut [0; 512 << 10][..sent.min(512 << 10)])
            .await?;
        let writable = tokio::time::timeout(PATIENCE, stream.writable()).await;
        assert!(writable.is_ok(), "{sent} bytes were taken at once");
        Ok(())
    }

    #[test]
    fn nobody_can_flood_the_log() {
        let (mut trouble, begun) = (AcceptTrouble::default(), Instant::now());
        let lines = (0..1000)
            .filter(|n| trouble.is_due(begun + PAUSE * *n))
            .count();
        assert_eq!(lines, 2, "in 100 seconds");
    }
}
