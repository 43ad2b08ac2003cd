//! The limits of values, and between them.

use std::collections::BTreeSet;

use headwater_settings::{Bytes, Places, SettingsError, Span};
use headwater_wire::names::is_reserved_key;

use super::{Config, LogSettings, Scheme, SourceSettings, UplinkSettings};
use crate::device::is_device_name;
use crate::sources::lines::Origin;
use crate::sources::template::Template;
use crate::uplink::{INFLIGHT_BYTES_MAX, INFLIGHT_MAX};

/// `log.max_bytes` is at least this: the tail journal, one segment and room to move.
pub(crate) const LOG_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Bounds of `log.batch_bytes`.
const BATCH_BYTES: std::ops::RangeInclusive<u32> = 1_000..=200_000;
/// `log.batch_age` and `log.commit_interval` at most: latency that nobody wants to wait for.
const AGE_MAX: Span = Span::from_secs(3600);
/// The range of zstd levels that stay within the agent's memory.
const ZSTD_LEVEL: std::ops::RangeInclusive<i32> = 1..=9;
/// The MQTT client accepts no keep alive below this.
const KEEP_ALIVE_MIN: Span = Span::from_secs(5);
/// The keep alive is a u16 of seconds.
const KEEP_ALIVE_MAX: Span = Span::from_secs(65_535);
/// `interval` of a source.
const INTERVAL_MIN: Span = Span::from_ms(10);
const SOURCES_MAX: usize = 64;

impl Config {
    /// Checks all values.
    pub(super) fn check(&self, places: &Places) -> Result<(), SettingsError> {
        if let Some(device) = &self.device
            && !is_device_name(device)
        {
            return Err(places.error(
                "device",
                "may have letters, digits and . _ : - only, at most 128",
            ));
        }
        if self.http.is_empty() {
            return Err(places.error("http", "must be an address such as 127.0.0.1:8090"));
        }
        self.log.check(places)?;
        self.uplink.check(places)?;
        if u32::from(self.uplink.window) * self.log.batch_bytes > INFLIGHT_BYTES_MAX {
            return Err(places.error(
                "uplink.window",
                "times log.batch_bytes must be at most 4MiB",
            ));
        }
        self.check_sources(places)
    }

    fn check_sources(&self, places: &Places) -> Result<(), SettingsError> {
        if self.source.len() > SOURCES_MAX {
            return Err(places.error("source", &format!("may have at most {SOURCES_MAX} tables")));
        }
        let mut names = BTreeSet::new();
        let mut has_stdin = false;
        for (index, source) in self.source.iter().enumerate() {
            source.check(places, index, self.device.as_deref())?;
            if !names.insert(source.name()) {
                let key = format!("source[{index}].name");
                let message = format!("\"{}\" is taken by another source", source.name());
                return Err(places.error(&key, &message));
            }
            if source.from.as_deref() == Some("stdin") && std::mem::replace(&mut has_stdin, true) {
                let key = format!("source[{index}].from");
                return Err(places.error(&key, "is stdin, which another source reads"));
            }
        }
        Ok(())
    }
}

impl LogSettings {
    fn check(&self, places: &Places) -> Result<(), SettingsError> {
        if self.max_bytes < Bytes(LOG_BYTES_MIN) {
            return Err(places.error("log.max_bytes", "must be at least 16MiB"));
        }
        if !BATCH_BYTES.contains(&self.batch_bytes) {
            return Err(places.error("log.batch_bytes", "must be between 1000 and 200000"));
        }
        if self.batch_age.ms() == 0 || self.batch_age > AGE_MAX {
            return Err(places.error("log.batch_age", "must be more than 0 and at most 1h"));
        }
        if self.commit_interval > self.batch_age {
            return Err(places.error(
                "log.commit_interval",
                "must not be longer than log.batch_age",
            ));
        }
        if !ZSTD_LEVEL.contains(&self.zstd_level) {
            return Err(places.error("log.zstd_level", "must be between 1 and 9"));
        }
        Ok(())
    }
}

