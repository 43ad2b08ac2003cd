//! Logs to stderr, one line each, the time first.

use tracing_subscriber::EnvFilter;

/// Starts to log; `RUST_LOG` chooses what, by default `info`.
pub(super) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A program that logs already keeps its own way.
    let _already = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}
