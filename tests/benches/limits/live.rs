//! One publisher and one subscriber, and how long each publish is on its way.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headwater_tests::source::{connect, publish};

const TOPIC: &str = "live/t";
const EVERY: Duration = Duration::from_millis(5);
/// SUBSCRIBE to [`TOPIC`] at QoS 0.
const SUBSCRIBE: &[u8] = b"\x82\x0b\0\x01\0\x06live/t\0";
/// PUBLISH at QoS 0 with a payload of eight bytes.
const DELIVERY_BYTES: usize = 2 + 2 + TOPIC.len() + 8;

/// Times from publish to delivery.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<Duration>);

/// A publisher and a subscriber, each with a thread, until it is dropped.
pub(super) struct Pair {
    seen: Arc<Mutex<Latencies>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Pair {
    pub(super) fn start(door: SocketAddr) -> Result<Self, String> {
        let seen = Arc::<Mutex<Latencies>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let mut subscriber = open(door, "live-sub")?;
        subscriber.write_all(SUBSCRIBE).map_err(|e| e.to_string())?;
        let mut suback = [0; 5];
        subscriber
            .read_exact(&mut suback)
            .map_err(|e| e.to_string())?;
        let mut publisher = open(door, "live-pub")?;
        let deliveries = {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let mut delivery = [0; DELIVERY_BYTES];
                while subscriber.read_exact(&mut delivery).is_ok() {
                    let sent = delivery.last_chunk().copied().unwrap_or_default();
                    let sent = Duration::from_nanos(u64::from_be_bytes(sent));
                    let latency = begun.elapsed().saturating_sub(sent);
                    lock(&seen).0.push(latency);
                }
            })
        };
        let publishes = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    let now = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    let packet = publish(TOPIC, 1, &now.to_be_bytes(), false);
                    if publisher.write_all(&packet).is_err() {
                        break;
                    }
                    next += EVERY;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            })
        };
        Ok(Self {
            seen,
            stop,
            threads: vec![deliveries, publishes],
        })
    }

    /// What was seen since the last call.
    pub(super) fn take(&self) -> Latencies {
        std::mem::take(&mut *lock(&self.seen))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The subscriber ends with the broker.
        drop(self.threads.pop().map(JoinHandle::join));
    }
}

impl Latencies {
    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The time within which `percent` of the deliveries came.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |percent| self.percentile(percent).as_secs_f64() * 1000.0;
        write!(
            f,
            "p50 {:.2} ms, p99 {:.2} ms, greatest {:.1} ms of {}",
            ms(50),
            ms(99),
            ms(100),
            self.0.len()
        )
    }
}

fn lock(seen: &Mutex<Latencies>) -> std::sync::MutexGuard<'_, Latencies> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(door: SocketAddr, client_id: &str) -> Result<TcpStream, String> {
    let mut link = TcpStream::connect(door).map_err(|e| e.to_string())?;
    link.set_nodelay(true).map_err(|e| e.to_string())?;
    link.write_all(&connect(client_id))
        .map_err(|e| e.to_string())?;
    let mut connack = [0; 4];
    link.read_exact(&mut connack).map_err(|e| e.to_string())?;
    Ok(link)
}
