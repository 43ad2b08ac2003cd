//! The uplink: moves bytes for [`headwater_agent_core::uplink`], which decides.
//!
//! One rumqttc event loop per connection, polled by a task of its own and thrown away on any doubt
//! (`client.rs`); the log is the only queue. The driver hands what happens to the core and does
//! what the core says.

mod address;
mod client;
mod driver;
mod tls;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use headwater_settings::SettingsError;

use crate::config::{Config, OnMissingStream, Url};
use crate::log::Log;
use crate::sources::Stopping;
use crate::status::{Link, LinkState, Status};

pub use tls::check as check_tls;

/// Packet ids of one connection: the client's table has this many slots.
const PACKET_IDS: u16 = 64;
/// Publishes in flight at most (`uplink.window`): some packet ids are left for other packets.
pub const INFLIGHT_MAX: u16 = PACKET_IDS - 4;
/// Bytes in flight at most: `uplink.window` times `log.batch_bytes`.
pub const INFLIGHT_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// How the uplink connects.
#[derive(Debug, Clone)]
pub struct Options {
    /// Brokers; none means that nothing is sent.
    pub urls: Vec<Url>,
    /// `<device>~<8 hex digits>`.
    pub client_id: String,
    /// The device's name.
    pub device: String,
    /// Authorities, certificate and key; read again at each connection.
    pub files: TlsFiles,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Publishes in flight.
    pub window: u16,
    /// MQTT keep alive, at least 5 s.
    pub keep_alive: Duration,
    /// Whether a lane whose stream does not exist gives up what it holds.
    pub drop_missing: bool,
    /// With publishes in flight, a connection whose oldest has waited this long is given up.
    pub watchdog: Duration,
}

/// The files that TLS needs.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// The authorities that the broker is checked against.
    pub ca: Option<PathBuf>,
    /// The device's certificate, with those between it and the authority.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

impl Options {
    /// From the settings; reads the password.
    ///
    /// # Errors
    /// A bad address, or a password file that cannot be read.
    pub fn new(config: &Config, device: &str, boot: &str) -> Result<Self, SettingsError> {
        let uplink = &config.uplink;
        let urls = uplink
            .urls()
            .map_err(|error| SettingsError::new(None, error))?;
        let login = match (&uplink.user, &uplink.password_file) {
            (Some(user), Some(file)) => {
                let failed = |error| {
                    SettingsError::new(
                        None,
                        format!("uplink.password_file {}: {error}", file.display()),
                    )
                };
                let password = std::fs::read_to_string(file).map_err(failed)?;
                Some((
                    user.clone(),
                    password.trim_end_matches(['\r', '\n']).to_owned(),
                ))
            }
            _ => None,
        };
        let watchdog_ms = headwater_agent_core::uplink::WATCHDOG_MS;
        Ok(Self {
            urls,
            client_id: format!("{device}~{boot}"),
            device: device.to_owned(),
            files: TlsFiles {
                ca: uplink.ca.clone(),
                cert: uplink.cert.clone(),
                key: uplink.key.clone(),
            },
            login,
            window: uplink.window,
            keep_alive: uplink.keep_alive.duration(),
            drop_missing: uplink.on_missing_stream == OnMissingStream::Drop,
            watchdog: Duration::from_millis(u64::try_from(watchdog_ms).unwrap_or(0)),
        })
    }
}

/// Runs the uplink until the agent stops. With `contradiction` (the certificate or the settings
/// name another device than the log) the link stays down and shows it: nothing is sent.
pub async fn run(
    options: Options,
    contradiction: Option<String>,
    log: Log,
    link: Link,
    status: Status,
    mut stopping: Stopping,
) {
    let idle = match contradiction {
        Some(error) => {
            tracing::error!("The uplink stays down: {error}");
            Some(error)
        }
        None if options.urls.is_empty() => Some("No uplink.url is set".to_owned()),
        None => None,
    };
    if let Some(error) = idle {
        link.set(LinkState::Down, Some(error));
        return stopping.wait().await;
    }
    driver::Driver::new(options, log, link, status)
        .run(stopping)
        .await;
}

#[cfg(test)]
mod tests;
