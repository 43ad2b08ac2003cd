//! The agent's settings: keys, defaults, and the limits between their values.

mod check;
mod url;

use std::path::{Path, PathBuf};

use headwater_settings::{Bytes, Places, SettingsError, Span};
use serde::Deserialize;

pub use url::{Scheme, Url, UrlError};

use crate::sources::lines::Origin;

/// Where the log lies if nothing is said; `./headwater-data` if that cannot be written.
pub const DATA_DIR_DEFAULT: &str = "/var/lib/headwater-agent";

/// All settings of the agent; interfaces of every key in the README.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The device's name; default: common name of the certificate, else the host name.
    pub device: Option<String>,
    /// Folder of the log.
    pub data_dir: Option<PathBuf>,
    /// Address of status and metrics.
    pub http: String,
    /// The log.
    pub log: LogSettings,
    /// The way to the broker.
    pub uplink: UplinkSettings,
    /// The sources; none means one `mqtt` source.
    pub source: Vec<SourceSettings>,
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct LogSettings {
    /// What the log may take on the disk.
    pub max_bytes: Bytes,
    /// What happens when it is full.
    pub overflow: Overflow,
    /// Waits this long for company before a commit.
    pub commit_interval: Span,
    /// A batch is closed at this many compressed bytes.
    pub batch_bytes: u32,
    /// With the link up, a batch is closed at this age.
    pub batch_age: Span,
    /// zstd level of the batches.
    pub zstd_level: i32,
    /// Acknowledged batches are kept this long, within `max_bytes`.
    pub keep_acked: Span,
}

/// `log.overflow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// New events are refused; nothing that was acknowledged is lost.
    Reject,
    /// The oldest events are given up and declared lost.
    DropOldest,
}

/// `[uplink]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct UplinkSettings {
    /// Brokers; with none the agent only collects.
    pub url: Urls,
    /// The authorities that the broker's certificate is checked against.
    pub ca: Option<PathBuf>,
    /// The device's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Batches in flight.
    pub window: u16,
    /// User name instead of a certificate.
    pub user: Option<String>,
    /// File that holds the user's password.
    pub password_file: Option<PathBuf>,
    /// MQTT keep alive.
    pub keep_alive: Span,
    /// What becomes of data whose stream the broker does not have.
    pub on_missing_stream: OnMissingStream,
}

/// `uplink.url`: one or a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Urls {
    /// No broker: nothing is sent.
    #[default]
    None,
    /// One.
    One(String),
    /// Several, tried in random order.
    Many(Vec<String>),
}

/// `uplink.on_missing_stream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissingStream {
    /// Kept until the stream exists.
    Hold,
    /// Declared as lost.
    Drop,
}

/// One `[[source]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// `mqtt`, `lines` or `system`.
    pub kind: String,
    /// Its name in topics, status and metrics; default: the kind.
    pub name: Option<String>,
    /// The stream it writes to; default `events`.
    pub stream: Option<String>,
    /// The topic template.
    pub topic: Option<String>,
    /// `mqtt`: where it listens.
    pub listen: Option<String>,
    /// `lines`: where they come from.
    pub from: Option<String>,
    /// `system`: how often it reads.
    pub interval: Option<Span>,
}

impl Config {
    /// Parses and checks the text of a settings file; `env` may replace scalars.
    ///
    /// # Errors
    /// `FILE:LINE: …`; the caller ends with exit code 2.
    pub fn parse(
        text: &str,
        file_name: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut loaded = headwater_settings::load::<Self>(text, file_name, env)?;
        loaded.settings.complete();
        loaded.settings.check(&loaded.places)?;
        Ok(loaded.settings)
    }

    /// Reads the settings file, or none, with this process's environment. Paths in the file are
    /// relative to its folder.
    ///
    /// # Errors
    /// As [`Config::parse`], and for a file that cannot be read.
    pub fn read(file: Option<&Path>) -> Result<Self, SettingsError> {
        let env = headwater_settings::environment();
        let Some(path) = file else {
            return Self::parse("", "settings", env);
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::new(Some(&name), error.to_string()))?;
        let mut config = Self::parse(&text, &name, env)?;
        config.resolve_paths(path);
        Ok(config)
    }

    /// Checks settings that were made in code: what [`Config::parse`] checks of a file.
    ///
    /// # Errors
    /// Names the key.
    pub fn checked(mut self) -> Result<Self, SettingsError> {
        self.complete();
        self.check(&Places::default())?;
        Ok(self)
    }

    fn complete(&mut self) {
        if self.source.is_empty() {
            self.source.push(SourceSettings {
                kind: "mqtt".to_owned(),
                ..SourceSettings::default()
            });
        }
    }

    fn resolve_paths(&mut self, file: &Path) {
        let uplink = &mut self.uplink;
        let paths = [
            self.data_dir.as_mut(),
            uplink.ca.as_mut(),
            uplink.cert.as_mut(),
            uplink.key.as_mut(),
            uplink.password_file.as_mut(),
        ];
        for path in paths.into_iter().flatten() {
            *path = headwater_settings::beside(file, path);
        }
        for source in &mut self.source {
            source.resolve_from(file);
        }
    }
}

impl UplinkSettings {
    /// The brokers' addresses, in the order of the file.
    ///
    /// # Errors
    /// The first one that is none.
    pub fn urls(&self) -> Result<Vec<Url>, UrlError> {
        match &self.url {
            Urls::None => Ok(Vec::new()),
            Urls::One(url) => Ok(vec![Url::parse(url)?]),
            Urls::Many(urls) => urls.iter().map(|url| Url::parse(url)).collect(),
        }
    }
}

impl SourceSettings {
    /// The name; the kind if none was given.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.kind)
    }

    fn resolve_from(&mut self, file: &Path) {
        let Some(Ok(mut origin)) = self.from.as_deref().map(Origin::parse) else {
            return;
        };
        if let Some(path) = origin.path_mut() {
            *path = headwater_settings::beside(file, path);
            self.from = Some(origin.to_string());
        }
    }

    /// The stream; `events` if none was given.
    pub fn stream(&self) -> &str {
        self.stream.as_deref().unwrap_or("events")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            device: None,
            data_dir: None,
            http: "127.0.0.1:8090".to_owned(),
            log: LogSettings::default(),
            uplink: UplinkSettings::default(),
            source: Vec::new(),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            max_bytes: Bytes::gib(1),
            overflow: Overflow::Reject,
            commit_interval: Span::from_ms(0),
            batch_bytes: 64_000,
            batch_age: Span::from_secs(1),
            zstd_level: 1,
            keep_acked: Span::from_secs(600),
        }
    }
}

impl Default for UplinkSettings {
    fn default() -> Self {
        Self {
            url: Urls::None,
            ca: None,
            cert: None,
            key: None,
            window: 16,
            user: None,
            password_file: None,
            keep_alive: Span::from_secs(300),
            on_missing_stream: OnMissingStream::Hold,
        }
    }
}

#[cfg(test)]
mod tests;
