//! Load as fast as a door takes it: QoS 1 publishes on several connections with a window each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::events::{Event, Events};
use crate::source::{connect, publish};

const READ_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(60);

/// What to publish.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, each with a thread.
    pub connections: usize,
    /// Publishes that may wait for their acknowledgement, a connection.
    pub window: usize,
    /// Events in all, shared out evenly.
    pub events: usize,
    /// Seed of the events.
    pub seed: u64,
}

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// From the first publish to the last acknowledgement.
    pub elapsed: Duration,
    /// Bytes of the PUBLISH packets and their PUBACKs.
    pub bytes: u64,
}

impl Load {
    /// Publishes everything to `door` and waits for every acknowledgement.
    ///
    /// # Errors
    /// If a connection ends before that.
    pub fn run(self, door: SocketAddr) -> Result<Done, String> {
        let events = self.events / self.connections;
        let begun = Instant::now();
        let threads: Vec<_> = (0..self.connections)
            .map(|n| std::thread::spawn(move || self.connection(door, n, events)))
            .collect();
        let mut bytes = 0;
        for thread in threads {
            bytes += thread
                .join()
                .map_err(|_| "A publisher panicked")?
                .map_err(|e| e.to_string())?;
        }
        Ok(Done {
            elapsed: begun.elapsed(),
            bytes,
        })
    }

    fn connection(self, door: SocketAddr, n: usize, events: usize) -> std::io::Result<u64> {
        let mut link = TcpStream::connect(door)?;
        link.set_nodelay(true)?;
        link.set_read_timeout(Some(TIMEOUT))?;
        link.write_all(&connect(&format!("load-{n}")))?;
        link.read_exact(&mut [0; 4])?;
        let seed = self.seed.wrapping_add(u64::try_from(n).unwrap_or(0));
        let mut source = Events::new(seed, 1_760_000_000_000);
        let (mut sent, mut acked_bytes, mut bytes) = (0, 0, 0);
        let (mut out, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
        while acked_bytes < events * 4 {
            out.clear();
            while sent < events && sent - acked_bytes / 4 < self.window {
                let Event { topic, payload, .. } =
                    source.next().ok_or(std::io::ErrorKind::InvalidData)?;
                let packet_id = u16::try_from(sent % 60_000).unwrap_or(0) + 1;
                out.extend(publish(&topic, packet_id, payload.as_bytes(), false));
                sent += 1;
            }
            link.write_all(&out)?;
            let read = link.read(&mut buffer)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            acked_bytes += read;
            bytes += u64::try_from(out.len() + read).unwrap_or(0);
        }
        Ok(bytes)
    }
}
