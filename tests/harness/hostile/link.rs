//! A connection of a peer that keeps to nothing: bytes are split and joined as chance has it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::bytes::below;
use crate::rng::Rng;

/// Any answer that has to come has come by then.
const GIVE_UP: Duration = Duration::from_secs(20);
/// A look at what has come, no more.
const GLANCE: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    socket: TcpStream,
    waiting: Vec<u8>,
    /// What came and was not taken yet.
    pub(super) received: Vec<u8>,
    /// The broker ended the connection, or cannot be written to.
    pub(super) is_closed: bool,
}

impl Link {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, String> {
        let socket = TcpStream::connect(address).map_err(|e| format!("Cannot connect: {e}"))?;
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        let timeout = Some(GIVE_UP);
        socket
            .set_write_timeout(timeout)
            .map_err(|e| e.to_string())?;
        Ok(Self {
            socket,
            waiting: Vec::new(),
            received: Vec::new(),
            is_closed: false,
        })
    }

    /// Sends bytes: at once, in pieces, or later together with what follows.
    pub(super) fn send(&mut self, random: &mut Rng, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        match random.below(6) {
            0 => {}
            1 => {
                let whole = std::mem::take(&mut self.waiting);
                let mut rest = whole.as_slice();
                while !rest.is_empty() && !self.is_closed {
                    let (piece, behind) = rest.split_at(1 + below(random, rest.len()));
                    self.write(piece);
                    rest = behind;
                }
            }
            _ => self.flush(),
        }
    }

    /// Sends bytes at once, behind what still waits.
    pub(super) fn write_now(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        self.flush();
    }

    /// Sends what still waits.
    pub(super) fn flush(&mut self) {
        let whole = std::mem::take(&mut self.waiting);
        self.write(&whole);
    }

    /// Takes in what has come; does not wait for more.
    pub(super) fn glance(&mut self) {
        self.read(GLANCE);
    }

    /// Waits until `is_enough`, or the connection ends.
    pub(super) fn wait(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> Result<(), String> {
        self.flush();
        let begun = Instant::now();
        while !is_enough(&self.received) && !self.is_closed {
            if begun.elapsed() > GIVE_UP {
                return Err("No answer".to_owned());
            }
            self.read(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Sends no more; what comes can still be read.
    pub(super) fn half_close(&mut self) {
        self.flush();
        let _already_gone = self.socket.shutdown(Shutdown::Write);
    }

    fn write(&mut self, bytes: &[u8]) {
        if !self.is_closed && self.socket.write_all(bytes).is_err() {
            self.is_closed = true;
        }
    }

    fn read(&mut self, timeout: Duration) {
        let mut buffer = [0; 64 << 10];
        let _never_zero = self.socket.set_read_timeout(Some(timeout));
        match self.socket.read(&mut buffer) {
            Ok(0) => self.is_closed = true,
            Ok(read) => self.received.extend_from_slice(&buffer[..read]),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(_) => self.is_closed = true,
        }
    }
}
