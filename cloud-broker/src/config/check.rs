//! What settings may not be, beyond their types.

use std::collections::BTreeSet;

use headwater_broker_core::catalog::{PARTITIONS_MAX, SpecError};
use headwater_settings::{Bytes, Places, SettingsError, Span};

use super::{Config, MAX_PACKET_MAX, MAX_PACKET_MIN, StreamConfig};

const KEEP_ALIVE_MAX: Span = Span::from_secs(65_535);
const GROUP_MIN_SESSION_MAX: Span = Span::from_secs(1800);

impl Config {
    pub(super) fn check(&self, places: &Places) -> Result<(), SettingsError> {
        self.check_supported(places)?;
        self.check_listeners(places)?;
        self.check_numbers(places)?;
        let mut names = BTreeSet::new();
        for (index, stream) in self.stream.iter().enumerate() {
            stream.check(&format!("stream[{index}]"), places)?;
            if !names.insert(&stream.name) {
                let key = format!("stream[{index}].name");
                return Err(places.error(&key, "is the name of two streams"));
            }
        }
        Ok(())
    }

    /// Keys whose feature is not part of this version.
    fn check_supported(&self, places: &Places) -> Result<(), SettingsError> {
        let defaults = Self::default();
        places.only_default("store", &self.store, &defaults.store)?;
        places.only_default("listeners.ws", &self.listeners.ws, &None)?;
        places.only_default("listeners.wss", &self.listeners.wss, &None)?;
        places.only_default("auth.users", &self.auth.users, &None)?;
        places.only_default("auth.acl", &self.auth.acl, &None)
    }

    fn check_listeners(&self, places: &Places) -> Result<(), SettingsError> {
        for (name, address, tls) in self.listeners.all() {
            if address.is_some() && tls && self.tls.is_none() {
                return Err(places.error(&format!("listeners.{name}"), "needs [tls]"));
            }
        }
        match &self.tls {
            Some(tls) if tls.require_client_cert && tls.client_ca.is_none() => {
                Err(places.error("tls.require_client_cert", "needs tls.client_ca"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_numbers(&self, places: &Places) -> Result<(), SettingsError> {
        let max_packet = self.mqtt.max_packet;
        if max_packet < MAX_PACKET_MIN {
            let message = format!("must be at least {MAX_PACKET_MIN}");
            return Err(places.error("mqtt.max_packet", &message));
        }
        if max_packet > MAX_PACKET_MAX {
            let message = format!("must be at most {MAX_PACKET_MAX}");
            return Err(places.error("mqtt.max_packet", &message));
        }
        let keep_alive = self.mqtt.server_keep_alive;
        if keep_alive > KEEP_ALIVE_MAX || !keep_alive.ms().is_multiple_of(1000) {
            let message = "must be whole seconds, at most 65535s";
            return Err(places.error("mqtt.server_keep_alive", message));
        }
        let partitions = self.kafka.auto_create_partitions;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            let message = format!("must be from 1 to {PARTITIONS_MAX}");
            return Err(places.error("kafka.auto_create_partitions", &message));
        }
        if self.kafka.group_min_session > GROUP_MIN_SESSION_MAX {
            return Err(places.error("kafka.group_min_session", "must be at most 30min"));
        }
        if i32::try_from(self.kafka.max_request.0).is_err() {
            return Err(places.error("kafka.max_request", "must be less than 2GiB"));
        }
        let at_least_one = [
            ("mqtt.receive_max", u64::from(self.mqtt.receive_max)),
            ("kafka.max_request", self.kafka.max_request.0),
            ("limits.connections", u64::from(self.limits.connections)),
            (
                "limits.lanes_per_device",
                u64::from(self.limits.lanes_per_device),
            ),
            ("limits.compaction_memory", self.limits.compaction_memory.0),
        ];
        match at_least_one.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(places.error(key, "must be at least 1")),
            None => self.check_request_memory(places),
        }
    }

    /// One request of each door must fit into the part that is for large ones, or that door could
    /// never take its largest.
    fn check_request_memory(&self, places: &Places) -> Result<(), SettingsError> {
        let largest = self.kafka.max_request.max(self.mqtt.max_packet);
        let least = Bytes(largest.0.saturating_mul(2));
        if self.limits.request_memory >= least {
            return Ok(());
        }
        let message = format!("must be at least {least}, twice the largest request");
        Err(places.error("limits.request_memory", &message))
    }
}

impl StreamConfig {
    fn check(&self, key: &str, places: &Places) -> Result<(), SettingsError> {
        let at = |field: &str| format!("{key}.{field}");
        places.only_default(&at("transient"), &self.transient, &false)?;
        self.spec().check().map_err(|error| {
            let field = match error {
                SpecError::Retention => "retention",
                ref error => error.field(),
            };
            let key = at(field);
            SettingsError::new(places.at(&key), format!("{key}: {error}"))
        })
    }
}
