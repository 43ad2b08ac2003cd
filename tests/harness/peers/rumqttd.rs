//! rumqttd, built once from the registry.

use std::path::PathBuf;
use std::process::Command;

/// The version that is compared.
pub const VERSION: &str = "0.20.0";

/// Finds it beside the build's output, or installs it there.
///
/// # Errors
/// Why it is not there.
pub fn program() -> Result<PathBuf, String> {
    let folder = super::folder();
    let program = folder.join("bin/rumqttd");
    if program.is_file() {
        return Ok(program);
    }
    let status = Command::new("cargo")
        .args(["install", "rumqttd", "--version", VERSION, "--root"])
        .arg(&folder)
        .arg("--target-dir")
        .arg(folder.join("build"))
        // Its lock file names crates that no longer compile.
        .env("CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS", "fallback")
        .status();
    match status {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => Err(format!("cargo install rumqttd: {status}")),
        Err(error) => Err(format!("cargo install rumqttd: {error}")),
    }
}

/// As it ships, with room for the connections and without a pause between them.
#[must_use]
pub fn settings(port: u16) -> String {
    format!(
        "id = 0
[router]
id = 0
max_connections = 20010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = \"v4-1\"
listen = \"127.0.0.1:{port}\"
next_connection_delay_ms = 0
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 20480
max_inflight_count = 100
dynamic_filters = true
"
    )
}
