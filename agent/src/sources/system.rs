//! The `system` source: CPU, memory, disks, network, and temperatures where there are sensors.
//!
//! Each reading is an event `{"value":12.5,"unit":"%"}` under the topic of its name: `cpu`,
//! `load`, `memory`, `swap`, `disk/<mount>`, `net/<interface>/rx`, `temperature/<sensor>`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use sysinfo::{Components, Disks, Networks, System};
use tokio::time::MissedTickBehavior;

use super::template::level;
use super::{Intake, Opened};

/// Readings of one round at most; a machine with hundreds of mounts shows the first ones.
const READINGS_MAX: usize = 128;
/// Disks, network interfaces and sensors are listed again after this long; their values are
/// read each time.
const LIST_INTERVAL: Duration = Duration::from_secs(60);

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What is measured, `/` between levels.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

#[derive(Serialize)]
struct Value {
    value: f64,
    unit: &'static str,
}

impl Reading {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
        }
    }

    /// The event's value: `{"value":12.5,"unit":"%"}`, two decimals.
    pub fn json(&self) -> Bytes {
        let value = (self.value * 100.0).round() / 100.0;
        // A struct, not a map: the order of the fields is part of the format.
        Bytes::from(
            serde_json::to_vec(&Value {
                value,
                unit: self.unit,
            })
            .unwrap_or_default(),
        )
    }
}

/// Opens the source: nothing to listen on, one task that reads each `interval`.
pub fn open(intake: Intake, interval: Duration) -> Opened {
    Opened {
        listen: None,
        task: Box::pin(run(intake, interval)),
    }
}

async fn run(intake: Intake, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    let mut sampler = Sampler::new();
    let mut stopping = intake.stopping();
    loop {
        tokio::select! {
            () = stopping.wait() => return,
            _tick = ticks.tick() => {}
        }
        // A disk's file system may hang for minutes (NFS): the reading waits elsewhere.
        let sampled = tokio::task::spawn_blocking(move || {
            let readings = sampler.sample();
            (sampler, readings)
        });
        let Ok((back, readings)) = sampled.await else {
            intake.failed("The readings cannot be taken");
            return;
        };
        sampler = back;
        submit(&intake, &readings).await;
    }
}

async fn submit(intake: &Intake, readings: &[Reading]) {
    let now = crate::clock::now_ms();
    let mut events = Vec::with_capacity(readings.len());
    for reading in readings {
        let topic = intake.topic(&reading.name, &reading.name);
        match intake.event(topic, now, reading.json(), Vec::new()) {
            Ok(event) => events.push(event),
            Err(refused) => intake.rejected(1, &refused.to_string()),
        }
    }
    if events.is_empty() {
        return;
    }
    // A full log is counted and shown in the status; the next reading tries again.
    let _counted = intake.append(events).await;
}

/// Reads the machine. Rates (CPU, network) are since the sample before.
pub struct Sampler {
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
    components: Option<Components>,
    listed: Instant,
    sampled: Instant,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").finish_non_exhaustive()
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampler {
    /// Begins: the first sample's rates count from here. What this machine does not offer
    /// stays out of the samples.
    pub fn new() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        let now = Instant::now();
        Self {
            system,
            disks: Disks::new_with_refreshed_list().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
            components: Components::new_with_refreshed_list().ok(),
            listed: now,
            sampled: now,
        }
    }

    /// Takes all readings once.
    pub fn sample(&mut self) -> Vec<Reading> {
        let now = Instant::now();
        let seconds = now.duration_since(self.sampled).as_secs_f64().max(0.001);
        self.sampled = now;
        let relist = now.duration_since(self.listed) >= LIST_INTERVAL;
        if relist {
            self.listed = now;
        }
        let mut readings = Vec::with_capacity(16);
        self.sample_system(&mut readings);
        self.sample_disks(relist, &mut readings);
        self.sample_networks(relist, seconds, &mut readings);
        self.sample_temperatures(relist, &mut readings);
        readings.truncate(READINGS_MAX);
        readings
    }

