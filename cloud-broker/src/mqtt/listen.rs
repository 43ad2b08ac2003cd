//! One listening socket for each core on the same address: the kernel spreads connections.

use std::io;
use std::net::TcpListener;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::door::Listener;

/// Connections that wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;

/// `count` listeners on the address of `first`, itself among them.
///
/// The first was bound without `SO_REUSEPORT`, so that a port which another broker has is found to
/// be taken; only then it is permitted, and the others bind.
///
/// # Errors
/// The system refuses another socket.
pub(super) fn siblings(first: Listener, count: usize) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::with_capacity(count);
    if count > 1 {
        SockRef::from(&first.socket).set_reuse_port(true)?;
    }
    for _ in 1..count {
        let socket = sibling(&first.socket)?;
        listeners.push(Listener {
            name: first.name,
            socket,
            tls: first.tls.clone(),
        });
    }
    listeners.push(first);
    Ok(listeners)
}

fn sibling(first: &TcpListener) -> io::Result<TcpListener> {
    let address = first.local_addr()?;
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(SockRef::from(first).only_v6()?)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn first(address: &str) -> io::Result<Listener> {
        let socket = TcpListener::bind(address)?;
        Ok(Listener {
            name: "mqtt",
            socket,
            tls: None,
        })
    }

    #[test]
    fn all_share_the_port_that_the_first_was_given() {
        let listeners = siblings(first("127.0.0.1:0").unwrap(), 3).unwrap();
        let address = listeners[0].socket.local_addr().unwrap();
        assert_eq!(listeners.len(), 3);
        for listener in &listeners {
            assert_eq!(listener.socket.local_addr().unwrap(), address);
            listener.socket.set_nonblocking(true).unwrap();
        }
        let clients: Vec<_> = (0..30)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let accepted = || {
            listeners
                .iter()
                .filter_map(|l| l.socket.accept().ok())
                .count()
        };
        let mut count = 0;
        while count < clients.len() {
            count += accepted();
        }
    }

    #[test]
    fn another_broker_finds_the_port_taken() {
        let listeners = siblings(first("127.0.0.1:0").unwrap(), 2).unwrap();
        let address = listeners[0].socket.local_addr().unwrap().to_string();
        assert_eq!(
            first(&address).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
