//! Eclipse Mosquitto, from the system's package.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Finds or installs it.
///
/// # Errors
/// Why it is not there.
pub fn program() -> Result<PathBuf, String> {
    super::program("mosquitto", "mosquitto")
}

/// `mosquitto 2.0.11`, as it says itself.
#[must_use]
pub fn version(program: &Path) -> String {
    let said = Command::new(program).arg("-h").output();
    let said = said.map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines()
        .next()
        .unwrap_or("mosquitto")
        .replace(" version", "")
}

/// In memory, with room for every message in flight, so that it drops none.
#[must_use]
pub fn settings(port: u16) -> String {
    format!(
        "listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type error
sys_interval 0
set_tcp_nodelay true
max_inflight_messages 100
max_queued_messages 0
"
    )
}
