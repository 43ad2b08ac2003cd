//! Settings of the broker: every key, its default, and what they may not be.

mod check;
mod listeners;
mod streams;

use std::path::{Path, PathBuf};

use headwater_settings::{Bytes, Percent, SettingsError, Span};
use serde::Deserialize;

pub use listeners::{Address, Listeners};
pub use streams::StreamConfig;

/// All settings. Paths are already relative to the process's working directory.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where the log lies; `None` stands for [`DATA_DIR`], with a fallback.
    pub data_dir: Option<PathBuf>,
    /// What the log is kept in: `file:` is the data directory.
    pub store: String,
    /// The host that clients are told to connect to; by default the address they came to.
    pub advertise: Option<String>,
    /// The addresses that are listened on.
    pub listeners: Listeners,
    /// Certificates for the TLS listeners.
    pub tls: Option<TlsConfig>,
    /// Who may connect.
    pub auth: AuthConfig,
    /// The MQTT door.
    pub mqtt: MqttConfig,
    /// The Kafka door.
    pub kafka: KafkaConfig,
    /// What all connections together may use.
    pub limits: LimitsConfig,
    /// The streams that exist from the start, in the order in which topics are matched.
    pub stream: Vec<StreamConfig>,
}

/// The default data directory.
pub const DATA_DIR: &str = "/var/lib/headwater";
/// The data directory if none was named and the default one cannot be written.
pub const DATA_DIR_FALLBACK: &str = "./headwater-data";
/// The smallest `mqtt.max_packet`: an agent's batch of 256,000 bytes and its envelope.
pub const MAX_PACKET_MIN: Bytes = Bytes::kib(256);
/// The largest `mqtt.max_packet`: what the four length bytes of an MQTT packet can say.
pub const MAX_PACKET_MAX: Bytes = Bytes(268_435_455 - 4096);

/// Section `[tls]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TlsConfig {
    /// PEM file with the server's certificate and those between it and the root.
    pub cert: PathBuf,
    /// PEM file with the server's key.
    pub key: PathBuf,
    /// PEM file with the authorities whose clients are admitted.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused in the handshake already.
    #[serde(default)]
    pub require_client_cert: bool,
}

/// Section `[auth]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    /// From where a client needs no proof of who it is.
    pub anonymous: Anonymous,
    /// The password file.
    pub users: Option<PathBuf>,
    /// The rules of who may do what.
    pub acl: Option<PathBuf>,
}

/// Values of `auth.anonymous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// From this machine only.
    #[default]
    Loopback,
    /// From anywhere.
    Everywhere,
    /// Nobody.
    Never,
}

/// Section `[mqtt]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MqttConfig {
    /// The largest application message; a packet may have 4 KiB of envelope beside it.
    pub max_packet: Bytes,
    /// The keep-alive that clients are told to use; 0 leaves it to them. At most 65,535 s.
    pub server_keep_alive: Span,
    /// Topic aliases that a client may use on one connection.
    pub topic_alias_max: u16,
    /// QoS 1 publishes that a client may have unanswered; at least 1.
    pub receive_max: u16,
}

/// Section `[kafka]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KafkaConfig {
    /// Whether asking for an unknown topic creates it.
    pub auto_create: bool,
    /// Partitions of a topic that is created so.
    pub auto_create_partitions: u32,
    /// The largest request frame.
    pub max_request: Bytes,
    /// The shortest session timeout of a consumer group's member.
    pub group_min_session: Span,
}

/// Section `[limits]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct LimitsConfig {
    /// Connections of all doors together.
    pub connections: u32,
    /// Lanes (streams × lane names) of one device.
    pub lanes_per_device: u32,
    /// Memory for requests that are being received or worked on, all doors together.
    pub request_memory: Bytes,
    /// Memory for the keys of a partition that is compacted; where they are more, it takes several
    /// passes.
    pub compaction_memory: Bytes,
    /// Below this share of the disk nothing more is accepted.
    pub disk_min_free: Percent,
}

/// What the command line says in place of the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--store`.
    pub store: Option<String>,
    /// `--advertise`.
    pub advertise: Option<String>,
    /// One flag for each listener; those given replace the file's.
    pub listeners: Listeners,
}

impl Config {
    /// Settings from the file that `flags` name, the environment, and the flags themselves, each
    /// before the one named here first.
    ///
    /// # Errors
    /// A file that cannot be read, and everything that [`headwater_settings::load`] and
    /// [`Self::parse`] refuse.
    pub fn load(flags: &Flags) -> Result<Self, SettingsError> {
        let env = headwater_settings::environment();
        let Some(file) = &flags.config else {
            return Self::parse("", Path::new("environment"), env, flags);
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| SettingsError::new(Some(&file.display().to_string()), error))?;
        Self::parse(&text, file, env, flags)
    }

    /// The same, from `text` that stood in `file`.
    ///
    /// # Errors
    /// Bad syntax, unknown keys, values that are wrong, contradict each other, or belong to a
    /// feature that this version lacks.
    pub fn parse(
        text: &str,
        file: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, SettingsError> {
        let name = file.display().to_string();
        let loaded = headwater_settings::load::<Self>(text, &name, env)?;
        let mut config = loaded.settings;
        config.resolve_paths(file);
        config.apply(flags);
        config.listeners.open_defaults(config.tls.is_some());
        config.check(&loaded.places)?;
        config.add_default_streams();
        Ok(config)
    }

    fn resolve_paths(&mut self, file: &Path) {
        let tls = self.tls.as_mut();
        let tls_paths = tls.into_iter().flat_map(|tls| {
            [
                Some(&mut tls.cert),
                Some(&mut tls.key),
                tls.client_ca.as_mut(),
            ]
        });
        let own = [
            self.data_dir.as_mut(),
            self.auth.users.as_mut(),
            self.auth.acl.as_mut(),
        ];
        for path in own.into_iter().chain(tls_paths).flatten() {
            *path = headwater_settings::beside(file, path);
        }
    }

    fn apply(&mut self, flags: &Flags) {
        if let Some(dir) = &flags.data_dir {
            self.data_dir = Some(dir.clone());
        }
        if let Some(store) = &flags.store {
            self.store.clone_from(store);
        }
        if let Some(host) = &flags.advertise {
            self.advertise = Some(host.clone());
        }
        self.listeners.replace_by(&flags.listeners);
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: None,
            store: "file:".into(),
            advertise: None,
            listeners: Listeners::default(),
            tls: None,
            auth: AuthConfig::default(),
            mqtt: MqttConfig::default(),
            kafka: KafkaConfig::default(),
            limits: LimitsConfig::default(),
            stream: Vec::new(),
        }
    }
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            max_packet: Bytes::mib(1),
            server_keep_alive: Span::from_ms(0),
            topic_alias_max: 16,
            receive_max: 1024,
        }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            auto_create: true,
            auto_create_partitions: 4,
            max_request: Bytes::mib(64),
            group_min_session: Span::from_secs(6),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: 20_000,
            lanes_per_device: 64,
            request_memory: Bytes::mib(128),
            compaction_memory: Bytes::mib(64),
            disk_min_free: Percent::new(5),
        }
    }
}

#[cfg(test)]
mod tests;
