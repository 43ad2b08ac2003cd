//! The door over real sockets, with a log in a temporary folder.

use std::time::Duration;

mod agents;
mod delivery;
mod harness;
mod hostile;
mod limits;
mod replay;
mod scans;
mod sessions;
mod silence;
mod tls;

/// When a test gives up waiting.
const PATIENCE: Duration = Duration::from_secs(10);
