//! A TCP proxy between two hops that a scenario steers: it can hold the answers back, swallow
//! them, and cut every link, so that a kill finds something in flight.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A running proxy. It lives as long as the scenario's process.
#[derive(Debug, Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    listen: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    upstream: Mutex<SocketAddr>,
    holding: AtomicBool,
    links: Mutex<Vec<TcpStream>>,
    held_bytes: Mutex<u64>,
    changed: Condvar,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

impl Proxy {
    /// Listens on a free port of the loopback interface and forwards to `upstream`.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn new(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let listen = listener
            .local_addr()
            .expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            holding: AtomicBool::new(false),
            links: Mutex::new(Vec::new()),
            held_bytes: Mutex::new(0),
            changed: Condvar::new(),
            up_bytes: AtomicU64::new(0),
            down_bytes: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { shared, listen }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Forwards new links to `upstream` from now on.
    pub fn point_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().expect("no holder panics") = upstream;
    }

    /// Holds back what the upstream answers; requests still pass.
    pub fn hold_answers(&self) {
        *self.shared.held_bytes.lock().expect("no holder panics") = 0;
        self.shared.holding.store(true, Ordering::SeqCst);
    }

    /// Waits until at least one answer is held back; false if none came before `give_up`.
    #[must_use]
    pub fn wait_for_held(&self, give_up: Duration) -> bool {
        let begun = Instant::now();
        let mut held = self.shared.held_bytes.lock().expect("no holder panics");
        while *held == 0 {
            let Some(left) = give_up.checked_sub(begun.elapsed()) else {
                return false;
            };
            held = self
                .shared
                .changed
                .wait_timeout(held, left)
                .expect("no holder panics")
                .0;
        }
        true
    }

    /// Cuts every link; held answers are lost. New links pass normally.
    pub fn cut(&self) {
        for link in self
            .shared
            .links
            .lock()
            .expect("no holder panics")
            .drain(..)
        {
            let _already_closed = link.shutdown(Shutdown::Both);
        }
        self.shared.holding.store(false, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }

    /// Bytes that passed from clients to the upstream and back.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.shared.up_bytes.load(Ordering::SeqCst),
            self.shared.down_bytes.load(Ordering::SeqCst),
        )
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        let upstream = *shared.upstream.lock().expect("no holder panics");
        let Ok(server) = TcpStream::connect(upstream) else {
            continue;
        };
        let _slower = (client.set_nodelay(true), server.set_nodelay(true));
        let clones = (client.try_clone(), server.try_clone());
        let (Ok(client_too), Ok(server_too)) = clones else {
            continue;
        };
        let mut links = shared.links.lock().expect("no holder panics");
        links.extend(
            [client.try_clone(), server.try_clone()]
                .into_iter()
                .flatten(),
        );
        drop(links);
        let (up, down) = (Arc::clone(shared), Arc::clone(shared));
        std::thread::spawn(move || forward(client, server_too, &up, false));
        std::thread::spawn(move || forward(server, client_too, &down, true));
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, shared: &Shared, answers: bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        // Held bytes are dropped for good: a scenario that holds answers cuts the link next.
        if answers && shared.holding.load(Ordering::SeqCst) {
            *shared.held_bytes.lock().expect("no holder panics") += read as u64;
            shared.changed.notify_all();
            continue;
        }
        let counter = if answers {
            &shared.down_bytes
        } else {
            &shared.up_bytes
        };
        counter.fetch_add(read as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _already_closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
