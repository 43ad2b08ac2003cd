//! Counters of this process, and their text for Prometheus. The names are fixed; scripts use them.

mod refused;

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use headwater_wire::uplink::LossReason;

pub use refused::RefusedApis;

/// Everything that is counted. One for each broker, behind an `Arc`.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Records that were appended, by the door they came through.
    pub records_in: PerDoor<Counter>,
    /// Records that had been appended before, and were answered without appending.
    pub duplicates: PerDoor<Counter>,
    /// Open connections.
    pub connections: PerDoor<Gauge>,
    /// Events that devices report as lost, by the reason that they give.
    pub lost_events: PerReason,
    /// Publishes to a topic that belongs to no stream.
    pub unrouted: Counter,
    /// Records that are larger than all memory for answers, and so were not delivered over MQTT.
    pub oversized_deliveries: Counter,
    /// Stored batches, or blocks of them, that could not be read.
    pub damaged_batches: Counter,
    /// Kafka requests of an API or version that is not spoken here.
    pub kafka_refused: RefusedApis,
    /// Bytes that were read from the store, since memory did not have them.
    pub store_read_bytes: Counter,
    /// Time that each sync of the journal took.
    pub sync: Histogram,
}

/// A way into the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorName {
    /// MQTT, with and without TLS.
    Mqtt,
    /// Kafka, with and without TLS.
    Kafka,
    /// HTTP, with and without TLS.
    Http,
}

/// One of something for each door.
#[derive(Debug, Default)]
pub struct PerDoor<T>([T; DoorName::ALL.len()]);

/// One counter for each reason of loss, and the last for what is none of them.
#[derive(Debug, Default)]
pub struct PerReason([Counter; LossReason::ALL.len() + 1]);

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// How often a time lay under each bound.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; Self::BOUNDS_US.len()],
    count: AtomicU64,
    sum_ns: AtomicU64,
}

impl DoorName {
    /// In the order of the ready line.
    pub const ALL: [Self; 3] = [Self::Mqtt, Self::Kafka, Self::Http];

    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Kafka => "kafka",
            Self::Http => "http",
        }
    }
}

impl<T> PerDoor<T> {
    /// That of one door.
    pub fn of(&self, door: DoorName) -> &T {
        &self.0[door as usize]
    }
}

impl PerReason {
    /// That of one reason; `None` is a word that this broker does not know.
    pub fn of(&self, reason: Option<LossReason>) -> &Counter {
        let known = LossReason::ALL;
        let place = reason.and_then(|reason| known.iter().position(|one| *one == reason));
        &self.0[place.unwrap_or(known.len())]
    }

