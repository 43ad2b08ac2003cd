//! What is known of agents, as of the last commit.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_broker_core::LaneName;
use headwater_broker_core::journal::{LaneMoved, StatusKept};

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// Its name.
    pub device: String,
    /// Its newest status, JSON as it was sent; none before the first.
    pub status: Option<Bytes>,
    /// When its newest status or batch came, ms.
    pub last_seen_ms: i64,
    /// By stream, then lane.
    pub lanes: Vec<LaneView>,
}

/// One lane of an agent, in its highest generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Stream.
    pub stream: String,
    /// Lane.
    pub lane: String,
    /// Highest generation.
    pub generation: u32,
    /// Partition of the stream.
    pub partition: u32,
    /// Position that comes next.
    pub next: u64,
}

/// All agents.
#[derive(Debug, Default)]
pub(super) struct Devices {
    by_name: BTreeMap<String, Device>,
}

#[derive(Debug, Default)]
struct Device {
    status: Option<Bytes>,
    last_seen_ms: i64,
    lanes: BTreeMap<(String, String), LaneView>,
}

impl Devices {
    /// Lanes went on, and statuses came.
    pub(super) fn update(&mut self, lanes: Vec<LaneMoved>, statuses: Vec<StatusKept>) {
        for moved in lanes {
            let LaneName {
                device,
                stream,
                lane,
                generation,
            } = moved.name;
            let device = self.by_name.entry(device).or_default();
            let arrival_ms = moved.arrival.map_or(0, |arrival| arrival.0);
            device.last_seen_ms = device.last_seen_ms.max(arrival_ms);
            let (partition, next) = (moved.partition, moved.next);
            let key = (stream.clone(), lane.clone());
            device.lanes.insert(
                key,
                LaneView {
                    stream,
                    lane,
                    generation,
                    partition,
                    next,
                },
            );
        }
        for kept in statuses {
            let device = self.by_name.entry(kept.device).or_default();
            device.last_seen_ms = device.last_seen_ms.max(kept.arrival.0);
            device.status = Some(kept.json);
        }
    }

    /// Streams were deleted, and their lanes with them.
    pub(super) fn forget_streams(&mut self, names: &[String]) {
        if names.is_empty() {
            return;
        }
        for device in self.by_name.values_mut() {
            device
                .lanes
                .retain(|(stream, _), _| !names.contains(stream));
        }
    }

    pub(super) fn view(&self) -> Vec<DeviceView> {
        let view = |(name, device): (&String, &Device)| DeviceView {
            device: name.clone(),
            status: device.status.clone(),
            last_seen_ms: device.last_seen_ms,
            lanes: device.lanes.values().cloned().collect(),
        };
        self.by_name.iter().map(view).collect()
    }
}
