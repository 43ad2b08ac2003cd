//! The metrics, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use headwater_wire::uplink::LossReason;

use super::Link;
use super::render::StatusView;
use crate::log::SyncCounts;

/// Each has its line from the start.
const LOSSES: [LossReason; 7] = [
    LossReason::Overflow,
    LossReason::Damaged,
    LossReason::Refused,
    LossReason::Restored,
    LossReason::LaneLost,
    LossReason::Recreated,
    LossReason::Wrap,
];

/// Renders all metrics.
pub(super) fn render(status: &StatusView, link: &Link) -> String {
    let mut out = Text(String::with_capacity(2048));
    out.head(
        "headwater_agent_events_total",
        "counter",
        "Events that are durable",
    );
    for source in &status.sources {
        let labels = format!("source=\"{}\"", source.name);
        out.value("headwater_agent_events_total", &labels, source.events);
    }
    out.head(
        "headwater_agent_rejected_events_total",
        "counter",
        "Events that were refused",
    );
    for source in &status.sources {
        let labels = format!("source=\"{}\"", source.name);
        out.value(
            "headwater_agent_rejected_events_total",
            &labels,
            source.rejected,
        );
    }
    out.head("headwater_connections", "gauge", "Clients connected");
    for kind in ["mqtt", "lines"] {
        let of_kind = status.sources.iter().filter(|source| source.kind == kind);
        let connections = of_kind.map(|source| source.connections).sum::<usize>();
        out.value(
            "headwater_connections",
            &format!("door=\"{kind}\""),
            connections,
        );
    }
    render_lost(&status.counts.lost, &mut out);
    render_log(status, &mut out);
    render_syncs(&status.counts.syncs, &mut out);
    render_link(status, link, &mut out);
    out.0
}

fn render_log(status: &StatusView, out: &mut Text) {
    let backlog = status.backlog();
    out.single(
        "headwater_agent_backlog_bytes",
        "gauge",
        "Bytes not acknowledged",
        backlog.bytes,
    );
    out.single(
        "headwater_agent_backlog_events",
        "gauge",
        "Events not acknowledged",
        backlog.events,
    );
    let (log, written) = (&status.log, "Bytes written to the device");
    out.single(
        "headwater_agent_disk_written_bytes_total",
        "counter",
        written,
        log.written_bytes,
    );
    out.single(
        "headwater_agent_log_bytes",
        "gauge",
        "Bytes that the log allocates",
        log.bytes,
    );
    let commits = "Commits that were synced";
    out.single(
        "headwater_agent_commits_total",
        "counter",
        commits,
        log.synced_commits,
    );
}

fn render_lost(lost: &BTreeMap<&'static str, u64>, out: &mut Text) {
    let name = "headwater_lost_events_total";
    out.head(name, "counter", "Events whose loss the broker has noted");
    for reason in LOSSES.map(LossReason::as_str) {
        let events = lost.get(reason).copied().unwrap_or(0);
        out.value(name, &format!("reason=\"{reason}\""), events);
    }
}

fn render_syncs(syncs: &SyncCounts, out: &mut Text) {
    let name = "headwater_sync_seconds";
    out.head(name, "histogram", "Time that a sync of the log takes");
    let bucket = format!("{name}_bucket");
    for (us, count) in &syncs.at_most_us {
        let bound = Duration::from_micros(*us).as_secs_f64();
        out.value(&bucket, &format!("le=\"{bound}\""), count);
    }
    out.value(&bucket, "le=\"+Inf\"", syncs.count);
    let sum = Duration::from_micros(syncs.sum_us).as_secs_f64();
    // Writing to a string cannot fail.
    let _infallible = write!(out.0, "{name}_sum {sum}\n{name}_count {}\n", syncs.count);
}

fn render_link(status: &StatusView, link: &Link, out: &mut Text) {
    let (bytes_out, bytes_in) = link.bytes();
    let name = "headwater_agent_link_bytes_total";
    out.head(name, "counter", "MQTT bytes on the link, TLS not counted");
    out.value(name, "direction=\"out\"", bytes_out);
    out.value(name, "direction=\"in\"", bytes_in);
    let up = u8::from(status.link.state == super::LinkState::Up);
    out.single("headwater_agent_link_up", "gauge", "1 while connected", up);
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _infallible = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "{name} {value}");
    }
}
