//! Figures and tables, for people to read.

use std::time::Duration;

use headwater_tests::peers::Running;

/// A line of the result.
#[expect(clippy::print_stdout, reason = "a command's result")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// A figure with its name.
pub(crate) fn figure(name: &str, value: f64) {
    let digits = if value >= 1_000.0 { 0 } else { 2 };
    say(&format!("  {name:<34} {value:>12.digits$}"));
}

/// Processors and system.
pub(crate) fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{cores} x {}, {}",
        model.trim_start_matches([' ', '\t', ':']),
        std::env::consts::OS
    )
}

/// Per second.
#[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
pub(crate) fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// Microseconds each.
#[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
pub(crate) fn per(cpu: Duration, count: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// One by the other.
#[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
pub(crate) fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}

/// What a broker has resident now.
#[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
pub(crate) fn resident_mib(running: &Running) -> f64 {
    running.process.resident_bytes().unwrap_or(0) as f64 / 1_048_576.0
}

/// Milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The middle one; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Three figures that count, with k and M for thousands and millions.
pub(crate) fn short(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 999_500.0 => (v / 1e6, " M"),
        v if v >= 9_995.0 => (v / 1e3, " k"),
        v => (v, ""),
    };
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

/// A Markdown table.
pub(crate) fn table(head: &[String], rows: &[Vec<String>]) {
    let line = |cells: &[String]| say(&format!("| {} |", cells.join(" | ")));
    line(head);
    say(&format!("|{}", " --- |".repeat(head.len())));
    rows.iter().for_each(|row| line(row));
}
