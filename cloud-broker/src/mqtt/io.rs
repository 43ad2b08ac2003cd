//! A client's socket, with or without TLS. rustls itself does no I/O, so both kinds of connection
//! take the same way: bytes come in one call, and go out in one.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};

use bytes::BytesMut;
use rustls::ServerConnection;
use tokio::net::tcp::OwnedWriteHalf;

use super::out::Out;

/// The sending side of a socket, and the TLS session of both sides.
#[derive(Debug)]
pub(super) struct Io {
    socket: OwnedWriteHalf,
    tls: Option<RefCell<Box<ServerConnection>>>,
}

impl Io {
    pub(super) fn new(socket: OwnedWriteHalf, tls: Option<ServerConnection>) -> Self {
        Self {
            socket,
            tls: tls.map(|tls| RefCell::new(Box::new(tls))),
        }
    }

    /// Resolves when the socket takes bytes again.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// What `raw`, which came from the socket, says: appended to `plain`. Without TLS nothing is
    /// copied and `raw` itself is what it says.
    ///
    /// # Errors
    /// The peer breaks TLS; [`Io::flush`] then sends the alert.
    pub(super) fn decrypt<'a>(
        &self,
        mut raw: &'a [u8],
        plain: &'a mut BytesMut,
    ) -> io::Result<&'a [u8]> {
        let Some(tls) = &self.tls else {
            return Ok(raw);
        };
        let mut tls = tls.borrow_mut();
        plain.clear();
        while !raw.is_empty() {
            if tls.read_tls(&mut raw)? == 0 {
                // Nothing counts behind the peer's farewell.
                break;
            }
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let ready = state.plaintext_bytes_to_read();
            let before = plain.len();
            plain.resize(before + ready, 0);
            tls.reader().read_exact(&mut plain[before..])?;
        }
        Ok(plain)
    }

    /// Sends as much of `out` as the socket takes. Gives whether all is gone.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn flush(&self, out: &mut Out) -> io::Result<bool> {
        match &self.tls {
            None => out.write_with(|slices| match slices {
                // Cheaper for the kernel, and nearly always enough.
                [one] => self.socket.try_write(one),
                several => self.socket.try_write_vectored(several),
            }),
            Some(tls) => self.flush_tls(&mut tls.borrow_mut(), out),
        }
    }

    fn flush_tls(&self, tls: &mut ServerConnection, out: &mut Out) -> io::Result<bool> {
        let mut socket = Socket(&self.socket);
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            if out.is_empty() || tls.is_handshaking() {
                return Ok(true);
            }
            // Takes what fits into the session's buffer; the loop above then empties it.
            out.write_with(|slices| match tls.writer().write_vectored(slices)? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                taken => Ok(taken),
            })?;
        }
    }

    /// The client's certificate, as far as it has been verified.
    pub(super) fn certificate(&self) -> Option<rustls_pki_types::CertificateDer<'static>> {
        let tls = self.tls.as_ref()?.borrow();
        crate::tls::peer_certificate(&tls).cloned()
    }

    /// Tells the peer's system that nothing more will come.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn shut_down(&self) -> io::Result<()> {
        let socket: &tokio::net::TcpStream = self.socket.as_ref();
        socket2::SockRef::from(socket).shutdown(std::net::Shutdown::Write)
    }

    /// Tells a TLS peer that nothing more will come.
    pub(super) fn close_notify(&self) {
        if let Some(tls) = &self.tls {
            tls.borrow_mut().send_close_notify();
        }
    }
}

/// Lets rustls write to the socket without waiting.
struct Socket<'a>(&'a OwnedWriteHalf);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
