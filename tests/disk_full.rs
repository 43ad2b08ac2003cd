//! Full disks, and an agent's log that has reached its size: what cannot be kept is refused and
//! not acknowledged, reads go on, and with room everything goes on by itself. Nothing that was
//! acknowledged is lost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headwater_tests::process::{GIVE_UP, Process};
use headwater_tests::rng::Rng;
use headwater_tests::small_disk::SmallDisk;
use headwater_tests::stack::Stack;
use headwater_tests::uplink::Uplink;
use headwater_tests::{consume, http, source};

const TOPIC: &str = "plant/a";
/// Quota exceeded.
const FULL: u8 = 0x97;
const VALUE_BYTES: usize = 60_000;
/// More than any disk here holds.
const VALUES_MAX: usize = 10_000;
/// The smallest that an agent takes.
const LOG_BYTES_MAX: u64 = 16 << 20;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

/// A client that publishes large, incompressible values and remembers which are safe.
struct Publisher {
    rng: Rng,
    acked: Vec<Vec<u8>>,
}

impl Publisher {
    fn new() -> Self {
        Self {
            rng: Rng::new(1),
            acked: Vec::new(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let byte = |rng: &mut Rng| u8::try_from(rng.below(256)).expect("below 256");
        (0..VALUE_BYTES).map(|_| byte(&mut self.rng)).collect()
    }

    /// Publishes one; whether it is safe, and if not, what was said.
    fn publish(&mut self, link: &mut Uplink) -> Result<(), Result<u8, String>> {
        let value = self.value();
        match link.publish(TOPIC, &value).map(|answer| answer.reason) {
            Ok(0) => {
                self.acked.push(value);
                Ok(())
            }
            refused => Err(refused),
        }
    }

    /// Publishes until one is refused; what was said.
    fn fill(&mut self, door: SocketAddr) -> Result<u8, String> {
        let mut link = Uplink::connect(door, "sensor")?;
        for _ in 0..VALUES_MAX {
            if let Err(refused) = self.publish(&mut link) {
                return refused;
            }
        }
        panic!("{VALUES_MAX} values fit");
    }

    /// Publishes until one is taken.
    fn publish_at_last(&mut self, door: SocketAddr) {
        let begun = Instant::now();
        let mut link = Uplink::connect(door, "sensor").expect("a link");
        while let Err(refused) = self.publish(&mut link) {
            assert!(begun.elapsed() < GIVE_UP, "still {refused:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Over MQTT 3.1.1, which knows no refusal: the connection ends without an acknowledgement.
    fn is_hung_up_on(&mut self, door: SocketAddr) {
        let mut link = TcpStream::connect(door).expect("a listener");
        link.set_read_timeout(Some(GIVE_UP)).expect("a timeout");
        link.write_all(&source::connect("old")).expect("sent");
        let value = self.value();
        // It may hang up in the midst of this.
        let _cut = link.write_all(&source::publish(TOPIC, 1, &value, false));
        let mut said = Vec::new();
        if let Err(error) = link.read_to_end(&mut said) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        assert!(said.len() <= 4, "CONNACK and nothing else: {said:?}");
    }

    /// Everything that was acknowledged is there, once and in order.
    #[track_caller]
    fn is_stored(&self, broker: &Process) {
        let records = consume::everything(broker.address("kafka"), "events").expect("records");
        let stored: Vec<_> = records
            .into_iter()
            .filter_map(|record| record.value)
            .collect();
        let mut rest = stored.iter();
        for (number, value) in self.acked.iter().enumerate() {
            assert!(rest.any(|stored| stored == value), "#{number} is not there");
        }
        assert_eq!(stored.len(), self.acked.len(), "nothing else is there");
    }
}

#[test]
fn a_broker_whose_disk_is_full() {
    SmallDisk::run("a_broker_whose_disk_is_full", 200, |disk| {
        let settings = disk.path().join("broker.toml");
        let text = format!(
            r#"data_dir = "{}/broker"
[limits]
disk_min_free = "0%"
[listeners]
mqtt = "127.0.0.1:0"
kafka = "127.0.0.1:0"
http = "127.0.0.1:0"
"#,
            disk.path().display()
        );
        std::fs::write(&settings, text).expect("settings");
        let settings = settings.display().to_string();
        let start = || {
            Process::start(program(), "broker", &["run", "--config", &settings]).expect("a broker")
        };
        let mut broker = start();
        let (door, web) = (broker.address("mqtt"), broker.address("http"));
        let mut publisher = Publisher::new();
        publisher.publish_at_last(door);

        let ballast = disk.fill();
        // Those that wait when the disk turns out to be full lose their connection; whoever comes
        // then is refused.
        let _either_way = publisher.fill(door);
        assert_eq!(publisher.fill(door), Ok(FULL));
        publisher.is_hung_up_on(door);
        let (status, said) = http::get(web, "/readyz").expect("an answer");
        assert!(status == 503 && said.contains("disk-full"), "{said}");
        publisher.is_stored(&broker);
        let mut device = Uplink::connect(door, "gw-1").expect("a link");
        let answer = device.resume("events", 0, 1).expect("an answer");
        assert_eq!((answer.reason, answer.property("error")), (FULL, "busy"));

        drop(ballast);
        publisher.publish_at_last(door);
        assert_eq!(http::get(web, "/readyz").expect("an answer").0, 200);
        publisher.is_stored(&broker);
        assert!(broker.terminate().expect("an end").success());
        let broker = start();
        publisher.is_stored(&broker);
    });
}

#[test]
fn an_agent_whose_disk_is_full() {
    SmallDisk::run("an_agent_whose_disk_is_full", 40, |disk| {
        let mut stack = Stack::start(program(), "", "").expect("a stack");
        stack
            .broker
            .take()
            .expect("it runs")
            .terminate()
            .expect("an end");
        stack
            .agent
            .take()
            .expect("it runs")
            .terminate()
            .expect("an end");
        let settings = stack.path("agent.toml");
        let text = std::fs::read_to_string(&settings).expect("settings");
        let here = format!("{}/agent\"", stack.folder.path().display());
        let there = format!("{}/agent\"", disk.path().display());
        std::fs::write(&settings, text.replace(&here, &there)).expect("settings");
        stack.start_agent().expect("an agent");
        let door = stack.agent().address("mqtt");
        let mut publisher = Publisher::new();
        publisher.publish_at_last(door);

        let ballast = disk.fill();
        assert_eq!(publisher.fill(door), Ok(FULL));
        publisher.is_hung_up_on(door);
        drop(ballast);
        publisher.publish_at_last(door);
        let _full_again = publisher.fill(door);
        stack.start_broker().expect("a broker");
        stack.wait_until_drained().expect("it drains");
        publisher.publish_at_last(door);
        stack.wait_until_drained().expect("it drains");
        publisher.is_stored(stack.broker());
    });
}

#[test]
fn an_agent_whose_log_has_reached_its_size() {
    let settings = format!("[log]\nmax_bytes = {LOG_BYTES_MAX}\n");
    let mut stack = Stack::start(program(), &settings, "").expect("a stack");
    stack
        .broker
        .take()
        .expect("it runs")
        .terminate()
        .expect("an end");
    let watch = SizeWatch::start(stack.path("agent"));
    let door = stack.agent().address("mqtt");
    let mut publisher = Publisher::new();
    assert_eq!(publisher.fill(door), Ok(FULL));
    publisher.is_hung_up_on(door);
    assert!(
        publisher.acked.len() * VALUE_BYTES > 4 << 20,
        "only {} values fit",
        publisher.acked.len()
    );
    stack.start_broker().expect("a broker");
    stack.wait_until_drained().expect("it drains");
    publisher.publish_at_last(door);
    stack.wait_until_drained().expect("it drains");
    let peak = watch.finish();
    assert!(peak <= LOG_BYTES_MAX, "{peak} bytes at the peak");
    publisher.is_stored(stack.broker());
}

/// Measures a directory over and over.
struct SizeWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl SizeWatch {
    fn start(folder: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            while !told.load(Ordering::SeqCst) {
                peak = peak.max(allocated_bytes(&folder));
                std::thread::sleep(Duration::from_millis(1));
            }
            peak
        });
        Self { stop, thread }
    }

    /// The most that was seen, bytes.
    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("it does not panic")
    }
}

/// As `du -B1` counts. What vanishes meanwhile counts nothing.
fn allocated_bytes(path: &Path) -> u64 {
    let own = std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
    own + inside
        .map(|entry| allocated_bytes(&entry.path()))
        .sum::<u64>()
}