impl UplinkSettings {
    fn check(&self, places: &Places) -> Result<(), SettingsError> {
        let urls = self
            .urls()
            .map_err(|error| places.error("uplink.url", &error.to_string()))?;
        let tls = urls.iter().any(|url| url.scheme == Scheme::Mqtts);
        if tls && self.ca.is_none() {
            return Err(places.error("uplink.ca", "is needed for a mqtts:// broker"));
        }
        if self.cert.is_some() != self.key.is_some() {
            let key = if self.cert.is_some() {
                "uplink.cert"
            } else {
                "uplink.key"
            };
            return Err(places.error(key, "needs the other: cert and key come together"));
        }
        if self.cert.is_some() && urls.iter().any(|url| url.scheme == Scheme::Mqtt) {
            return Err(places.error("uplink.cert", "needs mqtts:// brokers, and no others"));
        }
        if self.user.is_some() != self.password_file.is_some() {
            let key = if self.user.is_some() {
                "uplink.user"
            } else {
                "uplink.password_file"
            };
            return Err(places.error(key, "needs the other: user and password_file come together"));
        }
        if self.window == 0 || self.window > INFLIGHT_MAX {
            let message = format!("must be between 1 and {INFLIGHT_MAX}");
            return Err(places.error("uplink.window", &message));
        }
        if !(KEEP_ALIVE_MIN..=KEEP_ALIVE_MAX).contains(&self.keep_alive) {
            return Err(places.error("uplink.keep_alive", "must be between 5s and 65535s"));
        }
        Ok(())
    }
}

impl SourceSettings {
    fn check(
        &self,
        places: &Places,
        index: usize,
        device: Option<&str>,
    ) -> Result<(), SettingsError> {
        let key = |key: &str| format!("source[{index}].{key}");
        let not_for_kind = |name: &str| {
            let message = format!("means nothing to a source of kind \"{}\"", self.kind);
            places.error(&key(name), &message)
        };
        match self.kind.as_str() {
            "" => return Err(places.error(&key("kind"), "is missing")),
            "mqtt" if self.interval.is_some() => return Err(not_for_kind("interval")),
            "system" if self.listen.is_some() => return Err(not_for_kind("listen")),
            "mqtt" | "system" if self.from.is_some() => return Err(not_for_kind("from")),
            "lines" if self.listen.is_some() => return Err(not_for_kind("listen")),
            "lines" if self.interval.is_some() => return Err(not_for_kind("interval")),
            "lines" if self.from.is_none() => return Err(places.error(&key("from"), "is missing")),
            "mqtt" | "system" | "lines" => {}
            other => {
                let message = format!("\"{other}\" is not supported yet");
                return Err(places.error(&key("kind"), &message));
            }
        }
        if !is_device_name(self.name()) {
            return Err(places.error(&key("name"), "may have letters, digits and . _ : - only"));
        }
        if headwater_wire::uplink::check_stream(self.stream()).is_err() {
            return Err(places.error(&key("stream"), "may have letters, digits and . _ - only"));
        }
        if let Some(from) = &self.from {
            Origin::parse(from).map_err(|error| places.error(&key("from"), &error.to_string()))?;
        }
        if let Some(topic) = &self.topic {
            let template = Template::parse(topic)
                .map_err(|error| places.error(&key("topic"), &format!("has {error}")))?;
            if is_reserved_key(template.front(device, self.name()).as_bytes()) {
                let message = "begins with $ or cmd/: such topics are not a source's";
                return Err(places.error(&key("topic"), message));
            }
        }
        if self
            .interval
            .is_some_and(|interval| interval < INTERVAL_MIN)
        {
            return Err(places.error(&key("interval"), "must be at least 10ms"));
        }
        Ok(())
    }
}