    fn lines(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = LossReason::ALL.iter().map(|reason| reason.as_str());
        words
            .chain(["other"])
            .zip(self.0.iter().map(Counter::value))
    }
}

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    /// Upper bounds in microseconds; what is above the last is only in the count.
    const BOUNDS_US: [u64; 13] = [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    ];

    /// Takes one time in.
    pub fn record(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = Self::BOUNDS_US.partition_point(|us| us * 1000 < ns);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl Metrics {
    /// In Prometheus' text format, version 0.0.4.
    pub fn to_text(&self) -> String {
        let mut text = Text::default();
        text.head("headwater_records_in_total", "counter", "Records appended.");
        for door in DoorName::ALL {
            text.line("door", door.as_str(), self.records_in.of(door).value());
        }
        text.head(
            "headwater_duplicates_total",
            "counter",
            "Records answered as duplicates, not appended.",
        );
        for door in DoorName::ALL {
            text.line("door", door.as_str(), self.duplicates.of(door).value());
        }
        text.head(
            "headwater_lost_events_total",
            "counter",
            "Events that devices reported as lost.",
        );
        for (reason, events) in self.lost_events.lines() {
            text.line("reason", reason, events);
        }
        text.head(
            "headwater_unrouted_publishes_total",
            "counter",
            "Publishes to a topic that belongs to no stream.",
        );
        text.plain("", self.unrouted.value());
        text.head(
            "headwater_oversized_deliveries_total",
            "counter",
            "Records that no MQTT subscriber gets, since limits.request_memory has no room for them.",
        );
        text.plain("", self.oversized_deliveries.value());
        text.head(
            "headwater_damaged_batches_total",
            "counter",
            "Stored batches that could not be read and were passed over.",
        );
        text.plain("", self.damaged_batches.value());
        text.head(
            "headwater_kafka_refused_total",
            "counter",
            "Kafka requests of an API (by its number) and version that are not spoken here.",
        );
        for (api, version, count) in self.kafka_refused.lines() {
            text.plain(&format!("{{api=\"{api}\",version=\"{version}\"}}"), count);
        }
        text.head("headwater_connections", "gauge", "Open connections.");
        for door in DoorName::ALL {
            text.line("door", door.as_str(), self.connections.of(door).value());
        }
        text.head(
            "headwater_store_read_bytes_total",
            "counter",
            "Bytes of records read from the store, since memory did not have them.",
        );
        text.plain("", self.store_read_bytes.value());
        text.histogram(
            "headwater_sync_seconds",
            "Time of a sync of the journal.",
            &self.sync,
        );
        text.out
    }
}

#[derive(Default)]
struct Text {
    out: String,
    name: &'static str,
}

impl Text {
    fn head(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, label: &str, value: &str, number: impl std::fmt::Display) {
        let name = self.name;
        self.push(format_args!("{name}{{{label}=\"{value}\"}} {number}\n"));
    }

    fn plain(&mut self, suffix: &str, number: impl std::fmt::Display) {
        let name = self.name;
        self.push(format_args!("{name}{suffix} {number}\n"));
    }

    fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let mut below = 0;
        for (us, bucket) in Histogram::BOUNDS_US.iter().zip(&histogram.buckets) {
            below += bucket.load(Ordering::Relaxed);
            let seconds = Duration::from_micros(*us).as_secs_f64();
            self.push(format_args!("{name}_bucket{{le=\"{seconds}\"}} {below}\n"));
        }
        // Never below the buckets, though another thread may be between the two additions.
        let count = histogram.count.load(Ordering::Relaxed).max(below);
        self.push(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}\n"));
        let sum = Duration::from_nanos(histogram.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        self.plain("_sum", sum);
        self.plain("_count", count);
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a String takes all text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_fixed_name() {
        let metrics = Metrics::default();
        metrics.records_in.of(DoorName::Kafka).add(7);
        metrics.lost_events.of("lane-lost".parse().ok()).add(3);
        metrics.connections.of(DoorName::Http).add(2);
        metrics.kafka_refused.add(28, 3);
        metrics.sync.record(Duration::from_micros(100));
        metrics.sync.record(Duration::from_micros(101));
        metrics.sync.record(Duration::from_secs(2));
        let text = metrics.to_text();
        for line in [
            "headwater_records_in_total{door=\"kafka\"} 7",
            "headwater_duplicates_total{door=\"mqtt\"} 0",
            "headwater_lost_events_total{reason=\"lane-lost\"} 3",
            "headwater_kafka_refused_total{api=\"28\",version=\"3\"} 1",
            "headwater_damaged_batches_total 0",
            "headwater_connections{door=\"http\"} 2",
            "# TYPE headwater_sync_seconds histogram",
            "headwater_sync_seconds_bucket{le=\"0.00005\"} 0",
            "headwater_sync_seconds_bucket{le=\"0.0001\"} 1",
            "headwater_sync_seconds_bucket{le=\"0.00025\"} 2",
            "headwater_sync_seconds_bucket{le=\"1\"} 2",
            "headwater_sync_seconds_bucket{le=\"+Inf\"} 3",
            "headwater_sync_seconds_sum 2.000201",
            "headwater_sync_seconds_count 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn every_reason_has_its_own_counter() {
        let lost = PerReason::default();
        for (place, reason) in LossReason::ALL.iter().enumerate() {
            lost.of(Some(*reason)).add(1 + place as u64);
        }
        lost.of(None).add(100);
        let lines: Vec<_> = lost.lines().collect();
        assert_eq!((lines[0], lines[7]), (("overflow", 1), ("other", 100)));
        assert_eq!(lines.len(), LossReason::ALL.len() + 1);
    }
}