    fn sample_system(&mut self, readings: &mut Vec<Reading>) {
        let Some(system) = &mut self.system else {
            return;
        };
        system.refresh_cpu_usage();
        system.refresh_memory();
        readings.push(Reading::new(
            "cpu",
            f64::from(system.global_cpu_usage()),
            "%",
        ));
        if let Ok(load) = System::load_average() {
            readings.push(Reading::new("load", load.one, ""));
        }
        push_share(
            readings,
            "memory",
            system.used_memory(),
            system.total_memory(),
        );
        push_share(readings, "swap", system.used_swap(), system.total_swap());
    }

    fn sample_disks(&mut self, relist: bool, readings: &mut Vec<Reading>) {
        let Some(disks) = &mut self.disks else { return };
        if relist {
            disks.refresh(true);
        }
        let mut names: Vec<String> = Vec::new();
        for disk in disks.iter_mut() {
            // The same device mounted at many places (containers) is one disk.
            let device = disk.name().to_string_lossy().into_owned();
            if names.contains(&device) {
                continue;
            }
            names.push(device);
            disk.refresh();
            let used = disk.total_space().saturating_sub(disk.available_space());
            let name = format!("disk/{}", mount_name(&disk.mount_point().to_string_lossy()));
            push_share(readings, &name, used, disk.total_space());
        }
    }

    fn sample_networks(&mut self, relist: bool, seconds: f64, readings: &mut Vec<Reading>) {
        let Some(networks) = &mut self.networks else {
            return;
        };
        networks.refresh(relist);
        let mut interfaces: Vec<_> = networks.iter().filter(|(name, _)| *name != "lo").collect();
        interfaces.sort_by(|a, b| a.0.cmp(b.0));
        for (name, data) in interfaces {
            let name = level(&name.to_string_lossy());
            let rate = |bytes: u64| as_f64(bytes) / seconds;
            readings.push(Reading::new(
                format!("net/{name}/rx"),
                rate(data.received()),
                "B/s",
            ));
            readings.push(Reading::new(
                format!("net/{name}/tx"),
                rate(data.transmitted()),
                "B/s",
            ));
        }
    }

    fn sample_temperatures(&mut self, relist: bool, readings: &mut Vec<Reading>) {
        let Some(components) = &mut self.components else {
            return;
        };
        components.refresh(relist);
        for component in components.iter() {
            if let Some(degrees) = component
                .temperature()
                .filter(|degrees| degrees.is_finite())
            {
                let name = format!("temperature/{}", level(component.label()));
                readings.push(Reading::new(name, f64::from(degrees), "\u{b0}C"));
            }
        }
    }
}

fn push_share(readings: &mut Vec<Reading>, name: &str, used: u64, total: u64) {
    if total > 0 {
        readings.push(Reading::new(
            name,
            as_f64(used) * 100.0 / as_f64(total),
            "%",
        ));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a reading of 2^53 bytes may be off by one"
)]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// `/` is `root`, `/var/lib` is `var-lib`.
fn mount_name(mount: &str) -> String {
    let trimmed = mount.trim_matches('/');
    if trimmed.is_empty() {
        "root".to_owned()
    } else {
        level(&trimmed.replace('/', "-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_json_with_two_decimals() {
        let reading = Reading::new("cpu", 12.504_9, "%");
        assert_eq!(
            &reading.json()[..],
            br#"{"value":12.5,"unit":"%"}"#.as_slice()
        );
    }

    #[test]
    fn names_make_single_levels() {
        assert_eq!(mount_name("/"), "root");
        assert_eq!(mount_name("/var/lib"), "var-lib");
        assert_eq!(level("Core #0 +x"), "Core--0--x");
    }

    #[test]
    fn this_machine_has_memory() {
        let readings = Sampler::new().sample();
        let memory = readings.iter().find(|reading| reading.name == "memory");
        assert!(memory.is_some_and(|reading| (0.0..=100.0).contains(&reading.value)));
    }
}
