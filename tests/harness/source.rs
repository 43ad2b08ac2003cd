//! A numbered QoS 1 publisher that never gives up: what it was told is safe, and how often it
//! sent each event, are what a scenario compares the log with. MQTT 3.1.1 by hand, on purpose
//! independent of the project's own codec.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::events::Events;

/// Publishes that may wait for their acknowledgement at once.
const WINDOW: usize = 64;
/// Events of one burst, and the pause after it: load shaping, some 800 events/s a source.
const BURST: usize = 8;
const PAUSE: Duration = Duration::from_millis(9);
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);
const ACK_TIMEOUT: Duration = Duration::from_secs(3);

/// What a source knows at its end: an entry an event, by number.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// How often the event was written to a socket.
    pub sends: Vec<u32>,
    /// Whether an acknowledgement came back.
    pub acked: Vec<bool>,
}

/// A running source.
#[derive(Debug)]
pub struct Source {
    /// Topic of every event of this source.
    pub topic: String,
    stop: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
    thread: JoinHandle<()>,
}

impl Source {
    /// Starts publishing to `target` on topic `kills/<name>`.
    #[must_use]
    pub fn start(name: &str, target: SocketAddr, seed: u64) -> Self {
        let topic = format!("kills/{name}");
        let stop = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let mut publisher = Publisher {
            name: name.to_owned(),
            topic: topic.clone(),
            target,
            events: Events::new(seed, 1_760_000_000_000),
            unacked: VecDeque::new(),
            stop: Arc::clone(&stop),
            ledger: Arc::clone(&ledger),
        };
        let thread = std::thread::spawn(move || publisher.run());
        Self {
            topic,
            stop,
            ledger,
            thread,
        }
    }

    /// Stops making events, waits until each one is acknowledged, and gives the books.
    ///
    /// # Panics
    /// If the publisher's thread panicked.
    #[must_use]
    pub fn finish(self) -> Ledger {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the publisher does not panic");
        self.ledger.lock().expect("the publisher has ended").clone()
    }

    /// Events acknowledged so far.
    #[must_use]
    pub fn acked(&self) -> usize {
        self.ledger
            .lock()
            .expect("no holder panics")
            .acked
            .iter()
            .filter(|acked| **acked)
            .count()
    }
}

/// Number of an event, from its payload.
#[must_use]
pub fn number(payload: &[u8]) -> Option<usize> {
    std::str::from_utf8(payload)
        .ok()?
        .split_once('#')?
        .0
        .parse()
        .ok()
}

struct Publisher {
    name: String,
    topic: String,
    target: SocketAddr,
    events: Events,
    unacked: VecDeque<(usize, Vec<u8>)>,
    stop: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Publisher {
    fn run(&mut self) {
        while !self.done() {
            // An error here is a killed peer or a cut link: begin again and resend.
            let _cut = self.connection();
            std::thread::sleep(RECONNECT_PAUSE);
        }
    }

    fn done(&self) -> bool {
        self.stop.load(Ordering::SeqCst) && self.unacked.is_empty()
    }

    fn connection(&mut self) -> std::io::Result<()> {
        let mut link = TcpStream::connect(self.target)?;
        link.set_nodelay(true)?;
        link.set_read_timeout(Some(ACK_TIMEOUT))?;
        link.write_all(&connect(&self.name))?;
        let mut connack = [0; 4];
        link.read_exact(&mut connack)?;
        let mut sent = 0;
        while !self.done() {
            while sent < self.unacked.len() {
                self.send(&mut link, sent)?;
                sent += 1;
            }
            sent -= self.collect(&mut link)?;
            self.make();
        }
        link.write_all(&[0xE0, 0])
    }

    /// Makes the next burst, if the window has room for it.
    fn make(&mut self) {
        if self.stop.load(Ordering::SeqCst) || self.unacked.len() + BURST > WINDOW {
            return;
        }
        std::thread::sleep(PAUSE);
        let mut ledger = self.ledger.lock().expect("no holder panics");
        for event in self.events.by_ref().take(BURST) {
            let number = ledger.sends.len();
            ledger.sends.push(0);
            ledger.acked.push(false);
            self.unacked
                .push_back((number, format!("{number}#{}", event.payload).into_bytes()));
        }
    }

    fn send(&mut self, link: &mut TcpStream, index: usize) -> std::io::Result<()> {
        let (number, payload) = &self.unacked[index];
        let again = {
            let mut ledger = books(&self.ledger);
            ledger.sends[*number] += 1;
            ledger.sends[*number] > 1
        };
        link.write_all(&publish(&self.topic, packet_id(*number), payload, again))
    }

    /// Reads acknowledgements: at least one when something waits, all that has arrived.
    fn collect(&mut self, link: &mut TcpStream) -> std::io::Result<usize> {
        let mut count = 0;
        while !self.unacked.is_empty() && (count == 0 || self.unacked.len() + BURST > WINDOW) {
            let mut puback = [0; 4];
            link.read_exact(&mut puback)?;
            let (number, _) = self
                .unacked
                .pop_front()
                .ok_or(std::io::ErrorKind::InvalidData)?;
            if puback[0] != 0x40 || u16::from_be_bytes([puback[2], puback[3]]) != packet_id(number)
            {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            books(&self.ledger).acked[number] = true;
            count += 1;
        }
        Ok(count)
    }
}

fn books(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no holder panics")
}

/// Packet ids 1 to 60,000, in turn.
fn packet_id(number: usize) -> u16 {
    u16::try_from(number % 60_000).unwrap_or(0) + 1
}

/// Appends a string as MQTT writes it.
pub fn text(into: &mut Vec<u8>, text: &str) {
    into.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    into.extend(text.as_bytes());
}

/// A packet of this first byte and what follows its length.
#[must_use]
pub fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![head];
    let mut left = body.len();
    loop {
        let digit = u8::try_from(left % 128).unwrap_or(0);
        left /= 128;
        packet.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// A CONNECT of MQTT 3.1.1, clean session, no keep alive.
#[must_use]
pub fn connect(client_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.extend([4, 2, 0, 0]);
    text(&mut body, client_id);
    packet(0x10, &body)
}

/// A PUBLISH of MQTT 3.1.1 at QoS 1.
#[must_use]
pub fn publish(topic: &str, packet_id: u16, payload: &[u8], again: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
    text(&mut body, topic);
    body.extend(packet_id.to_be_bytes());
    body.extend(payload);
    packet(if again { 0x3A } else { 0x32 }, &body)
}
