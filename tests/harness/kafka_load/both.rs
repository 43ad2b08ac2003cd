//! Records produced and consumed at once, at a fixed rate: how long each is on its way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rdkafka::message::Message;
use rdkafka::producer::{Producer, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;

use super::{Counting, GIVE_UP, PARTITIONS, assign, await_topic, consumer, number};
use super::{producer_settings, record, send, stamp};

/// The producer sends what is due so often.
const STEP: Duration = Duration::from_millis(1);

/// From the call that sends a record to its arrival at the consumer.
#[derive(Debug, Clone)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The latency that this share of the records (0 to 1) does not exceed.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into what was measured"
    )]
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (self.0.len() as f64 * share) as usize;
        let last = self.0.len().saturating_sub(1);
        self.0.get(at.min(last)).copied().unwrap_or_default()
    }

    /// Records that arrived.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Produces `per_second` records for `seconds` to a topic of its own, and consumes them.
///
/// # Errors
/// What librdkafka says, or how many did not come.
pub fn at_once(
    broker: SocketAddr,
    topic: &str,
    per_second: usize,
    seconds: usize,
) -> Result<Latencies, String> {
    let producer: ThreadedProducer<Counting> = producer_settings(broker, "none")
        .create_with_context(Counting::default())
        .map_err(|e| e.to_string())?;
    await_topic(producer.client(), topic)?;
    let count = per_second * seconds;
    let epoch = Instant::now();
    let (name, consumer) = (topic.to_owned(), consumer(broker)?);
    let reading = std::thread::spawn(move || receive(&consumer, &name, count, epoch));
    let mut payload = record();
    let mut sent = 0;
    while sent < count {
        let due = due(epoch.elapsed(), per_second).min(count);
        for number in sent..due {
            let micros = usize::try_from(epoch.elapsed().as_micros()).unwrap_or(0);
            stamp(&mut payload, micros);
            let partition = i32::try_from(number % PARTITIONS).unwrap_or(0);
            send(&producer, topic, partition, &payload)?;
        }
        sent = due;
        std::thread::sleep(STEP);
    }
    producer.flush(GIVE_UP).map_err(|e| e.to_string())?;
    let mut latencies = reading.join().map_err(|_| "The consumer panicked")??;
    latencies.sort_unstable();
    Ok(Latencies(latencies))
}

fn due(elapsed: Duration, per_second: usize) -> usize {
    let micros = usize::try_from(elapsed.as_micros()).unwrap_or(usize::MAX);
    micros.saturating_mul(per_second) / 1_000_000
}

fn receive(
    consumer: &rdkafka::consumer::BaseConsumer,
    topic: &str,
    count: usize,
    epoch: Instant,
) -> Result<Vec<Duration>, String> {
    assign(consumer, topic, Offset::Beginning)?;
    let mut latencies = Vec::with_capacity(count);
    let mut progress = Instant::now();
    while latencies.len() < count {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                progress = Instant::now();
                let sent = message.payload().and_then(number).ok_or("No time in it")?;
                let sent = Duration::from_micros(u64::try_from(sent).unwrap_or(0));
                latencies.push(epoch.elapsed().saturating_sub(sent));
            }
            Some(Err(error)) => return Err(error.to_string()),
            None if progress.elapsed() > GIVE_UP => {
                return Err(format!("{} of {count} records came", latencies.len()));
            }
            None => {}
        }
    }
    // The first second has the connections' making in it.
    Ok(latencies.split_off(count / 10))
}
